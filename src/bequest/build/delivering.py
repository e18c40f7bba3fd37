"""Delivered models: a folder that is complete in itself and of the kind others read.

form: what the folder is. "transformers": what `save_pretrained` writes. "adapters": what peft
writes. "onnx": the file that was given. "own": `model.safetensors` with a module's own names; where
layers stand behind an encoder that came in files, that one is such a folder too, in `encoder/`.
`model.json` says how each is built again; in it, `{folder}` stands for where it lies. What others
have no place for, such as heads of several tasks, is in `beside/`; the folder answers with the
newest head.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bequest.build.adapters import (
    base_digest,
    has_adapters,
    merged,
    read_adapters,
    same_base,
    write_adapters,
)
from bequest.build.described import DESCRIPTION, FOLDER, WEIGHTS, innermost, resolved
from bequest.build.embedding import Outputs, UnitVectors, Vectors
from bequest.build.finding import at_hand, fetched
from bequest.build.heads import as_one, bank_path, head_names
from bequest.build.model import own_labels
from bequest.build.ordinary import core, read_ordinary, transformer_in, write_ordinary
from bequest.build.paths import located
from bequest.build.sentence_folder import write_layer_behind
from bequest.core.errors import StoreError
from bequest.store.files import digest_of, read_json, write_json
from bequest.store.tensors import load_tensors, save_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from bequest.core.live import Model

_BESIDE, _ENCODER = "beside/model.safetensors", "encoder"
_IN_FILES = {"hf", "transformer", "smaller", "lora", "onnx", "reading", "saved"}
_ORDINARY = {"hf", "transformer", "smaller", "reading"}


@dataclass(frozen=True)
class Made:
    """How a model was made.

    spec: `use:` and its settings, as a recipe writes them.
    shape, kind: of one input.
    given: the model as it was made, before anything learned; only asked where it has adapters.
    """

    spec: Mapping[str, Any]
    shape: tuple[int, ...]
    kind: str
    given: Model | None = None


def deliver(folder: Path, model: Model, made: Made) -> None:
    """Write a model into an empty folder.

    Raises:
        StoreError: it could not be written.
    """
    from safetensors import SafetensorError

    folder.mkdir(parents=True, exist_ok=True)
    spec = resolved(made.spec)
    told: dict[str, Any] = {}
    with as_one(model.module):
        form = _form(model, spec)
        try:
            if form != "own":
                spec, told = _WRITERS[form](folder, model, spec, made)
        except SafetensorError as error:  # such as a full disk
            raise StoreError(f"{folder} could not be written: {error}") from error
    if form == "own":
        spec = _write_own(folder, model, spec, made)
    elif rest := _rest(model.module):
        save_tensors(folder / _BESIDE, rest)
    write_json(folder / DESCRIPTION, {
        "form": form,
        "use": spec["use"],
        "spec": {name: value for name, value in spec.items() if name != "use"},
        "shape": list(made.shape),
        "kind": made.kind,
        "labels": list(own_labels(model)),
        "heads": list(head_names(model)),
        "files": {file.name: digest_of(file) for file in sorted(folder.glob("*.safetensors"))},
        **told,
    })  # fmt: skip


def fill_delivered(model: Model, folder: Path, *, built: bool = False) -> None:
    """Read the weights of a delivered model into one that was built alike, heads included.

    built: whether it was built of what the folder holds, so that only the rest is read.

    Raises:
        StoreError: a file is missing, damaged, or another model's.
    """
    told = read_json(folder / DESCRIPTION)
    if "form" not in told:
        fill(model.module, folder / WEIGHTS, whole=told["whole"])
        return
    form, inner = told["form"], _encoder_of(model) if (folder / _ENCODER).is_dir() else None
    if form == "own":
        fill(model.module, folder / WEIGHTS, without="encoder." if inner else "")
        if inner is not None and not built:
            fill_delivered(inner, folder / _ENCODER)
        return
    check_files(folder, told)
    with as_one(model.module):
        if form == "transformers" and not built:
            read_ordinary(folder, model.module)
        if form == "adapters" and read_adapters(folder, model.module) != told["base"]:
            what = "is not the one they were trained on: its weights are others"
            raise StoreError(f"the model under the adapters in {folder} {what}")
    if rest := _rest(model.module):
        load_tensors(folder / _BESIDE, rest)


def check_files(folder: Path, told: Mapping[str, Any]) -> None:
    """Make sure that the weights are those that were delivered.

    Raises:
        StoreError: a file is missing or another.
    """
    for name, digest in told["files"].items():
        if digest_of(folder / name) != digest:
            raise StoreError(f"{folder / name} is damaged: its checksum is another")


def save_weights(module: torch.nn.Module, path: Path, without: str = "") -> None:
    """Write all that a module holds, but for names that begin with `without`, for `fill`."""
    save_tensors(path, _all_but(module, without))


def fill(module: torch.nn.Module, path: Path, *, whole: bool = True, without: str = "") -> None:
    """Read what a module holds from a file, tensor by tensor; all of it, or what was changed.

    Raises:
        StoreError: the file is missing, damaged, or another module's.
    """
    places = _all_but(module, without)
    found = load_tensors(path, places)
    if odd := sorted(found.keys() ^ places.keys() if whole else found.keys() - places.keys()):
        raise StoreError(f"{path} is another model's: it differs in {', '.join(odd[:5])}")


def whole_of(model: Model, spec: Mapping[str, Any]) -> tuple[Model, dict[str, Any]]:
    """A model with its adapters merged into it, and what it is made of then."""
    spec = resolved(spec)
    return merged(model), dict(spec["of"] if spec["use"] == "lora" else spec)


def _form(model: Model, spec: Mapping[str, Any]) -> str:
    module = core(model).module
    if spec["use"] == "onnx":
        return "onnx"
    if transformer_in(module) is None or spec["use"] not in _IN_FILES:
        return "own"
    return "adapters" if has_adapters(module) else "transformers"


def _write_transformers(
    folder: Path, model: Model, spec: Mapping[str, Any], made: Made
) -> tuple[dict[str, Any], dict[str, Any]]:
    write_ordinary(folder, model, made.shape)
    return _as_folder(spec, FOLDER, core(model)), {}


def _write_adapters(
    folder: Path, model: Model, spec: Mapping[str, Any], made: Made
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Adapters alone where the model below them lies in files unchanged, else that one too."""
    if spec["use"] != "lora":
        below, told = _write_adapters(folder, model, spec["of"], made)
        return {**spec, "of": below}, told
    given, of = made.given, dict(spec["of"])
    unchanged = given is None or same_base(core(model).module, core(given).module)
    if unchanged and (place := _lies_in(of)):
        # An asset's name is the same on every machine, a path from here leads nowhere else.
        below = {**of, "path": place} if located(of["path"]).exists() else of
    else:
        bare = merged(model, into=False)
        write_ordinary(folder / "base", bare, made.shape)
        below, place = _as_folder(of, f"{FOLDER}/base", core(bare)), "base"
    write_adapters(folder, model, place, made.shape)
    return {**spec, "of": below}, {"base": base_digest(core(model).module)}


def _write_onnx(
    folder: Path, model: Model, spec: Mapping[str, Any], made: Made
) -> tuple[dict[str, Any], dict[str, Any]]:
    place = fetched(spec["path"])
    file = next(iter(sorted(place.glob("*.onnx")))) if place.is_dir() else place
    shutil.copyfile(file, folder / "model.onnx")
    core(model).tokenizer.save_pretrained(folder)
    return {**spec, "path": f"{FOLDER}/model.onnx", "tokenizer": FOLDER}, {}


_WRITERS = {
    "transformers": _write_transformers,
    "adapters": _write_adapters,
    "onnx": _write_onnx,
}


def _write_own(folder: Path, model: Model, spec: dict[str, Any], made: Made) -> dict[str, Any]:
    of = spec.get("of", {})
    inner = _encoder_of(model) if innermost(spec)["use"] in _IN_FILES else None
    if inner is None:
        save_weights(model.module, folder / WEIGHTS)
        return spec
    given = _encoder_of(made.given) if made.given else None
    deliver(folder / _ENCODER, inner, Made(of, made.shape, made.kind, given))
    save_weights(model.module, folder / WEIGHTS, without="encoder.")
    behind = core(model)
    readable = (folder / _ENCODER / "config.json").is_file() and hasattr(core(inner), "pooling")
    if type(behind) is UnitVectors and readable:
        write_layer_behind(folder, _ENCODER, behind.layer("trunk"), core(inner).pooling)
    encoder = {"use": "saved", "path": f"{FOLDER}/{_ENCODER}"}
    return {**spec, "of": encoder, "frozen": behind.frozen}


def _encoder_of(model: Model) -> Any:
    """The model whose vectors layers stand behind; None where there are none."""
    behind = core(model)
    if not isinstance(behind, Vectors):
        return None
    return behind.inner.inner if isinstance(behind.inner, Outputs) else behind.inner


def _as_folder(spec: Mapping[str, Any], path: str, live: Any) -> dict[str, Any]:
    """The spec of what was made as `spec` says, when it lies in a folder of transformers."""
    if spec["use"] in ("reading", "lora"):
        of = _as_folder(spec["of"], path, live)
        return {**spec, "of": of} if spec["use"] == "reading" else of
    first = innermost(spec)
    kept = {**first} if first["use"] == "hf" else {"use": "hf"}
    for name in ("new_head", "revision"):
        kept.pop(name, None)
    longest = {"longest": live.longest} if hasattr(live, "longest") else {}
    return {**kept, "path": path, **longest}


def _lies_in(spec: Mapping[str, Any]) -> str:
    """Where others find the model that a spec names: a folder, or a hub id; empty for nowhere."""
    if spec["use"] != "hf":
        return ""
    place = at_hand(spec["path"])
    if place is None:
        return str(spec["path"])
    return str(place.resolve()) if place.is_dir() else ""


def _rest(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """What a folder of transformers can't hold: heads of tasks, and what stands around the net."""
    net, path = transformer_in(module), bank_path(module)
    # Means and deviations of pixels are settings, which the preprocessor's file says.
    around = "" if net in (None, module) or hasattr(module, "before") else "net."
    return {name: tensor for name, tensor in module.state_dict().items()
            if (path and name.startswith(f"{path}.")) or not name.startswith(around)}  # fmt: skip


def _all_but(module: torch.nn.Module, without: str) -> dict[str, torch.Tensor]:
    held = module.state_dict()
    return {name: held[name] for name in held if not (without and name.startswith(without))}
