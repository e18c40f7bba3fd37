"""Looking inside a model: what flows through modules named by their dotted path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bequest.core.errors import Problem, RequestError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    import torch


@dataclass
class Seen:
    """What the last forward pass gave to a module and took from it.

    `input` is the first positional argument; None before the first pass.
    """

    input: Any = None
    output: Any = None


class Taps:
    """Hooks on named modules; gone when the block ends.

        with Taps(student.module, ["features.0"]) as seen:
            student.logits(inputs)
            hidden = seen["features.0"].output

    "" names the whole module. Tensors keep their graph.

    Raises:
        RequestError: a name stands for no module; lists the close ones.
    """

    def __init__(self, module: torch.nn.Module, names: Sequence[str]) -> None:
        modules = dict(module.named_modules())
        if problems := [_no_module(name, list(modules)) for name in names if name not in modules]:
            raise RequestError(problems)
        self.seen = {name: Seen() for name in names}
        self._hooks = [
            modules[name].register_forward_hook(_keeper(seen)) for name, seen in self.seen.items()
        ]

    def __enter__(self) -> dict[str, Seen]:
        return self.seen

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for hook in self._hooks:
            hook.remove()


def _keeper(seen: Seen) -> Any:
    def keep(module: torch.nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        seen.input = inputs[0] if inputs else None
        seen.output = output

    return keep


def _no_module(name: str, known: Sequence[str]) -> Problem:
    listed = ", ".join(name for name in known if name)
    return Problem(
        f"no module is called `{name}`", f"modules are {listed}", meant=did_you_mean(name, known)
    )
