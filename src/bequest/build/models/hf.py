"""An image classifier of the Hugging Face kind, with its weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.build.model import Classifier, images_only
from bequest.build.paths import located, missing, read_json
from bequest.build.vision import Preprocessing, logits_module, quiet
from bequest.core.errors import Problem, RequestError
from bequest.core.parts import ModelSpec
from bequest.lazy import torch, transformers

if TYPE_CHECKING:
    from collections.abc import Collection

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_ANSWERING = "ForImageClassification"
_MODES: dict[int, Any] = {0: "nearest", 2: "bilinear", 3: "bicubic"}


class Hf(ModelSpec):
    """An image classifier with its weights, from a local folder or a Hugging Face hub id.

    Weights are read from safetensors files only, and no code that comes with a model is run. The
    resizing and normalisation its preprocessor names are part of the module.
    """

    takes: ClassVar[Collection[str]] = frozenset({"image"})

    path: str = Field(min_length=1, description="A local folder, or a hub id such as `org/name`.")
    new_head: bool = Field(
        False, description="Whether to replace the classifier by a new one for the task's labels."
    )
    revision: str | None = Field(None, description="Commit, branch or tag of a hub id.")

    def check(self) -> list[Problem]:
        """What keeps a local folder from being such a model; hub ids are tried when built."""
        place = located(self.path)
        if place.is_dir():
            return _folder_problems(self.path, place)
        if place.exists() or not _HUB_ID.fullmatch(self.path):
            return [missing(self.path) if not place.exists() else _no_folder(self.path)]
        return []

    def build(self, shape: tuple[int, ...], kind: str, labels: tuple[str, ...]) -> Classifier:
        """The model with its weights, for images [channels, height, width] in [0, 1].

        Raises:
            RequestError: it can't be had, or can't take such inputs.
        """
        problems = self.check()
        if problems:
            raise RequestError(problems)
        channels, _, _ = images_only("hf", kind, shape)
        place = self._place()
        with quiet():
            net = self._net(place, len(labels))
        if self.new_head:
            _replace_head(net)
        before = _preprocessing(net.config, place)
        if before.channels not in (channels, 0) and channels != 1:
            what = f"`{self.path}` takes {before.channels} channels, the images have {channels}"
            raise RequestError(Problem(what, "give the task as many `channels`"))
        known = labels if self.new_head else _labels(net.config)
        return Classifier(logits_module(net, before).eval(), known)

    def _place(self) -> Path:
        """The local folder, or the cached copy of a hub id's settings and safetensors files."""
        import huggingface_hub

        place = located(self.path)
        if place.is_dir():
            return place
        try:
            fetched = huggingface_hub.snapshot_download(
                self.path, revision=self.revision, allow_patterns=["*.json", "*.safetensors"]
            )
        except Exception as error:
            fix = "without a network only local folders and ids in the cache work"
            raise RequestError(_unavailable(self.path, error, fix)) from error
        problems = _folder_problems(self.path, Path(fetched))
        if problems:
            raise RequestError(problems)
        return Path(fetched)

    def _net(self, place: Path, labels: int) -> Any:
        head = {"num_labels": labels, "ignore_mismatched_sizes": True} if self.new_head else {}
        try:
            return transformers.AutoModelForImageClassification.from_pretrained(
                place,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
                **head,
            )
        except Exception as error:
            fix = "its files may be damaged, or its architecture not known to transformers"
            raise RequestError(_unavailable(self.path, error, fix)) from error


def _folder_problems(path: str, place: Path) -> list[Problem]:
    if not (place / "config.json").is_file():
        what = f"`{path}` has no config.json"
        return [Problem(what, "save it with `save_pretrained`", ("path",))]
    try:
        named = read_json(place / "config.json").get("architectures")
    except RequestError as error:
        return [problem.under("path") for problem in error.problems]
    problems = []
    architectures = [str(name) for name in named] if isinstance(named, list) else []
    if not any(name.endswith(_ANSWERING) for name in architectures):
        held = ", ".join(architectures) or "no architecture"
        what = f"`{path}` holds {held}, whose answers are not supported"
        problems.append(Problem(what, f"it must end in {_ANSWERING}", ("path",)))
    if not list(place.glob("*.safetensors")):
        what = f"`{path}` has no safetensors file, and pickled weights are never opened"
        problems.append(Problem(what, "save it with `save_pretrained`", ("path",)))
    return problems


def _no_folder(path: str) -> Problem:
    return Problem(f"`{path}` is a file; a folder is needed", field=("path",))


def _unavailable(path: str, error: Exception, fix: str) -> Problem:
    first = str(error).strip().partition("\n")[0]
    return Problem(f"`{path}` can't be loaded: {type(error).__name__}: {first}", fix, ("path",))


def _labels(config: Any) -> tuple[str, ...]:
    return tuple(str(config.id2label[index]) for index in sorted(config.id2label))


def _replace_head(net: Any) -> None:
    """All that stands beside the base model anew, also where the old head had the right size."""
    fresh = type(net)(net.config)
    for name, part in fresh.named_children():
        if name != net.base_model_prefix:
            setattr(net, name, part)


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
        return size, size
    return (int(size[0]), int(size[1])) if size and None not in size else None
