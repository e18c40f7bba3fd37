"""Where the files of a pretrained model are, and what kind of model they hold."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bequest.build import finding
from bequest.build.assets.known import known_assets
from bequest.build.assets.names import is_asset
from bequest.build.bounds import no_larger_than, refuse_counts
from bequest.build.gguf_header import elements_in
from bequest.build.paths import located, missing, read_json
from bequest.build.placing import not_numbers, one_level_up, placed, unwrapping
from bequest.build.sentence_files import sentence_files
from bequest.build.weight_files import (
    entries_of,
    refuse_quantised,
    some,
    weight_files,
    weights,
)
from bequest.core.errors import Problem, RequestError
from bequest.store.tensor_header import elements

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from bequest.build.placing import Placed
    from bequest.build.sentence_files import SentenceFiles
    from bequest.store.weight_files import WeightFiles

IMAGE, LANGUAGE, CLASSIFIER, EMBEDDER = "image", "language", "classifier", "embedder"

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_FAMILIES = {
    "ForImageClassification": IMAGE,
    "ForCausalLM": LANGUAGE,
    "LMHeadModel": LANGUAGE,
    "ForSequenceClassification": CLASSIFIER,
    # Of these only the encoder is read: by itself, or below a new head.
    "ForMaskedLM": EMBEDDER,
    "ForPreTraining": EMBEDDER,
    "Model": EMBEDDER,
}
_NEAR = 0.85  # of a name that is surely a misspelt one, and no hub id
_GGUF = b"GGUF"
_PANIC = "PanicException"  # of the tokenizers' Rust; it is no Exception
_FILES = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.tiktoken", "*.txt"]
_TOKENIZERS = ("tokenizer.json", "vocab.json", "vocab.txt", "*.model", "*.tiktoken")


@dataclass(frozen=True)
class Files:
    """A model's files: a folder as `save_pretrained` writes it, or one GGUF file inside a folder.

    folder: where config.json lies; family: what the files hold; gguf: name of the GGUF file, or
    None; weights: the files with the weights, where it is a folder; sentence: what the files of
    sentence-transformers say, if there are some; notes: what a user should know of how they were
    read, which grows as they are.
    """

    folder: Path
    family: str
    gguf: str | None = None
    weights: WeightFiles | None = None
    sentence: SentenceFiles | None = None
    notes: list[str] = field(default_factory=list, compare=False)


def at_hand(path: str) -> Files | None:
    """The files that `path` names if they are on this machine; None for what must be fetched.

    Raises:
        RequestError: the folder or file holds no model that is supported.
    """
    if place := finding.at_hand(path):
        return files_of(path, place)
    if is_asset(path):
        return None
    beside = located(path).parent
    if not _HUB_ID.fullmatch(path) or (beside != Path() and beside.is_dir()):
        raise RequestError(missing(path))
    known = [*known_assets(), *(one.name for one in Path().iterdir() if one.is_dir())]
    if meant := get_close_matches(path, known, n=1, cutoff=_NEAR):
        what = f"`{path}` is neither a folder nor an asset"
        raise RequestError(Problem(what, "name one of these, or a hub id", ("path",), meant[0]))
    return None


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
    if (place / "adapter_config.json").is_file():  # it would send the reader to other files
        raise _wrong(f"`{path}` holds adapters", "merge them into the model and save that")
    sentence = sentence_files(path, place)
    folder = sentence.transformer if sentence else place
    if not (folder / "config.json").is_file():
        raise _wrong(f"`{path}` has no config.json", "save it with `save_pretrained`")
    config = _config(path, folder)
    family = EMBEDDER if sentence and sentence.embeds else _family(path, folder, config)
    refuse_quantised(path, config)
    if family != IMAGE and not _has_tokenizer(folder):
        fix = "save the tokenizer into the folder with `save_pretrained`"
        raise _wrong(f"`{path}` has no tokenizer files", fix)
    return Files(folder, family, None, weight_files(path, folder), sentence)


def config_of(files: Files) -> dict[str, Any]:
    """What the config.json of a folder says."""
    return read_json(files.folder / "config.json")


def _config(path: str, folder: Path) -> dict[str, Any]:
    try:
        config = read_json(folder / "config.json")
        refuse_counts(config)
    except RequestError as error:
        raise RequestError([problem.under("path") for problem in error.problems]) from error
    except (ValueError, RecursionError) as error:
        raise _wrong(f"the config.json of `{path}` can't be right: {error}", "") from error
    return config


def _family(path: str, folder: Path, config: Mapping[str, Any]) -> str:
    """What kind of model a folder holds, by the architecture that its config.json names.

    Raises:
        RequestError: its answers are not supported.
    """
    named = config.get("architectures")
    architectures = [str(name) for name in named] if isinstance(named, list) else []
    for suffix, family in _FAMILIES.items():
        if any(name.endswith(suffix) for name in architectures):
            pictures = (folder / "preprocessor_config.json").is_file()
            of_images = family == EMBEDDER and pictures and not _has_tokenizer(folder)
            return IMAGE if of_images else family
    held = ", ".join(architectures) or "no architecture"
    what = f"`{path}` holds {held}, whose answers are not supported"
    raise _wrong(what, f"it must end in {', '.join(_FAMILIES)}")


def _has_tokenizer(folder: Path) -> bool:
    return any(next(folder.glob(name), None) for name in _TOKENIZERS)


def unavailable(path: str, error: BaseException, fix: str) -> RequestError:
    """The error of a model that can't be loaded."""
    first = str(error).strip().partition("\n")[0]
    return _wrong(f"`{path}` can't be loaded: {type(error).__name__}: {first}", fix)


def load(kind: Any, path: str, files: Files, **settings: Any) -> Any:
    """The model that an `Auto…` class of transformers makes of the files, in float32.

    Every weight finds its place and every place its weight; what is left out stands in
    `files.notes`. Names that torch changed when a module was wrapped are read as they were.
    settings: as for `from_pretrained`; with `ignore_mismatched_sizes` what stands beside the base
    model is to be new, and need not be in the files.

    Raises:
        RequestError: the files are damaged, ask for more memory than they fill, hold other weights
            than the architecture has, or it is not known.
    """
    new_head = bool(settings.pop("ignore_mismatched_sizes", False))
    with understood(path):
        names = [] if files.gguf else list(entries_of(files.folder))
        wrapped = unwrapping(names)
        net, found = _loaded(kind, files, wrapped, settings, new_head=new_head)
        if not found.whole and (up := one_level_up(names)):
            other, instead = _loaded(kind, files, wrapped | up, settings, new_head=new_head)
            if instead.whole:
                net, found, wrapped = other, instead, wrapped | up
    if not found.whole:
        raise RequestError(_misplaced(path, found, files.family))
    if odd := not_numbers(net):
        what = f"`{path}` holds NaN or infinity in {weights(odd)}"
        raise _wrong(what, "its files may be damaged")
    if found.new and not new_head:
        net.pooler = None  # not in the files, and not needed for the vectors of tokens
    files.notes.extend(_left_out(files, found, wrapped))
    if new_head:
        prefix = f"{net.base_model_prefix}."
        beside = (name for name, _ in net.named_parameters() if not name.startswith(prefix))
        new = sorted({*found.new, *beside})
        files.notes.append(f"its head is new: {weights(new)}")
    return net


def load_beside(kind: Any, path: str, files: Files) -> Any:
    """What an `Auto…` class makes of the files beside the weights, such as a tokenizer; no code.

    Raises:
        RequestError: they are damaged.
    """
    own = {"gguf_file": files.gguf} if files.gguf else {}
    with understood(path):
        return kind.from_pretrained(
            files.folder, local_files_only=True, trust_remote_code=False, **own
        )


def _loaded(
    kind: Any,
    files: Files,
    renamed: Mapping[str, str],
    settings: Mapping[str, Any],
    *,
    new_head: bool,
) -> tuple[Any, Placed]:
    own = {"gguf_file": files.gguf} if files.gguf else {"use_safetensors": True}
    with no_larger_than(_elements(files)):
        net, info = kind.from_pretrained(
            files.folder,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            key_mapping=dict(renamed) or None,
            ignore_mismatched_sizes=True,  # they are told of, and refused by their names
            **own,
            **settings,
        )
    if renamed:
        net._weight_conversions = None  # else `save_pretrained` would wrap the names again
    return net, placed(net, info, new_head=new_head)


def _misplaced(path: str, found: Placed, family: str) -> list[Problem]:
    """What is wrong with the weights of a model's files; family: what the model is for."""
    describe = "its config.json must describe the weights beside it"
    head = "for a new one write `new_head: true`"
    if family == LANGUAGE:
        head = "save the whole model; where they are tied, write `tie_word_embeddings: true` into "
        head += "its config.json"
    wrong = (
        ("lack", found.missing, "", describe),
        ("lack", found.headless, " of the head", head),
        ("hold", found.unknown, " that the architecture has no place for", describe),
        ("hold", found.shapes, " of another shape than its config.json says", describe),
    )
    return [
        Problem(f"the files of `{path}` {verb} {weights(names, what)}", fix, ("path",))
        for verb, names, what, fix in wrong
        if names
    ]


def _left_out(files: Files, found: Placed, renamed: Mapping[str, str]) -> Iterator[str]:
    """What a user should know of how the weights were read."""
    if renamed:
        yield "the names of the weights were read without the prefixes of a wrapped module"
    if found.unused:
        yield f"not used: {weights(found.unused, ' of the files')}"
    if others := [file.name for file in files.weights.left_out] if files.weights else []:
        yield f"other files of weights were not read: {some(others)}"


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
    return elements(entries_of(files.folder).values())


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
