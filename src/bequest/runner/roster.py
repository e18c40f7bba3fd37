"""The models of a run by what steps call them, and how each came to be."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bequest.runner.models import load_weights, save_model
from bequest.transfer.bench import freeze

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bequest.core.live import Model
    from bequest.recipe.plan import Plan, PlannedStep
    from bequest.runner.preparing import Prepared
    from bequest.store.folder import RunFolder


@dataclass(frozen=True)
class Held:
    """A live model and where it comes from.

    origin: name of the input model it is a state of; row: index of the row that shows this state.
    """

    model: Model
    origin: str
    row: int


class Roster:
    """Input models by name, and results of steps as `step.role`, under one seed."""

    def __init__(self, prepared: Prepared, folder: RunFolder, seed: int) -> None:
        self._prepared, self._folder, self._seed = prepared, folder, seed
        self._held: dict[str, Held] = {}
        self._wanted = set(_references(prepared.plan))

    def given(self) -> dict[str, Held]:
        """The input models."""
        return {name: self._named(name) for name in self._prepared.plan.models}

    def fill(self, step: PlannedStep) -> dict[str, Held | list[Held]]:
        """The models of a step's roles: copies, so that what later steps refer to stays as it is.

        Those that don't learn are frozen.
        """
        return {
            role: [self._copy(step, role, name) for name in names]
            if isinstance(names, tuple)
            else self._copy(step, role, names)
            for role, names in step.models.items()
        }

    def deliver(self, step: PlannedStep, filled: Mapping[str, Held | list[Held]]) -> None:
        """Write what a step made of its roles."""
        if not self._folder.processes.first:
            return
        for role, held in filled.items():
            if learns(step, role) and not isinstance(held, list):
                given = self._named(held.origin).model
                save_model(self._place(step, role), held.model, held.origin, given, self._prepared)

    def take_up(self, step: PlannedStep, row: int) -> None:
        """Make what a finished step delivered available to later ones, as it was written.

        A run that was never killed reads it back too, so that both go on with the same models.
        What no later step asks for stays on disk. row: index of the last row of the step.
        """
        for role, name in step.models.items():
            if isinstance(name, tuple) or f"{step.name}.{role}" not in self._wanted:
                continue
            held = self._named(name)
            if learns(step, role):
                model = load_weights(self.fresh(held.origin), self._place(step, role))
                held = Held(model, held.origin, row)
            self._held[f"{step.name}.{role}"] = held

    def fresh(self, origin: str) -> Model:
        """The input model `origin` as it was given, in a copy of its own."""
        return copy.deepcopy(self._named(origin).model)

    def _named(self, name: str) -> Held:
        """A model by name; an input model is built when it is first asked for, and kept."""
        if name not in self._held:
            row = list(self._prepared.plan.models).index(name)
            self._held[name] = Held(self._prepared.build(name, self._seed), name, row)
        return self._held[name]

    def _copy(self, step: PlannedStep, role: str, name: str) -> Held:
        held = self._named(name)
        model = copy.deepcopy(held.model)
        return Held(model if learns(step, role) else freeze(model), held.origin, held.row)

    def _place(self, step: PlannedStep, role: str) -> Path:
        return self._folder.model(step.name, role, self._seed)


def _references(plan: Plan) -> Iterator[str]:
    """What steps call their models."""
    for step in plan.steps:
        for names in step.models.values():
            yield from [names] if isinstance(names, str) else names


def learns(step: PlannedStep, role: str) -> bool:
    """Whether a step changes the model in a role."""
    return type(step.method).roles[role].learns
