"""A transformers image classifier: pixels as they come in, logits out."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from bequest.build.model import Classifier, images_only
from bequest.build.pretrained import load
from bequest.build.processors import (
    MOST_SIDE,
    Preprocessing,
    compare,
    enlarged_to,
    own_processor,
    preprocessing,
    resized,
    settings_of,
)
from bequest.core.errors import Problem, RequestError
from bequest.lazy import torch, transformers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bequest.build.models.hf import Hf
    from bequest.build.pretrained import Files


@dataclass(eq=False)
class ImageClassifier(Classifier):
    """A pretrained image classifier, behind its own processor.

    processor: the settings of the processor as the model's files say them; {} if they say none.
    reads: names how the model reads pictures, as far as its weights don't.
    notes: what a user should know of how pictures are read.
    """

    processor: Mapping[str, Any] = field(default_factory=dict)
    reads: str = ""
    notes: tuple[str, ...] = ()


def image_classifier(
    spec: Hf, files: Files, kind: str, shape: tuple[int, ...], labels: tuple[str, ...]
) -> Classifier:
    """The image classifier in `files`, behind its preprocessing.

    Raises:
        RequestError: it can't be loaded, or can't take such images.
    """
    taken = images_only("hf", kind, shape)
    kind_of_model = transformers.AutoModelForImageClassification
    head = new_head(len(labels)) if spec.new_head else {}
    with quiet():
        net = load(kind_of_model, spec.path, files, dtype=torch.float32, **head)
    if spec.new_head:
        replace_head(net)
    known = labels if spec.new_head else names_of_logits(net.config)
    wanted = getattr(net.config, "num_channels", 0)
    if wanted not in (taken[0], 0) and taken[0] != 1:
        what = f"`{spec.path}` takes {wanted} channels, the images have {taken[0]}"
        raise RequestError(Problem(what, "give the task as many `channels`"))
    settings = settings_of(files.folder)
    module, notes = _behind_processor(net, files.folder, settings, taken)
    _refuse_sizes(module, spec.path, taken)
    reads = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    return ImageClassifier(
        module, known, processor=settings, reads=reads if settings else "", notes=notes
    )


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


def logits_module(net: torch.nn.Module, before: Preprocessing | None = None) -> Any:
    """`net` behind its preprocessing, returning plain logits [batch, labels].

    Mean and standard deviation are buffers, so they count in the model's fingerprint.
    """
    return _module_class()(net, before or Preprocessing())


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
        rows: torch.Tensor | None
        columns: torch.Tensor

        def __init__(self, net: torch.nn.Module, before: Preprocessing) -> None:
            super().__init__()
            self.net = net
            self.before = before
            self.register_buffer("mean", torch.tensor(before.mean).view(-1, 1, 1))
            self.register_buffer("std", torch.tensor(before.std).view(-1, 1, 1))
            # They depend on the size of the pictures, so they are no part of what is saved.
            for name in ("rows", "columns"):
                given = getattr(before, name)
                matrix = None if given is None else torch.from_numpy(given)
                self.register_buffer(name, matrix, persistent=False)

        def forward(self, inputs: torch.Tensor) -> Any:
            answer = self.net(self.prepared(inputs))
            return getattr(answer, "logits", answer)

        def prepared(self, images: torch.Tensor) -> torch.Tensor:
            before = self.before
            if self.rows is not None:
                images = resized(images, self.rows, self.columns)
            elif before.size and images.shape[-2:] != before.size:
                images = torch.nn.functional.interpolate(
                    images, before.size, mode="bilinear", antialias=True
                )
            if before.order:
                images = images[:, list(before.order)]
            return (images - self.mean) / self.std if before.mean else images

    return LogitsModule


def _behind_processor(
    net: Any, folder: Path, settings: Mapping[str, Any], shape: tuple[int, int, int]
) -> tuple[Any, tuple[str, ...]]:
    """`net` behind the processor in its folder, for images of `shape`, and notes on it."""
    channels = getattr(net.config, "num_channels", 0) or shape[0]
    repeated = (0,) * channels if shape[0] < channels else ()  # grey to colour
    if not settings:
        before = Preprocessing(size=_size(getattr(net.config, "image_size", None)), order=repeated)
        note = "no preprocessor_config.json says how pictures are made ready: they stay in [0, 1]"
        return logits_module(net, before).eval(), (note,)
    with quiet():
        processor = own_processor(folder, settings)
        before = preprocessing(processor, channels, *shape[1:])
        before = replace(before, order=repeated or before.order)
        module = logits_module(net, before).eval()
        compare(processor, before, module.prepared, shape)
    larger = enlarged_to(processor, *shape[1:])
    if larger is None:
        return module, ()
    made, given = (" x ".join(map(str, size)) for size in (larger, shape[1:]))
    return module, (
        f"its image processor enlarges the pictures from {given} to {made} pixels, so they are "
        f"blurred; write `size: {max(larger)}` in the task to keep what they show",
    )


def _refuse_sizes(module: Any, path: str, shape: tuple[int, int, int]) -> None:
    """Try the model on a black picture.

    Raises:
        RequestError: it can't take pictures of the size that its processor makes.
    """
    black = torch.zeros(1, *shape)
    made = module.prepared(black)
    try:
        with torch.no_grad():
            module(black)
    except (RuntimeError, ValueError) as error:
        size = " x ".join(map(str, made.shape[-2:]))
        first = str(error).partition("\n")[0]
        what = f"`{path}` can't take the pictures of {size} pixels that it is given: {first}"
        fix = (
            "correct `size` and `crop_size` in its preprocessor_config.json, or `size` of the task"
        )
        raise RequestError(Problem(what, fix, ("path",))) from error


def _size(size: Any) -> tuple[int, int] | None:
    """`image_size` of a config, a number or height and width, as a pair."""
    pair = (size, size) if isinstance(size, int) else size
    if not pair:
        return None
    if max(pair) > MOST_SIDE:
        raise ValueError(f"its images are {max(pair)} pixels wide; at most {MOST_SIDE} are taken")
    return int(pair[0]), int(pair[1])
