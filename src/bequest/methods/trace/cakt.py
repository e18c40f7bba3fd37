"""CAKT: what a student lately did on a concept, beside all that he or she ever did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bequest.methods.trace._tracing import TraceMethod

if TYPE_CHECKING:
    from collections.abc import Mapping


class Cakt(TraceMethod):
    """Convolution-augmented knowledge tracing: recent answers on a concept, beside overall state.

    The loss is the mean cross-entropy of all answers but each student's first. Unlike the released
    code, which reports the best score that any epoch has on the test students, the epoch is chosen
    on validation students alone; the learning rate stays as it is. The model is `use: cakt`.
    """

    source: ClassVar[str] = (
        "Yang et al. 2020, Deep Knowledge Tracing with Learning Curves, arXiv 2008.01169"
    )
    fit_defaults: ClassVar[Mapping[str, Any]] = {
        "epochs": 30,
        "batch_size": 80,
        "optimizer": {"use": "adam", "lr": 1e-3, "weight_decay": 1e-5, "betas": [0.9, 0.99]},
    }
    network: ClassVar[str] = "cakt"
