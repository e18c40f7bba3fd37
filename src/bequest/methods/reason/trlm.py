"""Time-reversed language models (Yerram et al. 2024): how likely is the question, given the answer?

Forward (Fo) any language model is asked so by its prompt. Backward (Ba) one reads tokens from their
end and was taught so; FoBa was taught both ways, and is asked both ways.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from bequest.core.errors import Problem, RequestError
from bequest.core.parts import Method, Requires, Role
from bequest.core.stage import Stage
from bequest.methods.reason._choosing import Choosing, Generator, Pool
from bequest.methods.reason._scorers import Scorer, scorers_of, wrong_way
from bequest.methods.reason._searching import Searching
from bequest.transfer.state import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bequest.transfer.bench import Bench

Search = Literal["linear", "binary", "exclusion"]


class Wording(BaseModel):
    """What stands beside the question (`scoring`) and the answer (`conditioning`) when scored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scoring: str = Field("", description="Before the question, and scored with it.")
    conditioning: str = Field("", description="Beside the answer, and only read.")


class Trlm(Method):
    """Choose the answer, or the sentence, from which a language model finds the question likeliest.

    Of a task that asks `complete`, the generator's answers are drawn once and every scorer chooses
    among the same; stages `single`, `self` and `oracle` are the first of them, the one likeliest to
    the generator itself, and all of them. Of a task that asks `prefer`, each scorer searches each
    way. Nothing is trained. An empty answer is chosen last; of equal scores the first counts.
    """

    source: ClassVar[str] = (
        "Yerram et al. 2024, Time-Reversal Provides Unsupervised Feedback to LLMs, arXiv 2412.02626"
    )
    roles: ClassVar[Mapping[str, Role]] = {
        "scorer": Role("language models that judge, each in its order of reading",
                       answers=("logprob",), many=True),
        "generator": Role("the language model whose answers are chosen from",
                          answers=("complete",), optional=True),
    }  # fmt: skip
    requires: ClassVar[Requires] = Requires(purposes=("probe",))

    samples: int = Field(16, ge=1, le=1000, description="Answers drawn for each question.")
    temperature: float = Field(0.8, gt=0, le=10, description="At which answers are drawn.")
    template: str = Field(
        "Question: {question}\nAnswer:", description="How the generator is asked."
    )
    until: str = Field("\n", description="An answer ends before this; empty: it ends by itself.")
    without_copies: bool = Field(
        False,
        description="Extension: whether answers that only repeat words of the question come last, "
        "for every scorer. A copy makes its question likely.",
    )
    rerank_backward: Wording = Field(
        Wording(scoring="Question: ", conditioning="? Answer:"),
        description="Beside question and answer, for a scorer that reads backward.",
    )
    rerank_forward: Wording = Field(
        Wording(scoring="is the answer to"),
        description="Beside question and answer, for a scorer that reads forward.",
    )
    cite_backward: Wording = Field(
        Wording(conditioning="is summarized by"),
        description="Beside highlight and sentence, for a scorer that reads backward.",
    )
    cite_forward: Wording = Field(
        Wording(conditioning=" is a summary of "),
        description="Beside highlight and sentence, for a scorer that reads forward.",
    )
    searches: tuple[Search, ...] = Field(
        ("linear", "binary", "exclusion"),
        min_length=1,
        description="How a document is searched: sentence by sentence, by halves, or by leaving "
        "out each.",
    )
    granularity: int = Field(1, ge=1, description="At so many sentences binary search ends.")

    def check(self) -> list[Problem]:
        """Whether the template has a place for the question."""
        problems = super().check()
        if "{question}" not in self.template:
            what = "the template has no place for the question"
            problems.append(Problem(what, "write `{question}` in it", ("template",)))
        return problems

    def transfer(self, bench: Bench) -> Iterator[Stage]:
        """Stages with the coordinate `scorer`, and `search` where documents are searched.

        Raises:
            RequestError: no task asks for answers or sentences, or nobody is there to answer.
        """
        asked: dict[str, list[str]] = {}
        for task in bench.tasks():
            asked.setdefault(task.asks, []).append(task.name)
        if not asked.keys() & {"complete", "prefer"}:
            what = "no task of the step asks `complete` or `prefer`"
            raise RequestError(Problem(what, "give it a task such as `complete` or `cite`"))
        if "complete" in asked:
            yield from self._rerank(bench, asked["complete"])
        if "prefer" in asked:
            yield from self._cite(bench, asked["prefer"])

    def _rerank(self, bench: Bench, on: Sequence[str]) -> Iterator[Stage]:
        if not bench.has("generator"):
            what = "nobody answers the questions: no model fills the role `generator`"
            raise RequestError(Problem(what, "name one in the step's `models:`"))
        generator = Generator(bench, bench.model("generator"), self)
        scorers = self._scorers(bench, self.rerank_forward, self.rerank_backward)
        own = fingerprint({"": generator.model.module})
        # A model that is the generator itself would judge as `self` does.
        others = [one for one in scorers if fingerprint({"": one.model.module}) != own]
        baselines = {name: found.likeliest for name, found in self._baselines(others).items()}
        lines = {"single": None, "self": generator.likeliest, **baselines}
        for name, judge in lines.items():
            yield self._choice(name, Choosing(generator, judge), on, line=name)
        yield self._choice("oracle", Pool(generator), on, line="oracle")
        for one in scorers:
            yield self._choice(one.name, Choosing(generator, one.scores, one.model), on)

    def _choice(self, name: str, model: Any, on: Sequence[str], line: str = "main") -> Stage:
        return Stage(name, model, of="generator", line=line, at={"scorer": name}, on=on)

    def _cite(self, bench: Bench, on: Sequence[str]) -> Iterator[Stage]:
        scorers = self._scorers(bench, self.cite_forward, self.cite_backward)
        for name, one in self._baselines(scorers).items():
            search: Any = Searching(one.model, one.likeliest, "linear", self.granularity)
            at: dict[str, float | str] = {"scorer": name, "search": "linear"}
            yield Stage(f"{name}-linear", search, of="scorer", line=name, at=at, on=on)
        for one in scorers:
            for way in self.searches:
                search = Searching(one.model, one.scores, way, self.granularity)
                at = {"scorer": one.name, "search": way}
                yield Stage(f"{one.name}-{way}", search, of="scorer", at=at, on=on)

    def _scorers(self, bench: Bench, forward: Wording, backward: Wording) -> list[Scorer]:
        wordings = {
            "forward": (forward.scoring, forward.conditioning),
            "backward": (backward.scoring, backward.conditioning),
        }
        return scorers_of(bench.models("scorer"), wordings)

    def _baselines(self, scorers: Sequence[Scorer]) -> dict[str, Scorer]:
        """The first scorer of either order, asked the wrong way: the answer, given the question."""
        found: dict[str, Scorer] = {}
        for one in scorers:
            found.setdefault(one.order, wrong_way(one))
        return found
