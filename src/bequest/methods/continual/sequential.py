"""Training on one task after another: the baseline of continual learning, which forgets."""

from __future__ import annotations

from typing import ClassVar

from bequest.methods.continual._sequence import SuccessiveMethod


class Sequential(SuccessiveMethod):
    """Train the student on one task after another, protecting nothing."""

    source: ClassVar[str] = (
        "the baseline of continual learning; shown to forget by McCloskey & Cohen 1989"
    )
