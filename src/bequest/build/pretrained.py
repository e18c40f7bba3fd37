"""Where the files of a pretrained model are, and what kind of model they hold."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bequest.build import finding
from bequest.build.assets.names import is_asset
from bequest.build.bounds import no_larger_than, refuse_counts
from bequest.build.gguf_header import elements_in
from bequest.build.paths import missing, read_json
from bequest.core.errors import Problem, RequestError
from bequest.store.tensor_file import TensorFile

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

IMAGE, LANGUAGE, CLASSIFIER, EMBEDDER = "image", "language", "classifier", "embedder"

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_FAMILIES = {
    "ForImageClassification": IMAGE,
    "ForCausalLM": LANGUAGE,
    "LMHeadModel": LANGUAGE,
    "ForSequenceClassification": CLASSIFIER,
    "Model": EMBEDDER,
}
_GGUF = b"GGUF"
_PANIC = "PanicException"  # of the tokenizers' Rust; it is no Exception
_FILES = ["*.json", "*.safetensors"]


@dataclass(frozen=True)
class Files:
    """A model's files: a folder as `save_pretrained` writes it, or one GGUF file inside a folder.

    family: what the files hold; gguf: name of the GGUF file, or None.
    """

    folder: Path
    family: str
    gguf: str | None = None


def at_hand(path: str) -> Files | None:
    """The files that `path` names if they are on this machine; None for what must be fetched.

    Raises:
        RequestError: the folder or file holds no model that is supported.
    """
    if place := finding.at_hand(path):
        return files_of(path, place)
    if is_asset(path) or _HUB_ID.fullmatch(path):
        return None
    raise RequestError(missing(path))


def fetched(path: str, revision: str | None) -> Files:
    """The files that `path` names: a folder, a GGUF file, an asset or a hub id, fetched if need be.

    Raises:
        RequestError: they can't be had, or hold no model that is supported.
    """
    if (found := at_hand(path)) is not None:
        return found
    place = finding.fetched(path) if is_asset(path) else _from_hub(path, revision)
    return files_of(path, place)


def files_of(path: str, place: Path) -> Files:
    """The model at `place`, a folder or a GGUF file.

    Raises:
        RequestError: there is none that is supported.
    """
    if place.is_file():
        return _gguf(path, place)
    if not (place / "config.json").is_file() and (found := sorted(place.glob("*.gguf"))):
        if len(found) > 1:
            names = ", ".join(file.name for file in found)
            raise _wrong(f"`{path}` holds several GGUF files", f"name one of {names}")
        return _gguf(path, found[0])
    if not (place / "config.json").is_file():
        raise _wrong(f"`{path}` has no config.json", "save it with `save_pretrained`")
    if not list(place.glob("*.safetensors")):
        what = f"`{path}` has no safetensors file, and pickled weights are never opened"
        raise _wrong(what, "save it with `save_pretrained`")
    if (place / "adapter_config.json").is_file():  # it would send the reader to other files
        raise _wrong(f"`{path}` holds adapters", "merge them into the model and save that")
    return Files(place, family_of(path, place))


def family_of(path: str, folder: Path) -> str:
    """What kind of model a folder holds, by the architecture that its config.json names.

    Raises:
        RequestError: its answers are not supported.
    """
    try:
        config = read_json(folder / "config.json")
        refuse_counts(config)
    except RequestError as error:
        raise RequestError([problem.under("path") for problem in error.problems]) from error
    except (ValueError, RecursionError) as error:
        raise _wrong(f"the config.json of `{path}` can't be right: {error}", "") from error
    named = config.get("architectures")
    architectures = [str(name) for name in named] if isinstance(named, list) else []
    for suffix, family in _FAMILIES.items():
        if any(name.endswith(suffix) for name in architectures):
            return family
    held = ", ".join(architectures) or "no architecture"
    what = f"`{path}` holds {held}, whose answers are not supported"
    raise _wrong(what, f"it must end in {', '.join(_FAMILIES)}")


def unavailable(path: str, error: BaseException, fix: str) -> RequestError:
    """The error of a model that can't be loaded."""
    first = str(error).strip().partition("\n")[0]
    return _wrong(f"`{path}` can't be loaded: {type(error).__name__}: {first}", fix)


def load(kind: Any, path: str, files: Files, **settings: Any) -> Any:
    """What an `Auto…` class of transformers makes of the files: safetensors or GGUF only, no code.

    Raises:
        RequestError: the files are damaged, ask for more memory than they fill, or their
            architecture is not known.
    """
    own = {"gguf_file": files.gguf} if files.gguf else {"use_safetensors": True}
    with understood(path), no_larger_than(_elements(files)):
        return kind.from_pretrained(
            files.folder, local_files_only=True, trust_remote_code=False, **own, **settings
        )


@contextmanager
def understood(path: str) -> Iterator[None]:
    """Where a model's files are read and tried: whatever that raises, they are to blame.

    Raises:
        RequestError: something was raised within.
    """
    try:
        yield
    except RequestError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != _PANIC:
            raise
        fix = "its files may be damaged, or its architecture not known to transformers"
        raise unavailable(path, error, fix) from error


def _elements(files: Files) -> int:
    """How many numbers the weights are, by what the files say once that was checked."""
    if files.gguf:
        return elements_in(files.folder / files.gguf)
    count = 0
    for path in files.folder.glob("*.safetensors"):
        with path.open("rb") as file:
            count += TensorFile(file).elements
    return count


def protocols_of(family: str) -> Collection[str]:
    """What models of a family answer."""
    return {LANGUAGE: ("logprob", "complete"), EMBEDDER: ("embed",)}.get(family, ("logits",))


def _from_hub(path: str, revision: str | None) -> Path:
    import huggingface_hub

    try:
        folder = huggingface_hub.snapshot_download(path, revision=revision, allow_patterns=_FILES)
    except Exception as error:
        fix = "without a network only local folders, fetched assets and ids in the cache work"
        raise unavailable(path, error, fix) from error
    return Path(folder)


def _gguf(path: str, file: Path) -> Files:
    with file.open("rb") as opened:
        if opened.read(4) != _GGUF:
            raise _wrong(f"`{path}` is a file, but not in GGUF form", "name a folder")
    return Files(file.parent, LANGUAGE, file.name)


def _wrong(what: str, fix: str) -> RequestError:
    return RequestError(Problem(what, fix, ("path",)))
