"""Whether models that are to be merged, or made into packs, are alike, seen before any work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bequest.core.errors import Problem, RequestError
from bequest.transfer.parents import alike

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bequest.recipe.plan import Plan
    from bequest.runner.facts import Facts
    from bequest.transfer.parents import Parent

_ROLES = {"base", "donors"}


def merges(plan: Plan) -> bool:
    """Whether a step merges models, or makes packs of them."""
    return any(step.models.keys() >= _ROLES for step in plan.steps)


def parent_problems(plan: Plan, facts: Mapping[str, Facts]) -> Iterator[Problem]:
    """Donors that can't be lined up with their base, by the models which both are states of.

    facts: of every input model.
    """
    for step in plan.steps:
        if not step.models.keys() >= _ROLES:
            continue
        (base,) = plan.origins(step.models["base"])
        for donor in plan.origins(step.models["donors"]):
            for problem in _unlike(facts[base].parent, facts[donor].parent, f"`{donor}`"):
                yield Problem(f"`{step.name}`: {problem.what}", problem.fix, ("models", donor))


def _unlike(
    base: Parent | tuple[Problem, ...], donor: Parent | tuple[Problem, ...], name: str
) -> Sequence[Problem]:
    if isinstance(base, tuple):
        return base
    if isinstance(donor, tuple):
        return donor
    try:
        alike(base, donor, name)
    except RequestError as error:
        return error.problems
    return ()
