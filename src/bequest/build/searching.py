"""Settings of tasks in which texts search for texts; torch- and numpy-free."""

from __future__ import annotations

from collections.abc import Collection, Mapping  # noqa: TC003 — pydantic reads Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.core.find import Kind, find
from bequest.core.parts import IndexSpec, TaskSpec

if TYPE_CHECKING:
    from bequest.core.errors import Problem

OF_SEARCH = frozenset(
    {"first_rank", "average_precision", "gain", "recall_1", "recall_5", "recall_10", "recall_100"}
)


class SearchSettings(TaskSpec):
    """Which queries are the test, what there is to learn from, and where old vectors lie."""

    asks: ClassVar[str] = "embed"
    kind: ClassVar[str] = "text"
    records: ClassVar[Collection[str]] = OF_SEARCH
    inner: ClassVar[Mapping[str, Kind]] = {"index": "indexes"}

    test: float = Field(
        0.2,
        gt=0,
        le=1,
        description="Share of the items with queries that is tested: their queries are the test, "
        "and nothing is learnt from their texts. 1 leaves nothing to learn from.",
    )
    split_seed: int = Field(0, ge=0, lt=2**31, description="Another seed gives other sides.")
    train_items: int | None = Field(
        None, ge=1, description="Learn from the texts of so many items at most."
    )
    labelled: bool = Field(
        True,
        description="Whether it is known in training which texts belong to one item. If not, the "
        "texts of all items that aren't tested are learnt from.",
    )
    index: dict[str, Any] | None = Field(
        None,
        description="Where the old model's vectors of all items lie: `use:` and its settings. When "
        "left out, the old model makes them.",
    )

    def check(self) -> list[Problem]:
        """What keeps the index from being read."""
        there = self.stored_in()
        return [problem.under("index") for problem in there.check()] if there else []

    def stored_in(self) -> IndexSpec | None:
        """Where old vectors lie, if they do."""
        if self.index is None or "use" not in self.index:
            return None
        settings = {name: value for name, value in self.index.items() if name != "use"}
        spec: IndexSpec = find("indexes", self.index["use"]).model_validate(settings)
        return spec
