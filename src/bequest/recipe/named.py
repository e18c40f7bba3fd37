"""Parts that name another of the recipe's where its settings could stand: `of: student`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bequest.core.errors import Problem, RequestError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bequest.recipe.tree import Node

# Fields of a part that hold another one of the same kind.
_FIELDS: Mapping[str, tuple[str, ...]] = {"models": ("of", "old"), "tasks": ("of",)}


def with_named(recipe: Node) -> Node:
    """The recipe with the settings of models and tasks wherever others name them.

    Raises:
        RequestError: there is none of that name, or parts are made of each other in a circle.
    """
    kinds = dict(recipe.mapping)
    for kind in _FIELDS.keys() & kinds.keys():
        every = kinds[kind]
        parts = {name: _filled(kind, (name,), part, every) for name, part in every.mapping.items()}
        if parts:
            kinds[kind] = replace(every, value=parts)
    return replace(recipe, value=kinds) if recipe.mapping else recipe


def _filled(kind: str, chain: tuple[str, ...], part: Node, every: Node) -> Node:
    """A part with settings for names in it; `chain`: names that led here, itself the last."""
    fields = dict(part.mapping)
    for field in fields.keys() & {*_FIELDS[kind]}:
        inner = fields[field]
        name = inner.value
        if isinstance(name, str):
            _refuse(kind, chain, field, inner, every)
            fields[field] = _filled(kind, (*chain, name), every.mapping[name], every)
        else:
            fields[field] = _filled(kind, chain, inner, every)
    return replace(part, value=fields) if fields else part


def _refuse(kind: str, chain: tuple[str, ...], field: str, inner: Node, every: Node) -> None:
    name, one = str(inner.value), kind.removesuffix("s")
    place = (kind, chain[0], field)
    if name not in every.mapping:
        what, known = f"there is no {one} `{name}` in the recipe", ", ".join(every.mapping)
        fix = f"name one of {known}, or write its settings: `{{use: …}}`"
        meant = did_you_mean(name, every.mapping)
        raise RequestError(Problem(what, fix, place, meant, inner.at))
    if name in chain:
        what = f"the {one} `{name}` is made of itself"
        raise RequestError(Problem(what, f"name another {one}", place, at=inner.at))
