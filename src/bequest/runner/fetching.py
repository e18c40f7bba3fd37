"""Assets that a recipe names and that are not here yet: fetched first, so that people see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.build.assets.names import is_asset
from bequest.build.finding import at_hand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bequest.core.progress import Progress
    from bequest.recipe.plan import Plan


def fetch_assets(plan: Plan, progress: Progress) -> None:
    """Fetch every asset that a `path` in the recipe names, unless it is here.

    Raises:
        RequestError: one can't be had.
    """
    for path in dict.fromkeys(_paths([plan.resolved["models"], plan.resolved["tasks"]])):
        name = path.partition("/")[0]
        if is_asset(name) and at_hand(path) is None:
            from bequest.build.assets.fetch import fetched

            fetched(name, progress)


def _paths(told: Any) -> Iterator[str]:
    """What stands in fields called `path`, however deep."""
    if isinstance(told, list):
        for each in told:
            yield from _paths(each)
    elif isinstance(told, dict):
        if isinstance(told.get("path"), str):
            yield told["path"]
        yield from _paths(list(told.values()))
