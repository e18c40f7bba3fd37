"""A task with labels, searched: what has the label of the query belongs to it."""

from __future__ import annotations

from collections.abc import Collection, Mapping  # noqa: TC003 — pydantic reads Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from bequest.build.searching import OF_SEARCH
from bequest.core.errors import Problem, RequestError
from bequest.core.find import Kind, find
from bequest.core.parts import TaskSpec

if TYPE_CHECKING:
    from bequest.build.retrieval import Retrieval
    from bequest.core.live import Task


class SameLabel(TaskSpec):
    """The test samples of a task with labels search for others of their own label.

    They are queries and gallery at once, each left out of its own ranking, as in the papers on
    compatible embeddings; or the training samples are the gallery.
    """

    asks: ClassVar[str] = "embed"
    kind: ClassVar[str] = ""  # that of the other task
    records: ClassVar[Collection[str]] = OF_SEARCH
    inner: ClassVar[Mapping[str, Kind]] = {"of": "tasks"}

    of: dict[str, Any] = Field(description="The task with labels: `use:` and its settings.")
    gallery: Literal["test", "train"] = Field("test", description="Which samples are searched.")
    coarse: int | None = Field(
        None, ge=2, description="Learn so many labels only: the number of each modulo this one."
    )

    def check(self) -> list[Problem]:
        """What is wrong with the other task."""
        spec = self._base()
        problems = [problem.under("of") for problem in spec.check()]
        if spec.asks != "logits" or len(spec.parts("x")) > 1:
            what = f"`{self.of['use']}` is not one task with labels"
            problems.append(Problem(what, "name one that asks for `logits`", ("of", "use")))
        return problems

    def load(self, name: str) -> Retrieval:
        """The samples of the other task.

        Raises:
            RequestError: it can't be loaded.
        """
        from bequest.build.classification import fingerprint
        from bequest.build.retrieval import Retrieval
        from bequest.lazy import numpy as np
        from bequest.ops.retrieval import of_equal_labels

        task = self._task(name)
        train, test = task.splits["train"], task.splits["test"]
        gallery = task.splits[self.gallery]
        own = np.arange(len(test)) if self.gallery == "test" else None
        belongs = of_equal_labels(np.array(test.targets), np.array(gallery.targets), own)
        splits = {"train": self._lesson(train), "test": test}
        told = {"of": task.fingerprint, "gallery": self.gallery}
        digest = fingerprint(task.labels, splits, told)  # type: ignore[arg-type]
        kind, shape = task.kind, task.shape
        return Retrieval(name, self.purpose, kind, shape, splits, gallery, belongs, digest)  # type: ignore[arg-type]

    def _lesson(self, train: Any) -> Any:
        from dataclasses import replace

        return replace(train, targets=train.targets % self.coarse) if self.coarse else train

    def _base(self) -> TaskSpec:
        settings = {name: value for name, value in self.of.items() if name != "use"}
        spec: TaskSpec = find("tasks", self.of["use"]).model_validate(settings)
        return spec

    def _task(self, name: str) -> Task:
        try:
            return self._base().load(name)
        except RequestError as error:
            raise RequestError([problem.under("of") for problem in error.problems]) from error
