"""Fit settings of a step: general defaults, the method's, the recipe's and the step's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bequest.core.errors import Position, Problem
from bequest.recipe.messages import validated
from bequest.recipe.schema import FitSettings
from bequest.recipe.tree import from_python, merge, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bequest.core.parts import Method
    from bequest.recipe.draft import Draft
    from bequest.recipe.parts import Found
    from bequest.recipe.tree import Field

_HERE = Position("fit settings")


def check_layer(draft: Draft, at: Field) -> list[Problem]:
    """What is wrong with the fit settings written at the field `at`, taken by themselves."""
    return validated(FitSettings, _laid(_written(draft, at)), draft, at)[1]


def fit_of(draft: Draft, method: Found[Method], at: Field) -> tuple[FitSettings, list[Problem]]:
    """The merged fit settings of the step at `at`, whose written layers have no mistakes."""
    defaults = dict(method.base.fit_defaults) if method.base else {}
    layers = [defaults, _written(draft, ("fit",))]
    if at:
        layers.append(_written(draft, (*at, "fit")))
    merged, problems = validated(FitSettings, _laid(*layers), draft, (*at, "fit"))
    if merged is None:
        whose = f"the fit defaults of method `{method.use}` are wrong: "
        return FitSettings(), [replace(one, what=whose + one.what) for one in problems]
    return merged, [*_optimizer(draft, method, at, merged), *_plain(draft, method, at, merged)]


def _laid(*layers: Mapping[str, Any]) -> dict[str, Any]:
    tree = from_python(FitSettings().model_dump(mode="json"), _HERE)
    for layer in layers:
        tree = merge(tree, from_python(layer, _HERE))
    laid: dict[str, Any] = plain(tree)
    return laid


def _written(draft: Draft, at: Field) -> dict[str, Any]:
    value: Any = draft.data
    for part in at:
        if isinstance(value, dict):
            value = value.get(str(part))
        else:
            value = value[part] if isinstance(value, list) and isinstance(part, int) else None
    return value if isinstance(value, dict) else {}


def _optimizer(draft: Draft, method: Found[Method], at: Field, fit: FitSettings) -> list[Problem]:
    wanted = method.base.requires.optimizer if method.base else ""
    if not wanted or fit.optimizer.use == wanted:
        return []
    what = (
        f"method `{method.use}` holds for {wanted} only, but the optimizer is {fit.optimizer.use}"
    )
    fix = f"write `optimizer: {{use: {wanted}}}`"
    return [draft.locate(Problem(what, fix, _written_at(draft, at, "use")))]


def _plain(draft: Draft, method: Found[Method], at: Field, fit: FitSettings) -> list[Problem]:
    if not method.base or not method.base.requires.plain:
        return []
    chosen = fit.optimizer
    given = {"momentum": chosen.momentum, "weight_decay": chosen.weight_decay}
    return [
        draft.locate(
            Problem(
                f"method `{method.use}` allows no {name.replace('_', ' ')}, but it is {value:g}",
                f"write `{name}: 0`",
                _written_at(draft, at, name),
            )
        )
        for name, value in given.items()
        if value
    ]


def _written_at(draft: Draft, at: Field, field: str) -> Field:
    wanted = ("fit", "optimizer", field)
    return next((path for path in ((*at, *wanted), wanted) if path in draft.marks), (*at, "method"))
