"""Students' answers, one after another."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from bequest.build.paths import not_a_file
from bequest.build.settings import SplitSettings
from bequest.core.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Collection

    from bequest.build.tracing import Tracing


class Generated(BaseModel):
    """How many students are invented, and what they are asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    students: int = Field(600, ge=10, le=1_000_000, description="How many students.")
    concepts: int = Field(10, ge=1, le=10_000, description="How many concepts there are.")
    active: int = Field(5, ge=1, description="How many of them each student is asked about.")
    answers: int = Field(30, ge=2, le=10_000, description="How many answers each student gives.")
    seed: int = Field(0, ge=0, lt=2**31, description="Another seed gives other students.")


class Trace(SplitSettings):
    """Will a student's next answer be right? From a file of answers, or of invented students.

    A file has three lines a student (how many answers, their concepts, 0 or 1 for each) or is a CSV
    with pyKT's columns `concepts` and `responses`, and perhaps `uid` and `is_repeat`. Students stay
    whole on one side. An answer is predicted from those before it alone, and one to a question with
    several concepts counts once.
    """

    asks: ClassVar[str] = "trace"
    records: ClassVar[Collection[str]] = frozenset(
        {"log_odds", "right", "correct", "nll", "confidence", "known"}
    )
    kind: ClassVar[str] = "answers"

    path: str | None = Field(
        None, description="The file, or that of the training side; none: students are generated."
    )
    validation_path: str | None = Field(None, description="File of the validation side.")
    test_path: str | None = Field(None, description="File of the test side.")
    generated: Generated = Field(
        default_factory=Generated, description="Which students are invented where no file is named."
    )
    shortest: int = Field(
        3, ge=2, description="Students with fewer answers are left out, and counted in a note."
    )
    longest: int = Field(
        200,
        ge=2,
        le=100_000,
        description="Longer histories are cut into pieces of so many entries.",
    )
    unknown: Literal["refuse", "drop"] = Field(
        "refuse",
        description="What to do with answers in another file on concepts that training never has.",
    )

    def files(self) -> dict[str, str]:
        """The files by the setting that names them, training first."""
        named = {
            "path": self.path,
            "validation_path": self.validation_path,
            "test_path": self.test_path,
        }
        return {field: path for field, path in named.items() if path}

    def check(self) -> list[Problem]:
        """Shares, files, and what is invented."""
        problems = super().check()
        files = self.files()
        for field, path in files.items():
            problems += not_a_file(path, field)
        if files and not self.path:
            problems.append(Problem("the other sides need a training side", "name its file in "
                                    "`path`", (next(iter(files)),)))  # fmt: skip
        if self.path and "generated" in self.model_fields_set:
            problems.append(Problem("students are either read or invented", "leave out `generated` "
                                    "or `path`", ("generated",)))  # fmt: skip
        if self.generated.active > self.generated.concepts:
            what = f"{self.generated.active} of {self.generated.concepts} concepts can't be active"
            problems.append(Problem(what, "lower `active`", ("generated", "active")))
        return problems

    def load(self, name: str) -> Tracing:
        """Histories on three sides; labels are the concepts in natural order.

        Raises:
            RequestError: a file or line can't be used, or too few students are there.
        """
        from bequest.build.tracing import tracing

        return tracing(self, name)
