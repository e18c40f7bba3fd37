"""Every mistake of a recipe, all at once, before anything heavy is imported."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from bequest.core.errors import Position, Problem, RequestError
from bequest.recipe.fitting import check_layer, fit_of
from bequest.recipe.messages import shown, validated
from bequest.recipe.parts import find_method, find_models, find_tasks
from bequest.recipe.places import placed
from bequest.recipe.plan import Plan, PlannedStep
from bequest.recipe.reading import read
from bequest.recipe.schema import FitSettings, Recipe, Step
from bequest.recipe.steps import Result, Site, Surroundings, check_step
from bequest.recipe.written import GOLD, LINES, all_steps, line_like, written_steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from bequest.core.parts import TaskSpec
    from bequest.recipe.draft import Draft
    from bequest.recipe.parts import Found
    from bequest.recipe.tree import Field

_NOWHERE = Position("")
_NOTHING_LIKE = {
    False: Problem(
        "no step learns a sequence of tasks",
        "it stands beside a method such as `sequential` or `replay`",
    ),
    True: Problem("no step forgets a task", "it stands beside a method of unlearning"),
}


def load(source: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> Plan:
    """The plan of a recipe; arguments as for `recipe.reading.read`.

    Raises:
        RequestError: the recipe is wrong; carries every problem that was found.
    """
    plan, problems = check(placed(read(source, overrides)))
    if plan is None:
        raise RequestError(problems)
    return plan


def check(draft: Draft) -> tuple[Plan | None, list[Problem]]:
    """The plan of a recipe, or None and everything that is wrong with it, in the file's order."""
    recipe, problems = validated(Recipe, draft.data, draft, ())
    models, wrong_models = find_models(draft)
    tasks, wrong_tasks = find_tasks(draft)
    problems += [*wrong_models, *wrong_tasks, *_whole(draft), *_same_names(draft, tasks)]
    names = tuple(str(written.raw.get("name")) for written in all_steps(draft))
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
    for at, raw, fit_at in all_steps(draft):
        method, wrong = find_method(raw.get("method"), draft, (*at, "method"))
        own = check_layer(draft, (*fit_at, "fit"))
        problems += [*wrong, *own]
        step, _ = validated(Step, raw, draft, at)  # the whole recipe's check said what is wrong
        if step is None:
            earlier[str(raw.get("name"))] = Result(None, {})
            continue
        site = Site(step, at, method, replace(around, earlier=dict(earlier)))
        problems += check_step(site)
        earlier[step.name] = site.result()
        if not general and not own:
            fit, wrong = fit_of(draft, method, fit_at)
            problems += wrong
            checked.append(_Checked(site, fit))
    return checked, problems


def _whole(draft: Draft) -> Iterator[Problem]:
    """Mistakes that concern the recipe as a whole."""
    there = [name for name in ("method", "steps") if draft.data.get(name) is not None]
    if len(there) == 2:
        what = "a recipe has either one `method` or `steps`, not both"
        yield draft.locate(Problem(what, "remove one of them", ("steps",)), key=True)
    if not there:
        yield draft.locate(Problem("is missing", "write `method:` or `steps:`", ("method",)))
    names = [(at, raw.get("name")) for at, raw, _ in written_steps(draft.data) if at]
    yield from _repeated(draft, [((*at, "name"), name) for at, name in names])
    for path in (("seeds",), ("lines",), *((*at, "tasks") for at, _ in names)):
        yield from _repeated(draft, _entries(draft, path))
    written = list(written_steps(draft.data))
    for at, line in _entries(draft, ("lines",)):
        if line in LINES and not line_like(line, written):
            yield draft.locate(replace(_NOTHING_LIKE[line == GOLD], field=at))


def _same_names(draft: Draft, tasks: Mapping[str, Found[TaskSpec]]) -> Iterator[Problem]:
    """Tasks that are called like a part of another entry."""
    seen: dict[str, str] = {}
    for name, found in tasks.items():
        for part in found.part.parts(name) if found.part else ():
            if (other := seen.setdefault(part, name)) != name:
                what = f"there are two tasks `{part}`: by `{other}` and by `{name}`"
                problem = Problem(what, "rename one of them", ("tasks", name))
                yield draft.locate(problem, key=True)


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

    # Settings that stand in several parts, as these name their model, are wrong once.
    once = {(one.at, one.what) if one.at and one.at.line else one: one for one in problems[::-1]}
    return sorted(once.values(), key=place)


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
        purposes=site.purposes,
        fit=checked.fit,
        line=site.step.line,
    )


def _references(site: Site) -> dict[str, str | tuple[str, ...]]:
    """What each role holds: a reference, or a tuple of them where the role holds many."""
    many = {name for name, role in site.roles.items() if role.many}
    return {role: refs if role in many else refs[0] for role, refs in site.models.items() if refs}


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
    if recipe.steps is None and len(checked) == 1:
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
        "tasks": _resolved_tasks(site),
        "fit": checked.fit.model_dump(mode="json"),
        "line": site.step.line,
    }


def _resolved_tasks(site: Site) -> list[str] | dict[str, list[str]]:
    """The parts of the step's tasks, under purposes where the step says some."""
    if not isinstance(site.step.tasks, dict):
        return list(site.tasks)
    return {
        purpose: [part for name in names for part in site.around.parts(name)]
        for purpose, names in site.step.tasks.items()
    }
