"""`bequest list`: what there is to name in a recipe."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bequest.cli.output import Json, print_json
from bequest.core.errors import Problem, RequestError, did_you_mean

KINDS = ("recipes", "methods", "models", "tasks", "indexes", "metrics")


def list_(
    kind: Annotated[
        str | None, typer.Argument(help=f"One of {', '.join(KINDS)}; all when left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List recipes, methods, models, tasks, indexes and metrics."""
    if kind is not None and kind not in KINDS:
        meant = did_you_mean(kind, KINDS)
        raise RequestError(Problem(f"there are no `{kind}`", f"list {', '.join(KINDS)}", (), meant))
    found = {each: _entries(each) for each in ([kind] if kind else KINDS)}
    if as_json:
        print_json(found)
        return
    for each, entries in found.items():
        typer.echo(f"{each}")
        width = max((len(entry["name"]) for entry in entries), default=0)
        for entry in entries:
            typer.echo(f"  {entry['name']:<{width}}  {entry['summary']}")


def _entries(kind: str) -> list[dict[str, Any]]:
    if kind == "recipes":
        from bequest.recipe.names import recipe_names, recipe_summary

        return [{"name": name, "summary": recipe_summary(name)} for name in recipe_names()]
    if kind == "metrics":
        from bequest.measure.contrasts import METRICS

        return [
            {
                "name": metric.name,
                "summary": metric.definition,
                "kind": metric.kind,
                "unit": metric.unit,
                "better": metric.better,
                "source": metric.source,
            }
            for metric in METRICS.values()
        ]
    from bequest.core.find import known

    return [
        {"name": entry.name, "family": entry.family, "summary": entry.summary}
        for entry in known(kind).values()
    ]
