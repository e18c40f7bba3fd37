"""A small file that carries a skill, a basis or a mask from one model to another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Pack:
    """What is kept beside a model; on disk one safetensors file.

    kind: how it is applied: "skill", "basis" …; lower case, as after `bequest pack show`.
    tensors: NumPy arrays or torch tensors by name.
    about: JSON-like facts that its kind needs: ranks, bits, sizes.
    base: fingerprint of the model it belongs to; empty when it fits any.
    """

    kind: str
    tensors: Mapping[str, Any]
    about: Mapping[str, Any] = field(default_factory=dict)
    base: str = ""
