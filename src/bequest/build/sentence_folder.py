"""Delivered embedders as sentence-transformers reads them: the files that name their modules."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from bequest.lazy import safetensors_torch, torch
from bequest.store.files import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_MODULES = "modules.json"
_READING = "sentence_bert_config.json"
_PROMPTS = "config_sentence_transformers.json"
_KIND = "sentence_transformers.models."


def copy_modules(folder: Path, given: Path, longest: int, behind: Iterable[Any] = ()) -> None:
    """Copy what says how vectors of tokens become one from the folder that a model came from.

    longest: tokens that are read of a text. behind: the modules after the transformer as they are
    now, where they were loaded.
    """
    if not (given / _MODULES).is_file():
        return  # then they are averaged, here and there
    if (given / _PROMPTS).is_file():
        shutil.copyfile(given / _PROMPTS, folder / _PROMPTS)
    first, *others = read_json(given / _MODULES)
    for module in others:
        if (given / module["path"]).is_dir():
            shutil.copytree(given / module["path"], folder / module["path"], dirs_exist_ok=True)
    for module, part in zip(others, behind, strict=False):
        (folder / module["path"]).mkdir(parents=True, exist_ok=True)
        part.save(str(folder / module["path"]))
    told = given / first["path"] / _READING
    before: dict[str, Any] = read_json(told) if told.is_file() else {}
    write_json(folder / _READING, {**before, "max_seq_length": longest})
    # The transformer itself is written into the folder, wherever it was.
    write_json(folder / _MODULES, [{**first, "path": ""}, *others])


def write_layer_behind(folder: Path, encoder: str, trunk: Any, pooling: str) -> None:
    """Name the modules of an embedder that is an encoder, a linear layer, and unit length.

    encoder: name of the folder within that holds the encoder; trunk: a linear layer, or what hands
    on its inputs; pooling: of the encoder, where its folder doesn't say.
    """
    modules = _of_encoder(folder, encoder, trunk, pooling)
    if (folder / encoder / _PROMPTS).is_file():  # what stands before texts
        shutil.copyfile(folder / encoder / _PROMPTS, folder / _PROMPTS)
    if isinstance(trunk, torch.nn.Linear):
        place = folder / "dense"
        place.mkdir()
        sizes = {"in_features": trunk.in_features, "out_features": trunk.out_features}
        identity = {"bias": True, "activation_function": "torch.nn.modules.linear.Identity"}
        write_json(place / "config.json", sizes | identity)
        held = {f"linear.{name}": each.detach().cpu() for name, each in trunk.named_parameters()}
        safetensors_torch.save_file(held, place / "model.safetensors", {"format": "pt"})
        modules.append(("Dense", "dense"))
    (folder / "normalize").mkdir()
    modules.append(("Normalize", "normalize"))
    told = [
        {
            "idx": place,
            "name": str(place),
            "path": path,
            "type": kind if "." in kind else _KIND + kind,
        }
        for place, (kind, path) in enumerate(modules)
    ]
    write_json(folder / _MODULES, told)


def _of_encoder(folder: Path, encoder: str, trunk: Any, pooling: str) -> list[tuple[str, str]]:
    """The encoder's own modules, by kind and path."""
    listed = folder / encoder / _MODULES
    if listed.is_file():
        return [(each["type"], "/".join(filter(None, (encoder, each["path"]))))
                for each in read_json(listed)]  # fmt: skip
    width = trunk.in_features if isinstance(trunk, torch.nn.Linear) else trunk.width
    told = {
        "word_embedding_dimension": width,
        "pooling_mode_mean_tokens": pooling == "mean",
        "pooling_mode_cls_token": pooling == "first",
    }
    write_json(folder / "pooling" / "config.json", told)
    return [("Transformer", encoder), ("Pooling", "pooling")]
