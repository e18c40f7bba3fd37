"""How far the work has come, said to whoever wants to know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class Progress(Protocol):
    """Told what begins, how far it is and what is worth knowing; shows it or doesn't."""

    def begin(self, work: str, steps: int) -> None:
        """`work` begins; it will take about `steps` optimiser steps, 0 when none."""
        ...

    def advance(self, step: int, steps: int, values: Mapping[str, float]) -> None:
        """The current fit has taken `step` of its `steps`; `values` are its loss terms."""
        ...

    def doing(self, what: str) -> None:
        """What the work is at, which may take a while; nothing: it goes on as before."""
        ...

    def end(self) -> None:
        """The work begun last is done."""
        ...

    def note(self, text: str) -> None:
        """Something a user should know."""
        ...


class Silent:
    """Shows nothing."""

    def begin(self, work: str, steps: int) -> None:
        """Nothing."""

    def advance(self, step: int, steps: int, values: Mapping[str, float]) -> None:
        """Nothing."""

    def doing(self, what: str) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""
