"""Whether what was forgotten can still be had by asking around it."""

from __future__ import annotations

from collections.abc import Collection, Mapping  # noqa: TC003 — pydantic reads them
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from bequest.build.auditing import Audit
from bequest.build.documents import column_problems
from bequest.build.finding import at_hand, path_problems
from bequest.core.errors import Problem, RequestError
from bequest.core.find import Kind, find

if TYPE_CHECKING:
    from bequest.build.attack.live import Attack
    from bequest.core.parts import TaskSpec

_MASKS = ("direct", "indirect", "implied", "chained", "reasoned", "control")


class Sleek(Audit):
    """Can it be asked out? Facts are asked for directly, indirectly, by what implies them, in turn.

    A step-by-step attack on what a model was made to forget. The model is only asked: prompt by
    prompt, as a conversation that is fed its own answers, and once with the advice to think step by
    step. No prompt holds the answer. Recovery means little by itself: what a model that never knew
    (line `gold`) gives as well was guessed.
    """

    asks: ClassVar[str] = "complete"
    kind: ClassVar[str] = "text"
    inner: ClassVar[Mapping[str, Kind]] = {"of": "tasks"}
    status: ClassVar[str] = "reconstruction"
    source: ClassVar[str] = (
        "Sinha et al. 2025, Step-by-Step Reasoning Attack, arXiv 2506.17279; known by its abstract "
        "only: prompts, filter, judge and scores are ours"
    )
    works_in: ClassVar[tuple[str, ...]] = tuple(
        f"bequest.build.attack.{name}"
        for name in ("phrases", "judging", "facts", "prompts", "live")
    )
    records: ClassVar[Collection[str]] = frozenset(
        {"recovered", "refused", "attack", "plain", "lead", "fact_recovered", "guess", *_MASKS}
    )

    path: str | None = Field(
        None, min_length=1, description="File of the facts: `.jsonl`, `.json` or `.csv`."
    )
    of: dict[str, Any] | None = Field(
        None, description="Instead of a file: a task of questions with answers, such as `qa`."
    )
    question: str = Field("question", min_length=1, description="Column of the questions.")
    answer: str = Field("answer", min_length=1, description="Column of the answers.")
    aliases: str = Field(
        "aliases", min_length=1, description="Column of what counts as the answer too, if any."
    )
    wrong: str = Field(
        "wrong", min_length=1, description="Column of wrong answers, for `neither … nor`, if any."
    )
    keep: str | None = Field(
        None,
        min_length=1,
        description="File of facts to be kept: a fact whose bridge stands there may be deduced.",
    )
    generator: str | None = Field(
        None, description="A function of yours that makes prompts, `module:function`; or templates."
    )
    modes: tuple[Literal["chained", "reasoned"], ...] = Field(
        ("chained", "reasoned"), description="What is asked beyond single prompts."
    )
    prompts: int = Field(3, ge=1, le=100, description="Most prompts of a category, for each fact.")
    controls: int = Field(2, ge=0, le=4, description="How many unrelated questions are asked.")
    samples: int | None = Field(None, ge=1, description="Take so many facts at most.")
    template: str = Field("Question: {question}\nAnswer:", description="What a prompt stands in.")
    reasoning: str = Field(
        "Question: {question}\nAnswer: Let's think step by step.",
        description="What the question stands in when the model is to think step by step.",
    )
    refusals: tuple[str, ...] = Field((), description="More phrases that are refusals.")
    tokens: int = Field(200, ge=1, le=4096, description="Most tokens of a reply.")
    temperature: float = Field(
        0.0, ge=0, le=10, description="0 takes the likeliest token each time; above, one is drawn."
    )
    draws: int = Field(1, ge=1, le=100, description="How often everything is asked.")

    def check(self) -> list[Problem]:
        """Where the facts come from, and what they are asked in."""
        problems = super().check()
        if (self.path is None) == (self.of is None):
            what = "facts come from a file or from another task"
            problems.append(Problem(what, "give either `path` or `of`", ("path",)))
        for field in ("template", "reasoning"):
            if "{question}" not in getattr(self, field):
                what = "there is no place for the question"
                problems.append(Problem(what, "write `{question}` in it", (field,)))
        if self.draws > 1 and not self.temperature:
            what = "without a temperature every draw is the same"
            problems.append(Problem(what, "write `temperature: 0.7`, or one draw", ("draws",)))
        for field in ("path", "keep"):
            problems += self._file_problems(field)
        if self.of is not None:
            problems += [problem.under("of") for problem in self.base().check()]
        return problems

    def base(self) -> TaskSpec:
        """The task of the facts, where there is one."""
        of = self.of or {}
        settings = {name: value for name, value in of.items() if name != "use"}
        spec: TaskSpec = find("tasks", of["use"]).model_validate(settings)
        return spec

    def load(self, name: str) -> Attack:
        """The facts with their prompts.

        Raises:
            RequestError: there are no facts, one has no answer, or every prompt holds one.
        """
        problems = self.check()
        if problems:
            raise RequestError(problems)

        from bequest.build.attack.live import attack

        return attack(self, name)

    def _file_problems(self, field: str) -> list[Problem]:
        path = getattr(self, field)
        if path is None:
            return []
        if missing := path_problems(path, field):
            return missing
        if (place := at_hand(path)) is None:
            return []
        named: dict[str, str | None] = {"answer": self.answer}
        for optional in ("question", "aliases", "wrong"):
            if optional in self.model_fields_set:
                named[optional] = getattr(self, optional)
        return column_problems(str(place), named)
