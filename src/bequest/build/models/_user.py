"""A model that the user's own function makes."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.build.model import Classifier
from bequest.build.predictor import Predictor, predictor
from bequest.build.vision import logits_module
from bequest.core.errors import Problem, RequestError
from bequest.core.find import find
from bequest.core.live import Texts
from bequest.core.parts import ModelSpec
from bequest.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Collection

    from bequest.core.live import Target

_TRIED = 2  # inputs


class UserModel(ModelSpec):
    """A model made by a function or class of the user's own, named `module:name`.

    It is called with `options`, and with `labels` (names) and `shape` (of one input) where it has
    such parameters. It returns a `torch.nn.Module` that maps inputs [batch, …] to logits
    [batch, labels], or to an object with an attribute `logits`. Inputs that are texts come as
    `bequest.core.live.Texts`.

    For a task that asks for a number it returns [batch, 1] or [batch]: standard units, which become
    those of the target, so that 0 stands for the mean of the training targets; `labels` is then the
    name of the target.
    """

    answers: ClassVar[Collection[str]] = frozenset({"logits", "predict"})

    path: str = Field(pattern=r"^[\w.]+:\w+$", description="The function, as `module:name`.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="What the function is called with."
    )

    def build(self, shape: tuple[int, ...], kind: str, labels: tuple[str, ...]) -> Classifier:
        """What the user's function returns, after a trial on zeros of `shape`, or on two texts.

        The labels are the module's attribute `labels`, the option `labels`, or the task's.

        Raises:
            RequestError: the function fails, or returns something else.
        """
        module = self._made({"labels": labels, "shape": shape})
        logits, plain = self._tried(module, shape, kind)
        if logits is None or logits.ndim != 2:
            raise self._wrong("doesn't answer with logits", "they are a tensor [batch, labels]")
        width = logits.shape[1]
        own = getattr(module, "labels", None) or self.options.get("labels") or labels
        known = tuple(str(label) for label in own)
        if len(known) != width:
            raise self._wrong(
                f"gives {width} logits for {len(known)} labels",
                "take a parameter `labels`, or name them in an attribute `labels` of the module",
            )
        return Classifier(plain, known)

    def predictor(self, shape: tuple[int, ...], kind: str, target: Target) -> Predictor:
        """What the user's function returns, after the same trial, with one number an input.

        Raises:
            RequestError: the function fails, or returns something else.
        """
        module = self._made({"labels": (target.name,), "shape": shape})
        numbers, plain = self._tried(module, shape, kind)
        if numbers is None or numbers.numel() != len(numbers):
            fix = f"it must return a tensor [batch, 1] for `{target.name}`"
            raise self._wrong("doesn't answer with one number for each input", fix)
        return predictor(plain, target)

    def _made(self, known: dict[str, Any]) -> torch.nn.Module:
        make = find("models", self.path)
        try:
            wanted = known.keys() & inspect.signature(make).parameters.keys()
            module = make(**{name: known[name] for name in wanted} | self.options)
        except Exception as error:
            raise self._wrong(f"failed: {type(error).__name__}: {error}") from error
        if not isinstance(module, torch.nn.Module):
            raise self._wrong(
                f"returned {type(module).__name__}", "it must return a torch.nn.Module"
            )
        return module

    def _tried(
        self, module: torch.nn.Module, shape: tuple[int, ...], kind: str
    ) -> tuple[torch.Tensor | None, torch.nn.Module]:
        """The answer to two inputs, or None if that is no tensor; a module that gives just it."""
        modes = {part: part.training for part in module.modules()}
        device = next((weight.device for weight in module.parameters()), torch.device("cpu"))
        texts = Texts(("a b", "c")) if kind == "text" else None
        try:
            with torch.inference_mode():
                answer = module.eval()(texts or torch.zeros(_TRIED, *shape, device=device))
        except Exception as error:
            inputs = "texts" if texts else f"inputs of shape {shape}"
            fix = "" if texts else "take a parameter `shape` to know the inputs"
            what = f"can't take {inputs}: {type(error).__name__}: {error}"
            raise self._wrong(what, fix) from error
        finally:
            for part, mode in modes.items():
                part.training = mode
        found = getattr(answer, "logits", answer)
        fits = isinstance(found, torch.Tensor) and found.ndim > 0 and len(found) == _TRIED
        return (found if fits else None), module if found is answer else logits_module(module)

    def _wrong(self, what: str, fix: str = "") -> RequestError:
        return RequestError(Problem(f"`{self.path}` {what}", fix))
