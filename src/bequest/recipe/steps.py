"""Whether the steps of a recipe fit its models, its tasks and each other."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from bequest.core.errors import Problem, RequestError, did_you_mean
from bequest.core.find import find, known
from bequest.recipe.messages import choices

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bequest.core.live import Purpose
    from bequest.core.parts import Method, ModelSpec, Role, TaskSpec
    from bequest.recipe.draft import Draft
    from bequest.recipe.parts import Found
    from bequest.recipe.schema import Step
    from bequest.recipe.tree import Field


@dataclass(frozen=True)
class Result:
    """What later steps may refer to.

    roles: the step's roles; None where its method is unknown, so that any role may exist.
    origins: for each role the input models that its model was made from.
    """

    roles: Mapping[str, Role] | None
    origins: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Surroundings:
    """What a step is checked against: all models and tasks, all step names, earlier results."""

    draft: Draft
    models: Mapping[str, Found[ModelSpec]]
    tasks: Mapping[str, Found[TaskSpec]]
    names: tuple[str, ...]
    earlier: Mapping[str, Result]

    def parts(self, name: str) -> tuple[str, ...]:
        """What the entry `name` stands for, as far as it is without mistakes; itself otherwise."""
        part = self.tasks[name].part if name in self.tasks else None
        return part.parts(name) if part else (name,)

    @cached_property
    def entries(self) -> dict[str, str]:
        """The entry that each task comes from, by the task's name."""
        return {part: name for name in self.tasks for part in self.parts(name)}


class Written(NamedTuple):
    """An entry of tasks as a step names it: its purpose in this step if one is said, and where."""

    name: str
    purpose: Purpose | None
    at: Field


@dataclass(frozen=True)
class Site:
    """A step, where it stands in the recipe (`()` for the only method) and its method."""

    step: Step
    at: Field
    method: Found[Method]
    around: Surroundings

    @property
    def roles(self) -> Mapping[str, Role]:
        """The roles of the step's method; none while the method is unknown."""
        return self.method.base.roles if self.method.base else {}

    @property
    def written(self) -> list[Written]:
        """The entries of tasks that the step names, or all there are."""
        tasks, at = self.step.tasks, (*self.at, "tasks")
        if isinstance(tasks, dict):
            return [
                Written(name, purpose, (*at, purpose, number))
                for purpose, names in tasks.items()
                for number, name in enumerate(names)
            ]
        named = self.around.tasks if tasks is None else tasks
        return [Written(name, None, (*at, number)) for number, name in enumerate(named)]

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the step's tasks; an entry that stands for several means all of them."""
        return tuple(part for one in self.written for part in self.around.parts(one.name))

    @property
    def purposes(self) -> dict[str, Purpose]:
        """What each of the step's tasks is there for, as far as they are without mistakes."""
        specs = self.specs
        return {
            part: one.purpose or specs[part].purpose
            for one in self.written
            for part in self.around.parts(one.name)
            if part in specs
        }

    @property
    def specs(self) -> dict[str, TaskSpec]:
        """The step's tasks by name, as far as they are without mistakes."""
        found = {
            part: self.around.tasks.get(self.around.entries.get(part, "")) for part in self.tasks
        }
        return {part: entry.part for part, entry in found.items() if entry and entry.part}

    @property
    def models(self) -> dict[str, tuple[str, ...]]:
        """References by role, as written or by the input model that is named like the role."""
        refs = {}
        for role in self.roles:
            written = self.step.models.get(role, role if role in self.around.models else [])
            refs[role] = (written,) if isinstance(written, str) else tuple(written)
        return refs

    def origins(self, role: str) -> tuple[str, ...]:
        """The input models that the models of `role` were made from."""
        found: list[str] = []
        for reference in self.models[role]:
            step, _, theirs = reference.rpartition(".")
            result = self.around.earlier.get(step)
            found += result.origins.get(theirs, ()) if result else () if step else (reference,)
        return tuple(dict.fromkeys(found))

    def result(self) -> Result:
        """What later steps may refer to."""
        roles = self.roles if self.method.base else None
        return Result(roles, {role: self.origins(role) for role in self.roles})


def check_step(site: Site) -> list[Problem]:
    """Everything in a step that does not fit: tasks, roles, references, protocols, purposes."""
    problems = [*_tasks(site), *_unknown_roles(site)]
    for role in site.roles:
        problems += _role(site, role)
    problems += [*_purposes(site), *_answers(site), *_takes(site)]
    return [site.around.draft.locate(problem) for problem in problems]


def _tasks(site: Site) -> Iterator[Problem]:
    known = dict.fromkeys([*site.around.tasks, *site.around.entries])
    said: dict[str, str] = {}
    for name, _, at in site.written if site.step.tasks is not None else ():
        if name not in known:
            meant = did_you_mean(name, known)
            yield Problem(f"unknown task `{name}`", f"known are {choices(known)}", at, meant)
        for part in site.around.parts(name):
            if said.get(part, name) != name:
                what = f"task `{part}` is there twice: by `{said[part]}` and by `{name}`"
                yield Problem(what, "keep one", at)
            elif part in said and isinstance(site.step.tasks, dict):
                what = f"task `{part}` is there for two purposes"
                yield Problem(what, "a step has one for each of its tasks", at)
            said[part] = name


def _unknown_roles(site: Site) -> Iterator[Problem]:
    if site.method.base is None:
        return
    for role in site.step.models:
        if role not in site.roles:
            what = f"method `{site.method.use}` has no role `{role}`"
            fix, meant = f"its roles are {choices(site.roles)}", did_you_mean(role, site.roles)
            problem = Problem(what, fix, (*site.at, "models", role), meant)
            yield site.around.draft.locate(problem, key=True)


def _role(site: Site, name: str) -> Iterator[Problem]:
    role, refs = site.roles[name], site.models[name]
    at = (*site.at, "models", name)
    if not refs and not role.optional:
        what = f"method `{site.method.use}` needs a model here: {role.about}"
        yield Problem(what, _missing_role_fix(site, name), at)
    if len(refs) > 1 and not role.many:
        yield Problem(f"must be one model, but is a list of {len(refs)}", field=at)
    written = site.step.models.get(name)
    for number, reference in enumerate(refs):
        field = (*at, number) if isinstance(written, list) else at
        yield from _reference(site, reference, role, field)


def _missing_role_fix(site: Site, name: str) -> str:
    if not site.at:
        return f"add a model named `{name}`"
    return f"write `{name}: MODEL`, of {choices(site.around.models)} or an earlier `step.role`"


def _reference(site: Site, reference: str, role: Role, at: Field) -> Iterator[Problem]:
    step, _, theirs = reference.rpartition(".")
    if not step:
        if reference not in site.around.models:
            fix = f"known are {choices(site.around.models)}, and `step.role` of an earlier step"
            meant = did_you_mean(reference, site.around.models)
            yield Problem(f"unknown model `{reference}`", fix, at, meant)
    elif step not in site.around.earlier:
        yield _no_such_step(site, step, at)
    else:
        yield from _no_such_result(site.around.earlier[step], step, theirs, role, at)


def _no_such_step(site: Site, step: str, at: Field) -> Problem:
    fix = f"steps before this one are {choices(site.around.earlier)}"
    if step in site.around.names:
        return Problem(f"step `{step}` does not come before this one", fix, at)
    return Problem(f"unknown step `{step}`", fix, at, did_you_mean(step, site.around.earlier))


def _no_such_result(
    result: Result, step: str, theirs: str, role: Role, at: Field
) -> Iterator[Problem]:
    if result.roles is None:
        return
    if theirs not in result.roles:
        fix, meant = f"it has {choices(result.roles)}", did_you_mean(theirs, result.roles)
        yield Problem(f"step `{step}` has no role `{theirs}`", fix, at, meant)
    elif result.roles[theirs].many and not role.many:
        yield Problem(f"must be one model, but `{step}.{theirs}` is several", field=at)


def _learnt(site: Site) -> dict[str, TaskSpec]:
    """The step's tasks that its method learns from, as far as they are without mistakes."""
    wanted, purposes = site.method.base.requires.purposes if site.method.base else (), site.purposes
    return {name: spec for name, spec in site.specs.items() if purposes[name] in wanted}


def _learnt_entries(site: Site) -> dict[str, TaskSpec]:
    """The same by entry of the recipe, so that each is named once."""
    return {site.around.entries[name]: spec for name, spec in _learnt(site).items()}


def _purposes(site: Site) -> Iterator[Problem]:
    if site.method.base is None or len(site.specs) < len(set(site.tasks)):
        return
    requires = site.method.base.requires
    there: Counter[str] = Counter(site.purposes.values())
    for purpose in requires.purposes:
        if not there[purpose]:
            what = f"method `{site.method.use}` needs a task with the purpose `{purpose}`"
            fix = f"set `purpose: {purpose}` on one of {choices(site.tasks)}, or name it in this "
            fix += f"step as `tasks: {{{purpose}: […]}}`"
            yield Problem(what, fix, (*site.at, "tasks"))
    first = next(iter(requires.purposes), "")
    if 0 < there[first] < requires.least_tasks:
        what = f"method `{site.method.use}` needs {requires.least_tasks} tasks with the purpose "
        fix = "add tasks, or make several of one, as `use: rotations` does"
        here = f"`{first}`, but there is only {there[first]}"
        yield Problem(what + here, fix, (*site.at, "tasks"))


def _models_of(site: Site, role: str) -> Iterator[tuple[str, Any, str]]:
    """Name, checked spec and `use` of every input model behind a role."""
    for name in site.origins(role):
        found = site.around.models.get(name)
        if found and found.part:
            yield name, found.part, found.use


def _answers(site: Site) -> Iterator[Problem]:
    for name, role in site.roles.items():
        for model, spec, use in _models_of(site, name):
            answered = spec.protocols()
            if role.learns and not spec.can_learn():
                what = f"`{use}` can't learn, which role `{name}` of `{site.method.use}` does"
                fix = "put learnt layers behind it (`use: embedder` or `use: bt2` with it in `of:`)"
                yield Problem(what, fix, ("models", model))
            says = f"but model `{model}` ({use}) answers {choices(sorted(answered))}"
            at = ("models", model)
            if role.answers and not set(role.answers) & set(answered):
                wanted = " or ".join(f"`{protocol}`" for protocol in role.answers)
                asks = f"role `{name}` of method `{site.method.use}` asks {wanted}"
                fix = spec.made_to_answer(role.answers) or _answering(*role.answers)
                yield Problem(f"{asks}, {says}", fix, at)
                continue
            for task, asked in _learnt_entries(site).items() if role.learns else ():
                if asked.asks not in answered:
                    what = f"task `{task}` asks `{asked.asks}`, {says}"
                    fix = spec.made_to_answer((asked.asks,)) or _answering(asked.asks)
                    yield Problem(what, fix, at)


def _takes(site: Site) -> Iterator[Problem]:
    for name in site.roles:
        for model, spec, use in _models_of(site, name):
            for task, asked in _learnt_entries(site).items():
                kinds, given = spec.kinds(), asked.gives()
                if kinds and given and given not in kinds:
                    what = f"{use} takes {choices(sorted(kinds))}, but task `{task}` gives "
                    yield Problem(what + given, _taking(given), ("models", model, "use"))


def _answering(*protocols: str) -> str:
    found = [name for name, model in _built_in().items() if set(protocols) & set(model.answers)]
    return _advice(found)


def _taking(kind: str) -> str:
    return _advice([name for name, model in _built_in().items() if kind in model.takes])


def _advice(names: list[str]) -> str:
    return f"use {' or '.join(names)}" if names else "use another model, or one of your own"


def _built_in() -> dict[str, type[ModelSpec]]:
    """The built-in models; all are imported, so only a mistake is worth it."""
    found = {}
    for name in known("models"):
        try:
            found[name] = find("models", name)
        except RequestError:
            continue
    return found
