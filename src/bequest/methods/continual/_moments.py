"""What a fit trains as it was at some moments within it, so that these can be measured too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.core.errors import RunError
from bequest.transfer.state import load_state, named_modules, state

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import torch


class Moments:
    """Copies of all that `modules` train, taken after given numbers of optimiser steps.

    A fit keeps it, so that the copies of a resumed fit are those of one that was never killed.

    after: numbers of steps, rising; 0 is before the first, and is taken at once.
    """

    def __init__(self, after: Sequence[int], modules: Any) -> None:
        self._after, self._named = after, named_modules(modules)
        self._states: dict[str, dict[str, torch.Tensor]] = {}
        self.look(modules, -1)

    def look(self, modules: Any, step: int) -> None:
        """Take a copy if one is wanted after this step, which counts from 0."""
        del modules  # those that were given at the start
        if step + 1 in self._after:
            self._states[str(step + 1)] = self._now()

    def again(self) -> Iterator[int]:
        """Bring back moment after moment, in the modules themselves; afterwards the end.

        Raises:
            RunError: the fit was shorter.
        """
        end = self._now()
        for done in self._after:
            if str(done) not in self._states:
                raise RunError(
                    f"the fit ended before step {done}, after which it was to be measured"
                )
            load_state(self._named, self._states[str(done)])
            yield done
        load_state(self._named, end)

    def state_dict(self) -> dict[str, Any]:
        """All copies so far."""
        return {"states": self._states}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with these copies."""
        self._states = dict(state["states"])

    def _now(self) -> dict[str, torch.Tensor]:
        # On the CPU: many copies of a model would fill an accelerator.
        return {name: tensor.to("cpu", copy=True) for name, tensor in state(self._named).items()}
