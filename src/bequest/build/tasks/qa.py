"""Questions and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from bequest.build.documents import column_problems
from bequest.build.finding import at_hand, path_problems
from bequest.build.settings import SplitSettings
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Collection

    from bequest.build.questions import Questions

OF_ANSWERS = frozenset(
    {
        *("text_nll", "tokens", "bytes", "loss", "probability", "memorised", "extraction"),
        *("min_k", "min_k_plus", "zlib", "reworded_loss", "wrong_loss", "wrong_probability"),
        *("exact", "rouge_l_recall", "rouge_l_f1"),
    }
)


class Qa(SplitSettings):
    """Questions and answers; how likely is the right answer, and what does the model answer?

    One record a line, in a `.jsonl`, `.json` or `.csv` file, or a JSON list of records; TOFU's
    files are such. A record may hold chat messages instead: each answer of the assistant is then
    asked for behind what stands before it.
    """

    asks: ClassVar[str] = "logprob"
    records: ClassVar[Collection[str]] = OF_ANSWERS
    kind: ClassVar[str] = "text"

    path: str = Field(
        min_length=1, description="The file, or an asset and a part of it: `name/part`."
    )
    question: str = Field("question", min_length=1, description="Column of the questions.")
    answer: str = Field(
        "answer",
        min_length=1,
        description="Column of the answers; of a list the first is learned, and all are right.",
    )
    messages: str = Field(
        "messages",
        min_length=1,
        description="Column of chat messages, each with `role` and `content`; read where a record "
        "has no column of questions.",
    )
    paraphrased: str = Field(
        "paraphrased_answer",
        min_length=1,
        description="Column of right answers in other words; where there is none, the answer.",
    )
    perturbed: str = Field(
        "perturbed_answer",
        min_length=1,
        description="Column of wrong answers of the same form, a list or one; where every record "
        "has some, metrics such as truth_ratio compare how likely they are.",
    )
    template: str = Field(
        "Question: {question}\nAnswer:",
        description="What stands before an answer; a blank is put between them if none is there.",
    )
    held_out: bool = Field(
        False,
        description="Whether test questions differ from those trained on; facts are tested on "
        "themselves.",
    )
    samples: int | None = Field(
        None, ge=1, description="Take so many questions at most, chosen by content."
    )
    generate: int = Field(
        64,
        ge=0,
        le=4096,
        description="Most tokens of a model's own answer; 0 asks only how likely the right one is.",
    )
    as_released: bool = Field(
        False,
        description="Cut words for ROUGE as the `rouge-score` package does, which reads only the "
        "letters a to z and digits.",
    )

    def check(self) -> list[Problem]:
        """Shares, the template, and the file with its columns."""
        problems = [*super().check(), *path_problems(self.path)]
        if "{question}" not in self.template:
            what = "the template has no place for the question"
            problems.append(Problem(what, "write `{question}` in it", ("template",)))
        shares = self.model_fields_set & {"validation", "test", "split_seed"}
        if shares and not self.held_out:
            what = "all questions are trained on and tested, so none can be divided"
            problems.append(Problem(what, "write `held_out: true`", (min(shares),)))
        if place := at_hand(self.path):
            named = {"question": self.question, "answer": self.answer}
            lacking = column_problems(str(place), named)
            problems += lacking if column_problems(str(place), {"messages": self.messages}) else []
        return problems

    def load(self, name: str) -> Questions:
        """Prompts and answers.

        Raises:
            RequestError: the file can't be used, or too few questions are in it.
        """
        problems = self.check()
        if problems:
            raise RequestError(problems)

        from bequest.build.questions import questions

        return questions(self, name)
