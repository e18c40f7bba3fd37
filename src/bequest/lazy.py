"""Heavy libraries, imported on first use.

`from bequest.lazy import torch` costs nothing until an attribute of `torch` is read, so listing
methods, checking a recipe and judging a finished run never pay for it. The stub beside this file
gives type checkers the real modules.
"""

from __future__ import annotations

import importlib
from typing import Any


class _Lazy:
    """Stands for a module until one of its attributes is read."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(importlib.import_module(self.__name__), attribute)
        setattr(self, attribute, value)
        return value

    def __repr__(self) -> str:
        return f"<lazy {self.__name__}>"


numpy = _Lazy("numpy")
torch = _Lazy("torch")
functional = _Lazy("torch.nn.functional")
safetensors_torch = _Lazy("safetensors.torch")
transformers = _Lazy("transformers")
accelerate = _Lazy("accelerate")
datasets = _Lazy("datasets")
peft = _Lazy("peft")
