"""bequest — move what models know, and prove what moved.

`run = bequest.run("quickstart")` carries out a recipe; `run.matrix` is a table in a notebook, and
`run.verdict.passed` is what the recipe's gate says.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "BequestError": "bequest.core.errors",
    "Delivered": "bequest.build.predicting",
    "Method": "bequest.core.parts",
    "ModelSpec": "bequest.core.parts",
    "Outcomes": "bequest.core.outcomes",
    "Pack": "bequest.core.pack",
    "Predicted": "bequest.build.predicting",
    "Problem": "bequest.core.errors",
    "RequestError": "bequest.core.errors",
    "Requires": "bequest.core.parts",
    "Role": "bequest.core.parts",
    "Run": "bequest.runner.result",
    "RunError": "bequest.core.errors",
    "Stage": "bequest.core.stage",
    "TaskSpec": "bequest.core.parts",
    "doctor": "bequest.runner.doctor.examine",
    "load_pack": "bequest.build.opening",
    "open_index": "bequest.build.opening",
    "run": "bequest.runner.whole",
}

if TYPE_CHECKING:
    from bequest.build.opening import load_pack, open_index
    from bequest.build.predicting import Delivered, Predicted
    from bequest.core.errors import BequestError, Problem, RequestError, RunError
    from bequest.core.outcomes import Outcomes
    from bequest.core.pack import Pack
    from bequest.core.parts import Method, ModelSpec, Requires, Role, TaskSpec
    from bequest.core.stage import Stage
    from bequest.runner.doctor.examine import doctor
    from bequest.runner.result import Run
    from bequest.runner.whole import run

__all__ = [
    "BequestError",
    "Delivered",
    "Method",
    "ModelSpec",
    "Outcomes",
    "Pack",
    "Predicted",
    "Problem",
    "RequestError",
    "Requires",
    "Role",
    "Run",
    "RunError",
    "Stage",
    "TaskSpec",
    "__version__",
    "doctor",
    "load_pack",
    "open_index",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'bequest' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
