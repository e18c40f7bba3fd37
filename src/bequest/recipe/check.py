"""Every mistake of a recipe, all at once, before anything heavy is imported."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from bequest.core.errors import Position, Problem, RequestError
from bequest.recipe.fitting import check_layer, fit_of
from bequest.recipe.messages import shown, validated
from bequest.recipe.parts import find_method, find_models, find_tasks
from bequest.recipe.plan import Plan, PlannedStep
from bequest.recipe.reading import read
from bequest.recipe.schema import NAME_PATTERN, FitSettings, Recipe, Step
from bequest.recipe.steps import Result, Site, Surroundings, check_step

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from bequest.recipe.draft import Draft
    from bequest.recipe.tree import Field

_NOWHERE = Position("")


def load(source: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> Plan:
    """The plan of a recipe; arguments as for `recipe.reading.read`.

    Raises:
        RequestError: the recipe is wrong; carries every problem that was found.
    """
    plan, problems = check(read(source, overrides))
    if plan is None:
        raise RequestError(problems)
    return plan


def check(draft: Draft) -> tuple[Plan | None, list[Problem]]:
    """The plan of a recipe, or None and everything that is wrong with it, in the file's order."""
    recipe, problems = validated(Recipe, draft.data, draft, ())
    models, wrong_models = find_models(draft)
    tasks, wrong_tasks = find_tasks(draft)
    problems += [*wrong_models, *wrong_tasks, *_whole(draft)]
    names = tuple(str(step.get("name")) for _, step in _written_steps(draft.data))
    around = Surroundings(draft, models, tasks, names, {})
    checked, wrong_steps = _check_steps(around)
    problems += wrong_steps
    if problems or recipe is None:
        return None, _in_order(problems)
    plan = Plan(
        name=draft.name,
        title=recipe.title,
        models={name: found.part for name, found in models.items() if found.part},
        tasks={name: found.part for name, found in tasks.items() if found.part},
        steps=tuple(planned for one in checked if (planned := _planned(one))),
        seeds=tuple(recipe.seeds),
        gate=tuple(recipe.gate),
        resolved=_resolved(recipe, around, checked),
    )
    return plan, []


class _Checked(NamedTuple):
    """A step without mistakes, and its merged fit settings."""

    site: Site
    fit: FitSettings


def _check_steps(around: Surroundings) -> tuple[list[_Checked], list[Problem]]:
    """Every step that is well-formed, in order, and what is wrong with all of them."""
    draft, checked, earlier = around.draft, [], dict[str, Result]()
    general = check_layer(draft, ("fit",))
    problems = list(general)
    for at, raw in _written_steps(draft.data):
        method, wrong = find_method(raw.get("method"), draft, (*at, "method"))
        own = check_layer(draft, (*at, "fit"))
        problems += [*wrong, *own]
        step, _ = validated(Step, raw, draft, at)  # the whole recipe's check said what is wrong
        if step is None:
            earlier[str(raw.get("name"))] = Result(None, {})
            continue
        site = Site(step, at, method, replace(around, earlier=dict(earlier)))
        problems += check_step(site)
        earlier[step.name] = site.result()
        if not general and not own:
            fit, wrong = fit_of(draft, method, at)
            problems += wrong
            checked.append(_Checked(site, fit))
    return checked, problems


def _written_steps(data: dict[str, Any]) -> Iterator[tuple[Field, dict[str, Any]]]:
    """Every step with its field; a recipe's only method is a step that is named like it."""
    if isinstance(steps := data.get("steps"), list):
        for number, step in enumerate(steps):
            if isinstance(step, dict):
                yield ("steps", number), step
    elif isinstance(method := data.get("method"), dict):
        name = str(method.get("use")).rpartition(":")[2]
        valid = re.fullmatch(NAME_PATTERN, name) and len(name) <= 64
        yield (), {"name": name if valid else "method", "method": method}


def _whole(draft: Draft) -> Iterator[Problem]:
    """Mistakes that concern the recipe as a whole."""
    there = [name for name in ("method", "steps") if draft.data.get(name) is not None]
    if len(there) == 2:
        what = "a recipe has either one `method` or `steps`, not both"
        yield draft.locate(Problem(what, "remove one of them", ("steps",)), key=True)
    if not there:
        yield draft.locate(Problem("is missing", "write `method:` or `steps:`", ("method",)))
    names = [(at, step.get("name")) for at, step in _written_steps(draft.data) if at]
    yield from _repeated(draft, [((*at, "name"), name) for at, name in names])
    for path in (("seeds",), *((*at, "tasks") for at, _ in names)):
        yield from _repeated(draft, _entries(draft, path))


def _entries(draft: Draft, path: Field) -> list[tuple[Field, Any]]:
    value: Any = draft.data
    for part in path:
        value = value.get(part) if isinstance(value, dict) else value[part]
    entries = value if isinstance(value, list) else []
    return [((*path, number), entry) for number, entry in enumerate(entries)]


def _repeated(draft: Draft, entries: list[tuple[Field, Any]]) -> Iterator[Problem]:
    seen = set()
    for at, value in entries:
        if isinstance(value, (str, int)):
            if value in seen:
                yield draft.locate(Problem(f"{shown(value)} is there twice", "keep one", at))
            seen.add(value)


def _in_order(problems: list[Problem]) -> list[Problem]:
    def place(problem: Problem) -> tuple[str, int, int]:
        at = problem.at or _NOWHERE
        return at.file, at.line, at.column

    return sorted(dict.fromkeys(problems), key=place)


def _planned(checked: _Checked) -> PlannedStep | None:
    site, method = checked.site, checked.site.method
    if method.part is None:
        return None
    return PlannedStep(
        name=site.step.name,
        method_name=method.use,
        method=method.part,
        models=_references(site),
        tasks=site.tasks,
        fit=checked.fit,
        line=site.step.line,
    )


def _references(site: Site) -> dict[str, str | tuple[str, ...]]:
    """What each role holds: a reference, or a tuple of them where the role holds many."""
    many = {name for name, role in site.roles.items() if role.many}
    return {role: refs if role in many else refs[0] for role, refs in site.models.items()}


def _resolved(recipe: Recipe, around: Surroundings, checked: list[_Checked]) -> dict[str, Any]:
    return {
        "schema": recipe.schema_,
        "title": recipe.title,
        "models": {name: found.resolved for name, found in around.models.items()},
        "tasks": {name: found.resolved for name, found in around.tasks.items()},
        **_resolved_steps(recipe, checked),
        "seeds": recipe.seeds,
        "gate": recipe.gate,
    }


def _resolved_steps(recipe: Recipe, checked: list[_Checked]) -> dict[str, Any]:
    if recipe.steps is None:
        only = checked[0]
        return {"method": only.site.method.resolved, "fit": only.fit.model_dump(mode="json")}
    return {"steps": [_resolved_step(one) for one in checked]}


def _resolved_step(checked: _Checked) -> dict[str, Any]:
    site = checked.site
    models = {
        role: list(refs) if isinstance(refs, tuple) else refs
        for role, refs in _references(site).items()
    }
    return {
        "name": site.step.name,
        "method": site.method.resolved,
        "models": models,
        "tasks": list(site.tasks),
        "fit": checked.fit.model_dump(mode="json"),
        "line": site.step.line,
    }
