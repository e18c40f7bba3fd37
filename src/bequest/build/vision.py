"""A transformers image classifier: pixels as they come in, logits out."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from bequest.build.model import Classifier, images_only
from bequest.build.paths import read_json
from bequest.build.pretrained import load
from bequest.core.errors import Problem, RequestError
from bequest.lazy import torch, transformers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bequest.build.models.hf import Hf
    from bequest.build.pretrained import Files

_MOST_SIDE = 4096  # pixels; a model's settings must not make images of gigabytes
_MODES: dict[int, Any] = {0: "nearest", 2: "bilinear", 3: "bicubic"}


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


def image_classifier(
    spec: Hf, files: Files, kind: str, shape: tuple[int, ...], labels: tuple[str, ...]
) -> Classifier:
    """The image classifier in `files`, behind its preprocessing.

    Raises:
        RequestError: it can't be loaded, or can't take such images.
    """
    channels, _, _ = images_only("hf", kind, shape)
    kind_of_model = transformers.AutoModelForImageClassification
    head = new_head(len(labels)) if spec.new_head else {}
    with quiet():
        net = load(kind_of_model, spec.path, files, dtype=torch.float32, **head)
    if spec.new_head:
        replace_head(net)
    before = _preprocessing(net.config, files.folder)
    if before.channels not in (channels, 0) and channels != 1:
        what = f"`{spec.path}` takes {before.channels} channels, the images have {channels}"
        raise RequestError(Problem(what, "give the task as many `channels`"))
    known = labels if spec.new_head else names_of_logits(net.config)
    return Classifier(logits_module(net, before).eval(), known)


def new_head(labels: int) -> dict[str, Any]:
    """How transformers is told that a classifier gets another number of labels."""
    return {"num_labels": labels, "ignore_mismatched_sizes": True}


def names_of_logits(config: Any) -> tuple[str, ...]:
    """What a classifier's logits stand for, in their order."""
    return tuple(str(config.id2label[index]) for index in sorted(config.id2label))


def replace_head(net: Any) -> None:
    """All that stands beside the base model anew, also where the old head had the right size."""
    fresh = type(net)(net.config)
    for name, part in fresh.named_children():
        if name != net.base_model_prefix:
            setattr(net, name, part)


def heads_of(module: torch.nn.Module) -> list[str]:
    """Paths of all that stands beside the base model of a transformer; none of other modules."""
    parts: Iterator[tuple[str, Any]] = module.named_modules()
    for path, net in parts:
        if prefix := getattr(net, "base_model_prefix", ""):
            beside = [name for name, _ in net.named_children() if name != prefix]
            return [f"{path}.{name}" if path else name for name in beside]
    return []


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
            if before.channels and before.channels > images.shape[1]:
                images = images.expand(-1, before.channels, -1, -1)  # grey to colour
            return (images - self.mean) / self.std if before.mean else images

    return LogitsModule


def _preprocessing(config: Any, place: Path) -> Preprocessing:
    file = place / "preprocessor_config.json"
    preprocessor = read_json(file) if file.is_file() else {}
    normalised = preprocessor.get("do_normalize", True) and preprocessor.get("image_std")
    return Preprocessing(
        size=_size(preprocessor.get("size") or getattr(config, "image_size", None)),
        channels=getattr(config, "num_channels", 0),
        mean=tuple(preprocessor["image_mean"]) if normalised else (),
        std=tuple(preprocessor["image_std"]) if normalised else (),
        mode=_MODES.get(preprocessor.get("resample", 2), "bilinear"),
    )


def _size(size: Any) -> tuple[int, int] | None:
    if isinstance(size, dict):
        edge = size.get("shortest_edge")
        size = (size.get("height", edge), size.get("width", edge))
    if isinstance(size, int):
        size = (size, size)
    if size and None not in size and max(size) > _MOST_SIDE:
        raise ValueError(f"its images are {max(size)} pixels wide; at most {_MOST_SIDE} are taken")
    return (int(size[0]), int(size[1])) if size and None not in size else None
