"""Questions about authors who never lived."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from bequest.build.documents import column_problems
from bequest.build.finding import at_hand, path_problems
from bequest.build.tasks.qa import OF_ANSWERS
from bequest.core.errors import Problem
from bequest.core.parts import TaskSpec

if TYPE_CHECKING:
    from collections.abc import Collection

    from bequest.build.questions import Questions

INVENTED = 200


class Authors(TaskSpec):
    """What is known of a few authors who never lived, so that no model has read of them before.

    With `path` they are read from a file like TOFU's `full.json`, which has 20 questions an author,
    one author after another; without it they are invented, each with ten questions, right answers
    in other words, and wrong ones. All questions are trained on and tested.
    """

    asks: ClassVar[str] = "logprob"
    records: ClassVar[Collection[str]] = OF_ANSWERS
    kind: ClassVar[str] = "text"

    path: str | None = Field(None, min_length=1, description="The file; none: they are invented.")
    authors: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        min_length=1, description="Which of them, counted from 0."
    )
    questions: int = Field(
        10, ge=1, description="Questions on each, at even distances among those there are."
    )
    in_a_row: int = Field(20, ge=1, description="Questions on each author in the file.")
    seed: int = Field(0, ge=0, lt=2**31, description="Another seed invents other authors.")
    template: str = Field(
        "Question: {question}\nAnswer:", description="What stands before an answer."
    )
    generate: int = Field(
        0, ge=0, le=4096, description="Most tokens of a model's own answer; 0: none is written."
    )
    as_released: bool = Field(
        False,
        description="Cut words for ROUGE as the `rouge-score` package does, which reads only the "
        "letters a to z and digits.",
    )

    def check(self) -> list[Problem]:
        """The file, the template, and authors that are there twice or not at all."""
        problems = super().check()
        if self.path:
            problems += path_problems(self.path)
            if place := at_hand(self.path):
                problems += column_problems(str(place), {"path": "question"})
        elif max(self.authors) >= INVENTED:
            what = f"there are {INVENTED} invented authors, numbered from 0"
            problems.append(Problem(what, field=("authors",)))
        if len(set(self.authors)) < len(self.authors):
            problems.append(Problem("an author is there twice", "keep one", ("authors",)))
        if "{question}" not in self.template:
            what = "the template has no place for the question"
            problems.append(Problem(what, "write `{question}` in it", ("template",)))
        return problems

    def load(self, name: str) -> Questions:
        """Their questions, author by author.

        Raises:
            RequestError: the file can't be used, or has no such author.
        """
        from bequest.build.authors import authors

        return authors(self, name)
