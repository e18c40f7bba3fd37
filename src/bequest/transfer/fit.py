"""The one training loop."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bequest.core.errors import NotFinite, RunError
from bequest.lazy import torch
from bequest.store.journal import derive
from bequest.transfer import randomness, sharing
from bequest.transfer.costs import peak_memory
from bequest.transfer.health import gradients, odd_answers, odd_weight
from bequest.transfer.optimizers import make_optimizer, rate_factor
from bequest.transfer.state import load_state, named_modules, state, trainable
from bequest.transfer.terms import Curves, shares, total, weighed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bequest.recipe.schema import FitSettings
    from bequest.store.journal import Entry
    from bequest.transfer.sharing import Pairs
    from bequest.transfer.streams import Stream
    from bequest.transfer.terms import Term

    Loss = Callable[[Any, Any, torch.Generator], Mapping[str, Term]]
    Hook = Callable[[Any, int], None]
    Progress = Callable[[int, int, Mapping[str, float]], None]
    Notice = Callable[[int, Mapping[str, Any]], None]

MEMORY_SECONDS = 0.05  # between two looks at the memory in use
SLOW_DISK = 200e6  # bytes a second, synced


@dataclass(frozen=True)
class Fitted:
    """What a fit leaves behind, beside the trained modules.

    steps: optimiser steps taken; curves: points with step, term, weight, value (mean since the
    last point) and share of the gradient; best: the best of `select`, or None.
    """

    steps: int
    curves: list[dict[str, Any]]
    best: float | None = None
    cost: dict[str, float] = field(default_factory=dict)


@dataclass
class Fit:
    """One fit: what trains, on what, and how; `run` does the work."""

    entry: Entry
    modules: Any
    stream: Stream
    loss: Loss
    settings: FitSettings
    keep: Sequence[Any] = ()
    update_mask: Mapping[torch.nn.Parameter, torch.Tensor] | None = None
    on_gradient: Hook | None = None
    on_step: Hook | None = None
    select: Callable[[], float] | None = None
    progress: Progress = lambda step, steps, values: None
    notice: Notice = lambda step, found: None

    def __post_init__(self) -> None:
        self.named = named_modules(self.modules)
        self.parameters = trainable(self.named)
        self.steps_per_epoch = self.stream.steps(self.settings.batch_size)
        if not self.steps_per_epoch:
            raise RunError("nothing to fit on: the stream has no sample")
        self.steps = self.settings.steps or self.settings.epochs * self.steps_per_epoch
        self.optimizer = make_optimizer(self.settings, self.parameters)
        # Gradients in half precision vanish unless the loss is scaled up before.
        half, device = self.settings.precision == "float16", self.parameters[0].device
        self.scaler = torch.amp.GradScaler(device.type) if half else None
        self.curves = Curves(self.steps)
        self.rng = randomness.generator(derive(self.entry.seed, "loss"), device)
        self.processes = self.entry.processes
        self.step = 0
        self.best: float | None = None
        self.best_state: dict[str, torch.Tensor] = {}
        self._seconds = 0.0
        self._peak = self._looked = 0.0
        self._checkpointed = self._began = time.perf_counter()

    def run(self) -> Fitted:
        """Train from the start, or from the last checkpoint; modules end in eval mode."""
        with ExitStack() as stack:
            stack.enter_context(randomness.seeded(self.entry.seed))
            self._resume()
            self.processes.share([*state(self.named).values()])
            self._began = self._checkpointed = time.perf_counter()
            for module in self.named.values():
                module.train()
            stack.callback(_eval, self.named.values())
            stack.callback(self._drop_gradients)  # a fit met again in the journal leaves none
            self._epochs()
            self._put_back_best()
            self._refuse_odd_weights()
        cost = {"seconds": self._elapsed(), "peak_memory": max(self._peak, peak_memory())}
        return Fitted(self.steps, self.curves.points, self.best, cost)

    def _epochs(self) -> None:
        cost_of_checkpoint = likely_cost(self.named)
        while self.step < self.steps:
            for batch in self._rest_of_epoch():
                self._one_step(batch)
                epoch_ended = self.step % self.steps_per_epoch == 0 or self.step == self.steps
                if epoch_ended and self.select:
                    self._choose(self.select)
                if self._checkpoint_is_due(cost_of_checkpoint):
                    cost_of_checkpoint = self._checkpoint()
                if self.step == self.steps:
                    return

    def _rest_of_epoch(self) -> Iterator[Any]:
        epoch, skip = divmod(self.step, self.steps_per_epoch)
        seed = derive(self.entry.seed, "epoch", epoch)
        return self.stream.epoch(seed, self.settings.batch_size, skip)

    def _one_step(self, batch: Any) -> None:
        step, processes = self.step, self.processes
        mine, share = sharing.cut(batch, processes)
        self._draw_apart(processes.rank)
        with self._precision():
            pairs = weighed(self.loss(self.modules, mine, self.rng), share, processes)
        looks = self.curves.wants_shares(step)
        if step == 0 and processes.count == 1:  # of several, one must not leave the others waiting
            self._refuse_from_the_start(pairs, mine)
        found = shares(pairs, self.parameters, processes) if looks else {}
        self._drop_gradients()
        pairs = self._backward(pairs)
        if looks:
            self.notice(step, gradients(self.named))
        self._draw_apart(processes.count)
        if self.on_gradient:
            self.on_gradient(self.modules, step)
        if self.settings.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.clip_norm)
        self._set_rate(step)
        self._update()
        if processes.count > 1:
            processes.share([buffer for one in self.named.values() for buffer in one.buffers()])
        if self.on_step:
            self.on_step(self.modules, step)
        if self.curves.add(step, pairs, found):
            self._look_at_memory()
            self.progress(step + 1, self.steps, self._latest(len(pairs)))
        self.step = step + 1

    def _refuse_from_the_start(self, pairs: Pairs, batch: Any) -> None:
        """Refuse terms that are not finite before anything was learned, and say whose fault it is.

        Raises:
            NotFinite: one is.
        """
        odd = next((name for name, (_, value) in pairs.items() if not value.isfinite()), None)
        if odd is None:
            return
        models = self.modules if isinstance(self.modules, dict) else {"": self.modules}
        why = odd_weight(self.named) or odd_answers(models, batch)
        why = why or "look for NaN and infinite numbers in the inputs and in what other models say"
        value = float(pairs[odd][1].detach())
        raise NotFinite(
            f"loss term `{odd}` is {value} at step 0, before anything was learned: {why}"
        )

    def _refuse_odd_weights(self) -> None:
        if odd := odd_weight(self.named):
            fix = "try a lower fit.optimizer.lr or set fit.clip_norm"
            raise NotFinite(f"after the last step, {self.steps}, {odd}; {fix}")

    def _backward(self, pairs: Pairs) -> Pairs:
        loss = total(pairs)
        if self.scaler is not None:
            loss = self.scaler.scale(loss)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.processes.count > 1:
            pairs = sharing.join(self.parameters, pairs, self.processes)
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        return pairs

    def _draw_apart(self, who: int) -> None:
        # Each process draws its own numbers inside a loss, and all the same ones in the hooks.
        if self.processes.count > 1:
            randomness.seed_all(derive(self.entry.seed, "step", self.step, who))
            self.rng.manual_seed(derive(self.entry.seed, "loss", self.step, who))

    def _look_at_memory(self) -> None:
        # Short fits have a point every step; asking the system costs a tenth of a small one.
        now = time.perf_counter()
        if now - self._looked >= MEMORY_SECONDS:
            self._peak, self._looked = max(self._peak, peak_memory()), now

    def _drop_gradients(self) -> None:
        for parameter in self.parameters:  # zero_grad() spends more on profiling than on this
            parameter.grad = None

    def _precision(self) -> Any:
        precision = self.settings.precision
        if precision == "float32":
            return _NOTHING
        return torch.autocast(self.parameters[0].device.type, getattr(torch, precision))

    def _set_rate(self, step: int) -> None:
        if self.settings.schedule != "constant" or self.settings.warmup:
            rate = self.settings.optimizer.lr * rate_factor(self.settings, step, self.steps)
            for group in self.optimizer.param_groups:
                group["lr"] = rate

    def _update(self) -> None:
        # Masked entries are put back rather than given a zero gradient: decay and momentum would
        # move them all the same, and frozen means bit-identical.
        if not self.update_mask:
            self._apply()
            return
        masks = self.update_mask
        before = [(parameter, parameter.detach().clone()) for parameter in masks]
        self._apply()
        for parameter, old in before:
            with torch.no_grad():
                parameter.copy_(torch.where(masks[parameter], parameter, old))

    def _apply(self) -> None:
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()

    def _latest(self, terms: int) -> dict[str, float]:
        return {point["term"]: point["value"] for point in self.curves.points[-terms:]}

    def _choose(self, select: Callable[[], float]) -> None:
        _eval(self.named.values())
        with torch.no_grad():
            score = torch.tensor(float(select()), dtype=torch.float64)
        self.processes.share([score])
        for module in self.named.values():
            module.train()
        if not score.isfinite():
            return
        if self.best is None or float(score) > self.best:
            self.best = float(score)
            self.best_state = {name: value.clone() for name, value in state(self.named).items()}

    def _put_back_best(self) -> None:
        if self.best_state:
            load_state(self.named, self.best_state)

    def _elapsed(self) -> float:
        return self._seconds + time.perf_counter() - self._began

    def _checkpoint_is_due(self, cost: float) -> bool:
        if not self.processes.first:
            return False
        least = pause(self.settings.checkpoint_seconds, cost)
        return self.step < self.steps and time.perf_counter() - self._checkpointed >= least

    def _checkpoint(self) -> float:
        began = time.perf_counter()
        self.entry.save_checkpoint(
            {
                "step": self.step,
                "seconds": self._elapsed(),
                "peak": self._peak,
                "modules": state(self.named),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler and self.scaler.state_dict(),
                "keep": [thing.state_dict() for thing in self.keep],
                "curves": self.curves.state(),
                "rng": self.rng.get_state(),
                "globals": randomness.global_state(),
                "best": self.best,
                "best_state": self.best_state,
            }
        )
        self._checkpointed = time.perf_counter()
        return self._checkpointed - began

    def _resume(self) -> None:
        saved = self.entry.checkpoint({"modules": state(self.named)})
        if saved is None:
            return
        self.step, self._seconds, self._peak = saved["step"], saved["seconds"], saved["peak"]
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.scaler:
            self.scaler.load_state_dict(saved["scaler"])
        for thing, kept in zip(self.keep, saved["keep"], strict=True):
            thing.load_state_dict(kept)
        self.curves.restore(saved["curves"])
        self.rng.set_state(saved["rng"])
        randomness.restore(saved["globals"])
        self.best, self.best_state = saved["best"], saved["best_state"]


def likely_cost(modules: Mapping[str, torch.nn.Module]) -> float:
    """Seconds the first checkpoint of a fit may take: weights and two averages on a slow disk."""
    held = sum(tensor.numel() * tensor.element_size() for tensor in state(modules).values())
    return 3 * held / SLOW_DISK


def pause(least: float, cost: float) -> float:
    """Seconds between two checkpoints that take `cost` each, when at `least` so many are wanted.

    A hundred times their cost apart they take one per cent; with `least` 0 every step has one.
    """
    return max(least, 100 * cost) if least else 0.0


class _Nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...


_NOTHING = _Nothing()


def _eval(modules: Any) -> None:
    for module in modules:
        module.eval()
