"""What was asked and how it ended, in plain sentences made from the recipe and the matrix."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bequest.measure.rows import GIVEN, MAIN
from bequest.report.page.headline import headlines
from bequest.report.page.html import Html, join, marked, tag
from bequest.report.page.numbers import told
from bequest.report.page.rows import last_main, words
from bequest.report.page.sequences import course_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bequest.measure.matrix import Matrix
    from bequest.report.page.source import Source

_FEW = 3  # so many tasks are named one by one
_WORTH_SAYING = 1.5  # times smaller
_VERBS = {
    "forget": "forgets",
    "retain": "keeps",
    "target": "adapts to",
    "source": "beside",
    "probe": "",
}


@dataclass(frozen=True)
class StepTold:
    """A step of the recipe as it went.

    changes: the input model that learns; row: index of the step's last row.
    tasks: the purpose that the step gives each of its tasks; "" for the task's own.
    helpers: references such as `teach.student`, by the role they help in.
    smaller: how many times smaller the learning model is than its largest helper; 1 if it isn't.
    """

    name: str
    method: str
    changes: str
    row: int
    tasks: Mapping[str, str]
    helpers: Mapping[str, str] = field(default_factory=dict)
    smaller: float = 1.0


def story(source: Source) -> Html:
    """What came of it, what is to be known of the data, and what was asked."""
    asked = " ".join(_asked(source, step) for step in steps_of(source))
    ended = (tag("li", said) for said in _ended(source))
    return join([tag("ul", *ended, class_="ended"), _data(source), tag("p", asked, class_="lead")])


def steps_of(source: Source) -> list[StepTold]:
    """The recipe's steps that left a row, in order."""
    recipe, matrix = source.record["recipe"], source.matrix
    steps = recipe.get("steps") or [{"method": recipe.get("method") or {}}]
    models = {step.get("name", ""): step.get("models") or {} for step in steps}
    found = []
    for step in steps:
        name = step.get("name", "")
        own = [i for i, row in enumerate(matrix.rows) if _is_of(row.step, name)]
        if own:
            found.append(_step(matrix, step, own[-1], models))
    return found


def _is_of(step: str, name: str) -> bool:
    return step != GIVEN and name in ("", step)


def _step(
    matrix: Matrix, step: Mapping[str, Any], row: int, models: Mapping[str, Mapping[str, Any]]
) -> StepTold:
    changes = matrix.rows[row].of
    roles = {
        role: of if isinstance(of, list) else [of]
        for role, of in (step.get("models") or {}).items()
    }
    origins = {role: [_origin(str(one), models) for one in of] for role, of in roles.items()}
    learning = [role for role, of in origins.items() if changes in of]
    learner = "student" if "student" in learning else next(iter(learning), "")
    helpers = {role: ", ".join(map(str, of)) for role, of in roles.items() if role != learner}
    sizes = [_size(matrix, name) for role in helpers for name in origins[role]]
    own = _size(matrix, changes)
    return StepTold(
        name=matrix.rows[row].step,
        method=str(step["method"].get("use", "")),
        changes=changes,
        row=row,
        tasks=_tasks_of(step, matrix.tasks),
        helpers=helpers,
        smaller=max(sizes) / own if own and sizes else 1.0,
    )


def _tasks_of(step: Mapping[str, Any], everything: Sequence[str]) -> dict[str, str]:
    """The step's tasks, each with the purpose that the step gives it; "" for the task's own."""
    tasks = step.get("tasks") or everything
    if isinstance(tasks, dict):
        return {task: purpose for purpose, names in tasks.items() for task in names}
    return dict.fromkeys(tasks, "")


def _origin(reference: str, models: Mapping[str, Mapping[str, Any]]) -> str:
    """The input model that a reference such as `teach.student` leads back to."""
    for _ in models:
        step, dot, role = reference.partition(".")
        if not dot or role not in models.get(step, {}):
            break
        reference = str(models[step][role])
    return reference


def _size(matrix: Matrix, model: str) -> float:
    own = [i for i, row in enumerate(matrix.rows) if row.line == GIVEN and row.name == model]
    return matrix.cells.costs.get(own[0], {}).get("parameters", 0.0) if own else 0.0


def _asked(source: Source, step: StepTold) -> str:
    row = source.matrix.rows[step.row]
    helped = " and ".join(f"{_said(of)} as {role}" for role, of in step.helpers.items())
    than = "its teacher" if "teacher" in step.helpers else "what it learns from"
    size = f", {step.smaller:.0f}× smaller than {than}," * (step.smaller >= _WORTH_SAYING)
    return "".join([
        f"“{step.name}”: {step.changes}{size} {_does(source, step)} by {step.method}",
        f", with {helped}" if helped else "",
        "" if row.line == MAIN else ", to compare with",
        ".",
    ])  # fmt: skip


def _said(references: str) -> str:
    step, dot, _ = references.partition(".")
    return f"the model from “{step}”" if dot and "," not in references else references


def _does(source: Source, step: StepTold) -> str:
    """`learns a and b, forgets c`."""
    about = source.record.get("tasks", {})
    verbs: dict[str, list[str]] = {}
    for task, purpose in step.tasks.items():
        verb = _VERBS.get(purpose or about.get(task, {}).get("purpose", "learn"), "learns")
        verbs.setdefault(verb, []).append(task)
    own = {row.learned for row in source.matrix.rows if row.step == step.name}
    order = " one after the other" if len(own - {None}) > 1 else ""
    said = (f"{verb} {_list(tasks)}{order * (verb == 'learns')}"
            for verb, tasks in verbs.items() if verb)  # fmt: skip
    return ", ".join(said) or "changes"


def _list(names: Sequence[str]) -> str:
    if len(names) > _FEW:
        return f"{len(names)} tasks"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _ended(source: Source) -> Iterator[str]:
    matrix = source.matrix
    said = list(headlines(matrix, source.record.get("verdict")))
    yield from said or _last(matrix)
    yield from course_words(matrix)


def _last(matrix: Matrix) -> Iterator[str]:
    """What the last stage knows, where nothing can be compared."""
    row = last_main(matrix.rows)
    measured = [
        f"{told(matrix.value(metric, row, task))} {words(metric)} on {heading}"
        for task, heading in matrix.shown.items()
        if row is not None and (metric := matrix.primary(task)) and matrix.has(metric, row, task)
    ]
    if measured and row is not None:
        more = f" and {len(measured) - _FEW} tasks more" if len(measured) > _FEW else ""
        yield f"In the end {matrix.rows[row].of} reaches {', '.join(measured[:_FEW])}{more}."


def _data(source: Source) -> Html | None:
    """What was left out of the data or repeats itself there, and how models were read."""
    notes: dict[str, list[str]] = {}
    rooms = {room: source.record.get(room, {}) for room in ("tasks", "models")}
    for name, about in (one for room in rooms.values() for one in room.items()):
        for note in about.get("notes", []):
            notes.setdefault(note, []).append(name)
    if not notes:
        return None
    said = [tag("li", tag("b", _list(names)), ": ", marked(note)) for note, names in notes.items()]
    subject = " and ".join(
        words
        for room, words in (("tasks", "the data"), ("models", "the models"))
        if any(about.get("notes") for about in rooms[room].values())
    )
    title = tag("summary", f"About {subject}: {len(said)} {'notes' if len(said) > 1 else 'note'}")
    return tag("details", title, tag("ul", *said), class_="data", open=len(said) <= _FEW)
