"""The module around a transformers image classifier: pixels as they come in, logits out."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from bequest.lazy import torch, transformers

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Preprocessing:
    """What happens to a batch of images [batch, channels, height, width] in [0, 1] first.

    size: height and width to resize to; None leaves the size alone.
    channels: grey images are repeated to this many channels.
    mean, std: per channel; empty leaves the values alone.
    mode: how pixels are interpolated.
    """

    size: tuple[int, int] | None = None
    channels: int = 0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    mode: Literal["nearest", "bilinear", "bicubic"] = "bilinear"


def logits_module(net: torch.nn.Module, before: Preprocessing | None = None) -> torch.nn.Module:
    """`net` behind its preprocessing, returning plain logits [batch, labels].

    Mean and standard deviation are buffers, so they count in the model's fingerprint.
    """
    module: torch.nn.Module = _module_class()(net, before or Preprocessing())
    return module


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps transformers' log lines and progress bars off the terminal, and only meanwhile."""
    log = transformers.utils.logging
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()


# Subclassing a module reads an attribute of torch, so the class is made on first use.
@cache
def _module_class() -> Any:
    class LogitsModule(torch.nn.Module):
        mean: torch.Tensor
        std: torch.Tensor

        def __init__(self, net: torch.nn.Module, before: Preprocessing) -> None:
            super().__init__()
            self.net = net
            self.before = before
            self.register_buffer("mean", torch.tensor(before.mean).view(-1, 1, 1))
            self.register_buffer("std", torch.tensor(before.std).view(-1, 1, 1))

        def forward(self, inputs: torch.Tensor) -> Any:
            answer = self.net(self.prepared(inputs))
            return getattr(answer, "logits", answer)

        def prepared(self, images: torch.Tensor) -> torch.Tensor:
            before = self.before
            if before.size and images.shape[-2:] != before.size:
                smooth = before.mode != "nearest"
                images = torch.nn.functional.interpolate(
                    images, before.size, mode=before.mode, antialias=smooth
                )
            if before.channels > images.shape[1]:
                images = images.expand(-1, before.channels, -1, -1)  # grey to colour
            return (images - self.mean) / self.std if before.mean else images

    return LogitsModule
