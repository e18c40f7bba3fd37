"""Delivered models as the ordinary folders of transformers: `from_pretrained` reads them alone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bequest.build.model import Around, own_labels
from bequest.build.sentence_folder import copy_modules
from bequest.build.vision import quiet
from bequest.lazy import torch, transformers
from bequest.store.files import write_json

if TYPE_CHECKING:
    from bequest.core.live import Model

# Beside the weights, and no part of what `save_pretrained` writes of a net or its tokenizer.
_SIDE_FILES = ("generation_config.json", "preprocessor_config.json", "processor_config.json")


def core(model: Model) -> Any:
    """The model itself, without what orders its labels or chooses its heads."""
    while isinstance(model, Around):
        model = model.inner
    return model


def transformer_in(module: torch.nn.Module) -> Any:
    """The model of transformers that a module is or stands around; None where there is none."""
    net = getattr(module, "net", module)
    return net if isinstance(net, transformers.PreTrainedModel) else None


def write_ordinary(folder: Path, model: Model, shape: tuple[int, ...]) -> None:
    """Write weights, configuration, tokenizer and preprocessor of a model of transformers.

    What lay beside the weights it was made from, such as the pooling of an embedder, is copied.

    shape: of one input.
    """
    live = core(model)
    net = transformer_in(live.module)
    name_labels(net, own_labels(model))
    with quiet():
        net.save_pretrained(folder)
    write_beside(folder, model, net, shape)


def write_beside(folder: Path, model: Model, net: Any, shape: tuple[int, ...]) -> None:
    """Write all that a model needs beside its weights and configuration."""
    live, given = core(model), Path(net.config.name_or_path or "")
    for name in _SIDE_FILES:
        if net.config.name_or_path and (given / name).is_file():
            shutil.copyfile(given / name, folder / name)
    if before := getattr(live.module, "before", None):
        _write_preprocessor(folder, before, shape)
    if tokenizer := getattr(live, "tokenizer", None):
        _write_tokenizer(folder, tokenizer, live)
    if "embed" in live.answers and (files := getattr(live, "files", None)):
        copy_modules(folder, files.folder, live.longest, getattr(live.module, "behind", ()))


def read_ordinary(folder: Path, module: torch.nn.Module) -> None:
    """Fill a module of the same architecture with the weights of a folder."""
    net = transformer_in(module)
    with quiet():
        held = type(net).from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=net.dtype,
        )
    net.load_state_dict(held.state_dict())


def name_labels(net: Any, labels: tuple[str, ...]) -> None:
    """Write into a net's configuration what its logits stand for."""
    if labels:
        net.config.id2label = dict(enumerate(labels))
        net.config.label2id = {label: index for index, label in enumerate(labels)}


def _write_tokenizer(folder: Path, tokenizer: Any, live: Any) -> None:
    rules, most = tokenizer.backend_tokenizer, tokenizer.model_max_length
    rules.no_truncation()  # else the last call's settings would be written
    rules.no_padding()
    if "logprob" not in live.answers:  # what is longer is cut off, here and elsewhere
        tokenizer.model_max_length = live.longest
    try:
        tokenizer.save_pretrained(folder)
    finally:
        tokenizer.model_max_length = most


def _write_preprocessor(folder: Path, before: Any, shape: tuple[int, ...]) -> None:
    """What makes of pictures the inputs of a net, where no file of the given model says so.

    Pictures of another size are resized here without rounding, which no processor does: then the
    folder says as little as the given one.
    """
    place = folder / "preprocessor_config.json"
    if place.is_file() or (folder / "processor_config.json").is_file():
        return
    if before.size not in (None, shape[1:]):
        return
    told = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": False,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_convert_rgb": tuple(before.order) == (0, 0, 0),
        "do_normalize": False,
    }
    write_json(place, told)
