"""What flows through a model: which rectified units ever answer, and how large layers' answers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

from bequest.build.classification import answering
from bequest.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass
class Flow:
    """What was seen over all questions.

    alive: for each rectifier, by where it is used, whether each unit was ever not zero: bool
        [units]. sizes: root mean square of the answer of each layer with a weight matrix or
        kernel, the largest seen, in the order of use; infinite where it was not finite.
    """

    alive: dict[str, torch.Tensor] = field(default_factory=dict)
    sizes: dict[str, float] = field(default_factory=dict)

    @property
    def finite(self) -> bool:
        """Whether all answers were finite."""
        return all(map(isfinite, self.sizes.values()))

    @property
    def largest(self) -> tuple[str, float]:
        """The layer with the largest answer."""
        return max(self.sizes.items(), key=lambda one: one[1], default=("", 0.0))

    @property
    def growth(self) -> float:
        """The largest answer by that of the first layer."""
        first = next(iter(self.sizes.values()), 0.0)
        if not self.finite:
            return inf
        return self.largest[1] / first if first else 0.0


def flow(module: torch.nn.Module, questions: Sequence[Callable[[], object]]) -> Flow:
    """Ask every question of a model whose module this is, in evaluation mode, and watch.

    Rectifiers are seen whether they are modules or functions. Their units are channels of images
    [batch, channels, height, width], else the last dimension.
    """
    watch = _Watch()
    names = {part: name for name, part in module.named_modules()}
    hooks = [part.register_forward_pre_hook(watch.enter(name)) for part, name in names.items()]
    hooks += [
        part.register_forward_hook(watch.leave(name, weighs=_weighs(part)))
        for part, name in names.items()
    ]
    try:
        # not inference mode, in which operators are cut to smaller ones before they are seen
        with answering(module), torch.inference_mode(mode=False), torch.no_grad():
            for question in questions:
                watch.again()
                with _seeing(watch):
                    question()
    finally:
        for hook in hooks:
            hook.remove()
    return watch.flow


class _Watch:
    """Where in a model the question is, and what was seen there."""

    def __init__(self) -> None:
        self.flow = Flow()
        self.again()

    def again(self) -> None:
        self._inside: list[str] = []
        self._times: Counter[str] = Counter()

    def enter(self, name: str) -> Any:
        def entered(*_: object) -> None:
            self._inside.append(name)

        return entered

    def leave(self, name: str, *, weighs: bool) -> Any:
        def left(part: object, given: object, answer: object) -> None:
            self._inside.pop()
            if weighs and isinstance(answer, torch.Tensor) and answer.is_floating_point():
                self._size(name, answer)

        return left

    def rectified(self, answer: torch.Tensor) -> None:
        """Note which units are not zero; a rectifier may be used at several places."""
        where = self._inside[-1] if self._inside else ""
        self._times[where] += 1
        times = self._times[where]
        layer = (where or "the model") + (f" (use {times})" if times > 1 else "")
        axis = 1 if answer.ndim == 4 else answer.ndim - 1
        others = [each for each in range(answer.ndim) if each != axis]
        alive = (answer != 0).sum(dim=others).cpu() > 0
        before = self.flow.alive.get(layer)
        fits = before is not None and before.shape == alive.shape
        self.flow.alive[layer] = before | alive if before is not None and fits else alive

    def _size(self, name: str, answer: torch.Tensor) -> None:
        size = float(answer.detach().double().square().mean().sqrt())
        size = size if isfinite(size) else inf
        self.flow.sizes[name] = max(size, self.flow.sizes.get(name, 0.0))


def _weighs(part: torch.nn.Module) -> bool:
    # what an embedding looks up is small and no measure for what comes after it
    table = isinstance(part, torch.nn.Embedding)
    return not table and any(weight.ndim > 1 for weight in part.parameters(recurse=False))


def _seeing(watch: _Watch) -> Any:
    from torch.utils._python_dispatch import TorchDispatchMode

    aten = torch.ops.aten
    rectifiers = {
        getattr(aten, name + suffix).default
        for name in ("relu", "hardtanh", "clamp_min")
        for suffix in ("", "_")
    }

    class Seeing(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            answer = func(*args, **(kwargs or {}))
            if func in rectifiers and answer.ndim > 1:
                watch.rectified(answer)
            return answer

    return Seeing()  # type: ignore[no-untyped-call]
