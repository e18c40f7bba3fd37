"""Prompts that a model goes on from."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from bequest.build.documents import column_problems, has_records
from bequest.build.finding import at_hand, path_problems
from bequest.core.errors import Problem, RequestError
from bequest.core.parts import TaskSpec

if TYPE_CHECKING:
    from collections.abc import Collection

    from bequest.build.prompts import Prompts


class Complete(TaskSpec):
    """Prompts that a model goes on from; what it writes is kept, and shown stage beside stage.

    A `.jsonl`, `.json` or `.csv` file has one prompt a record, and so has a data file of WordNet;
    any other file has one a line.
    """

    asks: ClassVar[str] = "complete"
    records: ClassVar[Collection[str]] = frozenset(
        {"characters", "words", "repetition", "contains"}
    )
    kind: ClassVar[str] = "text"

    purpose: Literal["probe"] = Field("probe", description="Nothing can be learned from prompts.")
    path: str | None = Field(None, min_length=1, description="The file with the prompts.")
    prompts: tuple[str, ...] = Field((), description="The prompts themselves, instead of a file.")
    column: str = Field("prompt", min_length=1, description="Column of the prompts.")
    expected: str | None = Field(
        None,
        description="Column of what a completion should hold; nothing is expected if left out.",
    )
    where: dict[str, str] = Field(
        default_factory=dict, description="Take only records with these values in these columns."
    )
    tokens: int = Field(64, ge=1, le=4096, description="Most tokens of a completion.")
    temperature: float = Field(
        0.0, ge=0, le=10, description="0 takes the likeliest token each time; above, one is drawn."
    )
    draws: int = Field(1, ge=1, le=1000, description="How often each prompt is completed.")
    samples: int | None = Field(
        None, ge=1, description="Take so many prompts at most, chosen by content."
    )

    def check(self) -> list[Problem]:
        """That there are prompts, and whether drawing repeatedly makes sense."""
        problems = super().check()
        if (self.path is None) == (not self.prompts):
            what = "prompts come from a file or from the recipe"
            problems.append(Problem(what, "give either `path` or `prompts`", ("prompts",)))
        elif self.path is not None:
            problems += self._file_problems(self.path)
        elif not all(prompt.strip() for prompt in self.prompts):
            problems.append(Problem("a prompt is empty", field=("prompts",)))
        if self.prompts and self.expected:
            what = "prompts in the recipe have no columns, so nothing can be expected"
            problems.append(Problem(what, "put them into a file of records", ("expected",)))
        if self.draws > 1 and not self.temperature:
            what = "without a temperature every draw is the same"
            problems.append(Problem(what, "write `temperature: 1`, or one draw", ("draws",)))
        return problems

    def load(self, name: str) -> Prompts:
        """The prompts, as test samples.

        Raises:
            RequestError: a file can't be used, or holds no prompt.
        """
        problems = self.check()
        if problems:
            raise RequestError(problems)

        from bequest.build.prompts import prompts

        return prompts(self, name)

    def _file_problems(self, path: str) -> list[Problem]:
        place = at_hand(path)
        if place is None:
            return path_problems(path)
        if place.is_dir():
            return [Problem(f"`{path}` is a folder; a file is needed", field=("path",))]
        if has_records(str(place)):
            return column_problems(
                str(place), {"column": self.column, "expected": self.expected}, self.where
            )
        what = f"`{path}` has no columns, so nothing can be expected"
        return [Problem(what, field=("expected",))] if self.expected else []
