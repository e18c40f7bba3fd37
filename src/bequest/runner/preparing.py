"""Everything that can go wrong before the work starts, found before anything is written."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.build.heads import headed
from bequest.build.model import align
from bequest.build.regression import Regression
from bequest.core.errors import Problem, RequestError, did_you_mean, dotted
from bequest.lazy import torch
from bequest.measure.rules import check_rules
from bequest.recipe.check import check
from bequest.recipe.places import placed
from bequest.recipe.reading import read
from bequest.runner.facts import look_at
from bequest.runner.heads import heads_problems
from bequest.runner.label_spaces import in_one_space, label_problems
from bequest.runner.learners import learner_problems
from bequest.runner.moments import moments_problems
from bequest.runner.parents import merges, parent_problems
from bequest.runner.single_samples import single_sample_problems
from bequest.runner.strangers import built_for, stranger_problems, strangers
from bequest.runner.unknown_tokens import unknown_tokens
from bequest.runner.widths import in_indexes, width_problems
from bequest.store.journal import derive
from bequest.store.processes import ALONE
from bequest.transfer.bench import TaskView
from bequest.transfer.randomness import seeded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from bequest.core.live import Model, Task
    from bequest.core.parts import ModelSpec, TaskSpec
    from bequest.recipe.draft import Draft
    from bequest.recipe.plan import Plan
    from bequest.runner.facts import Facts
    from bequest.store.processes import Processes


@dataclass(frozen=True)
class Prepared:
    """A checked request with its data loaded; models are built per seed.

    facts: of every input model. settled: their settings, as far as they were asked for.
    """

    plan: Plan
    tasks: Mapping[str, Task]
    device: torch.device
    facts: Mapping[str, Facts]
    settled: dict[str, ModelSpec] = field(default_factory=dict)

    @property
    def pattern(self) -> Task:
        """The task whose inputs and labels models are built for."""
        return built_for(self.plan, self.tasks)

    @cached_property
    def asked(self) -> Mapping[str, Task]:
        """The tasks that models are asked about: all but sources of another kind."""
        odd = strangers(self.plan, self.tasks)
        return {name: task for name, task in self.tasks.items() if name not in odd}

    def spec(self, name: str) -> ModelSpec:
        """The settings of an input model, with what follows from others filled in."""
        if name not in self.settled:
            first = self.pattern
            self.settled[name] = self.plan.models[name].settled(first.shape, first.kind)
        return self.settled[name]

    def described(self, name: str) -> dict[str, Any]:
        """The same as a recipe would write them, `use` among them."""
        written: dict[str, Any] = self.plan.resolved["models"][name]
        before, after = self.plan.models[name], self.spec(name)
        fields = type(after).model_fields if after is not before else ()
        return {**written, **{field: getattr(after, field) for field in fields
                              if getattr(after, field) != getattr(before, field)}}  # fmt: skip

    def build(self, name: str, seed: int) -> Model:
        """The input model called `name` as it is under `seed`, on the device.

        Its label space is the tasks': logits stand in the order of their labels.
        """
        first = self.pattern
        spec = self.spec(name)
        with seeded(derive(seed, "model", name)):
            if isinstance(first, Regression):
                _refuse_without_float64(self.device)
                model = spec.predictor(first.shape, first.kind, first.target)
            else:
                model = spec.build(first.shape, first.kind, first.labels)
        model.module.to(self.device).eval()
        return headed(align(model, first.labels)) if "logits" in model.answers else model


def inspect(
    recipe: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()
) -> tuple[Draft, Plan]:
    """Read and check a recipe and its gate; imports no torch.

    Raises:
        RequestError: with every mistake in it.
    """
    draft = placed(read(recipe, overrides))
    plan, problems = check(draft)
    if plan is not None:
        problems = [*problems, *map(draft.locate, _gate_problems(plan, {}))]
    if problems or plan is None:
        raise RequestError(problems)
    return draft, plan


def prepare(
    draft: Draft, plan: Plan, device: str = "auto", processes: Processes = ALONE
) -> Prepared:
    """Load every task and build every model once, so that what can't be had is known now.

    Raises:
        RequestError: with every part that can't be had, at its place in the recipe.
    """
    chosen = processes.device or choose_device(device)
    tasks: dict[str, Task] = {}
    problems = []
    for name, spec in plan.tasks.items():
        problems += _attempt(partial(_load, tasks, name, spec), ("tasks", name))
    if not problems:
        problems = [
            *label_problems(plan, tasks),
            *_splits(plan, tasks),
            *_sides(draft, plan, tasks),
        ]
        problems += [*moments_problems(draft, plan, tasks), *stranger_problems(plan, tasks)]
        problems += learner_problems(draft, plan, tasks)
    if not problems:
        tasks = in_one_space(plan, tasks)
        problems = [*_data_problems(plan, tasks), *_gate_problems(plan, tasks)]
    facts: dict[str, Facts] = {}
    prepared = Prepared(plan, tasks, chosen, facts)
    if not problems:
        wrong: list[Problem] = []
        for name in plan.models:
            problems += _attempt(partial(_look, prepared, name, facts, wrong), ("models", name))
        problems = problems or [*width_problems(plan, tasks, facts)] or wrong
    if not problems:
        problems = [*heads_problems(plan, facts), *single_sample_problems(plan, tasks, facts)]
        problems += parent_problems(plan, facts)
    if problems:
        raise RequestError([draft.locate(problem) for problem in problems])
    return prepared


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto` takes an accelerator where there is one.

    Raises:
        RequestError: torch knows no such device, or this machine has none.
    """
    if name == "auto":
        if torch.accelerator.is_available():
            return torch.accelerator.current_accelerator() or torch.device("cpu")
        return torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        there = devices()
        meant = did_you_mean(name, there) if name != "gpu" else "".join(there[1:2])
        what = f"this machine has no device `{name}`"
        raise RequestError(Problem(what, f"it has {', '.join(there)}", (), meant)) from error
    return device


def devices() -> list[str]:
    """Names of the devices that models can be put on here."""
    kind = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    count = torch.accelerator.device_count() if kind else 0
    return ["cpu", *(f"{kind.type}:{number}" for number in range(count) if kind)]


def _refuse_without_float64(device: torch.device) -> None:
    """Numbers are predicted in float64, so that the mean of a target takes nothing from its digits.

    Raises:
        RequestError: the device has no such numbers.
    """
    if device.type == "mps":
        what = "numbers are predicted in float64, which device `mps` does not have"
        raise RequestError(Problem(what, "use `--device cpu`"))


def _gate_problems(plan: Plan, tasks: Mapping[str, Task]) -> list[Problem]:
    """Rules that can't be judged, as far as the tasks that are loaded tell."""
    recorded = {
        part: set(plan.tasks[name].records) - _not_recorded(tasks.get(part))
        for part, name in plan.entries.items()
    }
    stages = {step.name for step in plan.steps} | {step.line for step in plan.steps}
    return check_rules(plan.gate, recorded, [*stages, *plan.models])


def _not_recorded(task: Task | None) -> set[str]:
    """What tasks of labels record only where there are groups, or two labels."""
    if task is None or task.asks != "logits":
        return set()
    test = task.splits["test"]
    given = {"group": test.group is not None, "log_odds": len(task.labels) == 2}
    return {name for name, there in given.items() if not there}


def _look(prepared: Prepared, name: str, facts: dict[str, Facts], in_index: list[Problem]) -> None:
    """Take down the facts of a model, and what is wrong with vectors that it is to have made."""
    plan = prepared.plan
    batch = max(step.fit.batch_size for step in plan.steps)
    built = prepared.build(name, plan.seeds[0])
    searched = any(task.asks == "embed" for task in prepared.tasks.values())
    notes, wrong = in_indexes(plan, prepared.tasks, name, built)
    in_index += wrong
    told, wrong = unknown_tokens(built, prepared.asked.values())
    if wrong:
        raise RequestError(wrong)
    shape = (batch, *prepared.pattern.shape)
    found = look_at(built, shape, searched=searched, merged=merges(plan))
    facts[name] = replace(found, notes=(*found.notes, *told, *notes))


def _load(tasks: dict[str, Task], name: str, spec: TaskSpec) -> None:
    tasks.update(spec.load_parts(name))


def _attempt(work: Callable[[], object], field: tuple[str, ...]) -> list[Problem]:
    try:
        work()
    except RequestError as error:
        return [problem.under(*field) for problem in error.problems]
    except Exception as error:
        error.add_note(dotted(field))
        raise
    return []


def _data_problems(plan: Plan, tasks: Mapping[str, Task]) -> Iterator[Problem]:
    """What methods say about the data of their steps, each at its place in the recipe, once."""
    said, entries = set(), plan.entries
    for step in plan.steps:
        specs = {role: [plan.models[name] for name in plan.origins(names)]
                 for role, names in step.models.items()}  # fmt: skip
        views = [
            TaskView(tasks[name], torch.device("cpu"), step.purposes.get(name))
            for name in step.tasks
        ]
        for problem in step.method.check_data(specs, views):
            room, *rest = problem.field
            if room == "tasks" and rest:
                rest = [entries.get(str(rest[0]), rest[0]), *rest[1:]]
            found = replace(problem, field=(room, *rest))
            if found not in said:
                yield found
            said.add(found)


def _splits(plan: Plan, tasks: Mapping[str, Task]) -> Iterator[Problem]:
    for step in plan.steps:
        if not step.method.requires.validation:
            continue
        for name in step.with_purpose("learn"):
            if "validation" not in tasks[name].splits:
                what = f"`{step.method_name}` needs validation data, but the task has none"
                fix = "give it a share, as with `validation: 0.1`, or another `split_seed`"
                yield Problem(what, fix, ("tasks", plan.entries[name]))


def _sides(draft: Draft, plan: Plan, tasks: Mapping[str, Task]) -> Iterator[Problem]:
    """What a step learns from, forgets or retains must be there, and no sample both of the last."""
    places = {step["name"]: ("steps", number) for number, step in enumerate(_steps(draft))}
    for step in plan.steps:
        at = (*places.get(step.name, ()), "tasks")
        for purpose in step.method.requires.purposes:
            for name in () if purpose == "probe" else step.with_purpose(purpose):
                if not len(tasks[name].splits["train"]):
                    what = f"task `{name}` has no sample for `{step.name}` to {purpose}"
                    yield Problem(what, "give it data to train on", ("tasks", plan.entries[name]))
        if "forget" not in step.method.requires.purposes:
            continue
        for name in step.with_purpose("forget"):
            for other in step.with_purpose("retain"):
                yield from _overlap(tasks[name], tasks[other], step.name, at)


def _steps(draft: Draft) -> list[dict[str, Any]]:
    steps = draft.data.get("steps")
    return steps if isinstance(steps, list) else []


def _overlap(forget: Task, retain: Task, step: str, at: tuple[str | int, ...]) -> Iterator[Problem]:
    if both := len(np.intersect1d(forget.splits["train"].ids, retain.splits["train"].ids)):
        samples = "a sample" if both == 1 else f"{both} samples"
        what = f"`{step}` is to forget and to retain {samples}, in `{forget.name}` and in "
        fix = "leave out of one what is in the other"
        yield Problem(f"{what}`{retain.name}`", fix, at)
