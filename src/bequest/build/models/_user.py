"""A model that the user's own function makes."""

from __future__ import annotations

import inspect
from typing import Any

from pydantic import Field

from bequest.build.model import Classifier
from bequest.build.vision import logits_module
from bequest.core.errors import Problem, RequestError
from bequest.core.find import find
from bequest.core.live import Texts
from bequest.core.parts import ModelSpec
from bequest.lazy import torch


class UserModel(ModelSpec):
    """A model made by a function or class of the user's own, named `module:name`.

    It is called with `options`, and with `labels` (names) and `shape` (of one input) where it has
    such parameters. It returns a `torch.nn.Module` that maps inputs [batch, …] to logits
    [batch, labels], or to an object with an attribute `logits`. Inputs that are texts come as
    `bequest.core.live.Texts`.
    """

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
        make = find("models", self.path)
        module = self._made(make, {"labels": labels, "shape": shape})
        width, plain = self._tried(module, shape, kind)
        own = getattr(module, "labels", None) or self.options.get("labels") or labels
        known = tuple(str(label) for label in own)
        if len(known) != width:
            raise self._wrong(
                f"gives {width} logits for {len(known)} labels",
                "take a parameter `labels`, or name them in an attribute `labels` of the module",
            )
        return Classifier(module if plain else logits_module(module), known)

    def _made(self, make: Any, known: dict[str, Any]) -> torch.nn.Module:
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
    ) -> tuple[int, bool]:
        """Number of logits, and whether the module returns them as a plain tensor."""
        modes = {part: part.training for part in module.modules()}
        device = next((weight.device for weight in module.parameters()), torch.device("cpu"))
        texts = Texts(("a b", "c")) if kind == "text" else None
        try:
            with torch.inference_mode():
                answer = module.eval()(texts or torch.zeros(2, *shape, device=device))
        except Exception as error:
            inputs = "texts" if texts else f"inputs of shape {shape}"
            fix = "" if texts else "take a parameter `shape` to know the inputs"
            what = f"can't take {inputs}: {type(error).__name__}: {error}"
            raise self._wrong(what, fix) from error
        finally:
            for part, mode in modes.items():
                part.training = mode
        logits = getattr(answer, "logits", answer)
        if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != 2:
            raise self._wrong("doesn't answer with logits", "they are a tensor [batch, labels]")
        return logits.shape[1], logits is answer

    def _wrong(self, what: str, fix: str = "") -> RequestError:
        return RequestError(Problem(f"`{self.path}` {what}", fix))
