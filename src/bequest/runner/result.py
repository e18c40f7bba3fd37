"""A finished run, read from its folder."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bequest.core.errors import Problem, RequestError, did_you_mean
from bequest.measure import gate, parquet
from bequest.measure.matrix import Matrix
from bequest.measure.rules import judged_by
from bequest.store.folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bequest.build.predicting import Delivered
    from bequest.measure.verdict import Verdict


class Run:
    """What a run found out: its matrix, its verdict, its models.

    Raises:
        RequestError: the folder holds no run, or one that isn't finished.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._folder = RunFolder(self.path)
        self.record: dict[str, Any] = self._folder.read()
        if self.record.get("status") != "finished":
            reason = self.record.get("reason", "it is still running, or was killed")
            fix = f"go on with it: the same `bequest run`, with --resume --out {self.path}"
            raise RequestError(Problem(f"the run in {self.path} isn't finished: {reason}", fix))

    @cached_property
    def matrix(self) -> Matrix:
        """Stages × tasks, every cell with its interval; a table in a notebook."""
        asked = judged_by(self.record["recipe"].get("gate", []))
        return Matrix(parquet.read(self._folder.outcomes), judged_by=asked)

    @cached_property
    def verdict(self) -> Verdict:
        """What the recipe's own rules say."""
        return self.judge(self.record["recipe"].get("gate", []))

    def judge(self, rules: Sequence[str], baseline: Run | None = None) -> Verdict:
        """What other rules say, `vs baseline` among them.

        Raises:
            RequestError: a rule is ambiguous, or asks for what was not measured.
        """
        return gate.judge(rules, self.matrix, baseline.matrix if baseline else None)

    def model(self, step: str, role: str = "student", seed: int | None = None) -> Delivered:
        """The live model that a step delivered, which can `predict`; of the first seed by default.

        Raises:
            RequestError: the step delivered none in that role under that seed.
        """
        from bequest.build.predicting import delivered

        return delivered(self.delivered(step, role, seed))

    def delivered(self, step: str, role: str = "student", seed: int | None = None) -> Path:
        """The folder of the model that a step delivered.

        Raises:
            RequestError: the step delivered none in that role under that seed.
        """
        chosen = self.record["seeds"][0] if seed is None else seed
        folder = self._folder.model(step, role, chosen)
        if not folder.is_dir():
            found = sorted(path.parent.relative_to(self.path / "models").as_posix()
                           for path in (self.path / "models").glob("*/*/seed-*"))  # fmt: skip
            there = list(dict.fromkeys(found))
            what = f"no model `{step}/{role}`" + ("" if seed is None else f" of seed {seed}")
            meant = did_you_mean(f"{step}/{role}", there)
            fix = f"there are {', '.join(there) or 'none'}"
            raise RequestError(Problem(what, fix, meant="" if seed is not None else meant))
        return folder

    def __repr__(self) -> str:
        return f"<bequest run {self.record['name']} in {self.path}>\n{self.matrix!r}"
