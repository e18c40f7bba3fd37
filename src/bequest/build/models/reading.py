"""Another language model, reading in an order of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import Field

from bequest.build.inner import Inner
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from bequest.core.live import Model


class Reading(Inner):
    """The language model in `of`, reading its tokens from their end, or both ways by turns.

    What reads backward is taught so: put a model with new weights in it, such as `transformer`.
    """

    order: Literal["forward", "backward", "both"] = Field(
        "backward",
        description="Where it begins to read; both: while it learns, every other text of a batch "
        "from its end.",
    )

    def build(self, shape: tuple[int, ...], kind: str, labels: tuple[str, ...]) -> Model:
        """The other model; its weights are as they were.

        Raises:
            RequestError: the other model can't be had, or is no language model.
        """
        model: Any = self.base().build(shape, kind, labels)
        if not hasattr(model, "order"):
            what = f"`{self.of['use']}` is no language model, so it has no order of reading"
            raise RequestError(Problem(what, "name a `hf` or `transformer`", ("of", "use")))
        return cast("Model", replace(model, order=self.order))
