"""What the files of sentence-transformers say of an embedder, beside its weights.

`modules.json` lists the modules that a text goes through, the transformer first; each has settings
in a folder of its own. `config_sentence_transformers.json` names prompts and how vectors are
compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bequest.build.paths import read_json, read_json_list
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bequest.core.live import Texts

_MODULES = "modules.json"
_OURS = "sentence_transformers."
_FIRST, _POOLING, _NORMALIZE = "Transformer", "Pooling", "Normalize"
# Those that are computed from the vectors of tokens, or from the vector of the text.
_BEHIND = (_POOLING, _NORMALIZE, "Dense", "LayerNorm", "Dropout")
_WITH_WEIGHTS = ("Dense", "LayerNorm")
_ITEMS = ("document", "passage", "corpus")  # names of prompts, as `encode_document` looks for them
_QUERY = "query"
_PLAIN = {"mean": "mean", "cls": "first"}
_ACTIVATIONS = "torch.nn.modules."
_BERT_CONFIGS = "sentence_*_config.json"  # bert, roberta, distilbert …


@dataclass(frozen=True)
class Behind:
    """A module behind the transformer: its class in sentence-transformers, and its folder."""

    kind: str
    folder: Path


@dataclass(frozen=True)
class Prompts:
    """What is put before a text, by what the text is."""

    named: Mapping[str, str] = field(default_factory=dict)
    default: str | None = None

    def before(self, role: str) -> str:
        """The prompt of a text with this role: "query", "document", or "" for any text.

        What has no prompt of its own gets the default one, unless that is for the other role.
        """
        for name in {"query": (_QUERY,), "document": _ITEMS}.get(role, ()):
            if name in self.named:
                return self.named[name]
        if self.default is None or (role and self.default in (_QUERY, *_ITEMS)):
            return ""
        return self.named[self.default]

    def before_each(self, texts: Texts) -> list[str]:
        """The prompt of every text, by its role."""
        return [self.before(role) for role in texts.roles or ("",) * len(texts)]

    @property
    def digest(self) -> str:
        """What tells these prompts from others; empty where nothing is put before texts."""
        told = f" {sorted(self.named.items())} {self.default}"
        return told if any(self.named.values()) else ""


NO_PROMPTS = Prompts()


@dataclass(frozen=True)
class SentenceFiles:
    """How a text becomes a vector.

    transformer: the folder of the transformer. behind: the modules after it. longest: tokens that
    are read, or None. lower: whether texts are made lower-case first. similarity: how vectors are
    compared, "cosine" or "dot". width: how many numbers of a vector are kept, the first; None for
    all.
    """

    transformer: Path
    behind: tuple[Behind, ...]
    prompts: Prompts = NO_PROMPTS
    longest: int | None = None
    lower: bool = False
    similarity: str = "cosine"
    width: int | None = None

    @property
    def embeds(self) -> bool:
        """Whether the vectors of tokens are pooled: a text gets a vector."""
        return any(one.kind == _POOLING for one in self.behind)

    def plain(self) -> tuple[str, bool] | None:
        """Pooling and whether vectors are made one long, where no more than this is done."""
        kinds = [one.kind for one in self.behind]
        if kinds not in ([_POOLING], [_POOLING, _NORMALIZE]):
            return None
        told = read_json(self.behind[0].folder / "config.json")
        modes = _modes(told)
        if len(modes) != 1 or modes[0] not in _PLAIN or not told.get("include_prompt", True):
            return None
        return _PLAIN[modes[0]], _NORMALIZE in kinds


def sentence_files(path: str, root: Path) -> SentenceFiles | None:
    """What the files in `root` say; None where it has no modules.json.

    Raises:
        RequestError: they can't be right, or name a module that is not supported.
    """
    if not (root / _MODULES).is_file():
        return None
    try:
        return _read(path, root)
    except OSError as error:  # such as a name that is too long
        raise _wrong(
            f"the modules.json of `{path}` can't be right: {error.strerror}", ""
        ) from error


def _read(path: str, root: Path) -> SentenceFiles:
    listed = read_json_list(root / _MODULES)
    modules = [_module(path, root, one) for one in listed]
    if not modules or modules[0].kind != _FIRST:
        first = modules[0].kind if modules else "nothing"
        raise _wrong(f"the modules.json of `{path}` begins with {first}", f"it must be {_FIRST}")
    if odd := sorted({one.kind for one in modules[1:]} - {*_BEHIND}):
        what = f"`{path}` changes its vectors by {', '.join(odd)}"
        raise _wrong(what, f"supported are {', '.join(_BEHIND)}")
    if modules[1:] and _POOLING not in [one.kind for one in modules]:
        what = f"the modules.json of `{path}` has no {_POOLING}, so that texts get no vector"
        raise _wrong(what, "save the model with sentence-transformers")
    for one in modules[1:]:
        _check_module(path, one)
    settings = _settings(modules[0].folder)
    about = root / "config_sentence_transformers.json"
    told = read_json(about) if about.is_file() else {}
    return SentenceFiles(
        modules[0].folder,
        tuple(modules[1:]),
        _prompts(path, told),
        _number(path, settings, "max_seq_length"),
        bool(settings.get("do_lower_case", False)),
        _similarity(path, told),
        _number(path, told, "truncate_dim"),
    )


def _number(path: str, told: Mapping[str, Any], name: str) -> int | None:
    """A setting that is a whole number from 1 on, or isn't there."""
    found = told.get(name)
    if found is None or (type(found) is int and found >= 1):
        return found
    what = f"the `{name}` of `{path}` is {str(found)[:100]}"
    raise _wrong(what, "it must be a whole number, at least 1")


def _module(path: str, root: Path, told: Any) -> Behind:
    name = str(told.get("type", "")) if isinstance(told, dict) else ""
    place = str(told.get("path", "")) if isinstance(told, dict) else ""
    if not name.startswith(_OURS):
        what = f"the modules.json of `{path}` names `{name[:100]}`, which is code of its own"
        raise _wrong(what, f"only modules of {_OURS.rstrip('.')} are loaded")
    folder = root / place
    if not folder.resolve().is_relative_to(root.resolve()):
        raise _wrong(f"the modules.json of `{path}` names a folder outside: `{place[:100]}`", "")
    return Behind(name.rpartition(".")[2], folder)


def _check_module(path: str, module: Behind) -> None:
    """Its settings are there, and its weights in safetensors; it names no code."""
    place = f"`{path}/{module.folder.name}`"
    if module.kind in (_POOLING, *_WITH_WEIGHTS) and not (module.folder / "config.json").is_file():
        raise _wrong(f"{place} has no config.json", "save the model with sentence-transformers")
    if module.kind not in _WITH_WEIGHTS:
        return
    if not (module.folder / "model.safetensors").is_file():
        what = f"{place} has no model.safetensors, and pickled weights are never opened"
        raise _wrong(what, "save the model with sentence-transformers")
    activation = str(read_json(module.folder / "config.json").get("activation_function", ""))
    if activation and not activation.startswith(_ACTIVATIONS):
        what = f"{place} names the activation `{activation[:100]}`"
        raise _wrong(what, f"it must begin with {_ACTIVATIONS}")


def _settings(folder: Path) -> dict[str, Any]:
    """The transformer's settings; the name of their file has the kind of model in it."""
    files = sorted(folder.glob(_BERT_CONFIGS))
    return read_json(files[0]) if files else {}


def _modes(told: Mapping[str, Any]) -> list[str]:
    """Names of the poolings, by the newer or the older form of the settings."""
    if mode := told.get("pooling_mode"):
        return [mode] if isinstance(mode, str) else list(mode)
    older = {
        "pooling_mode_cls_token": "cls",
        "pooling_mode_max_tokens": "max",
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
        "pooling_mode_weightedmean_tokens": "weightedmean",
        "pooling_mode_lasttoken": "lasttoken",
    }
    return [mode for name, mode in older.items() if told.get(name)] or ["mean"]


def _prompts(path: str, told: Mapping[str, Any]) -> Prompts:
    named, default = told.get("prompts") or {}, told.get("default_prompt_name")
    if not isinstance(named, dict) or not all(isinstance(one, str) for one in named.values()):
        what = f"the `prompts` in the config_sentence_transformers.json of `{path}` are not texts"
        raise _wrong(what, "each name must have one text")
    if default is not None and (not isinstance(default, str) or default not in named):
        what = f"the `default_prompt_name` of `{path}` is `{str(default)[:100]}`"
        known = ", ".join(named) or "none"
        raise _wrong(f"{what}, but there is no such prompt", f"the prompts are {known}")
    return Prompts(named, default)


def _similarity(path: str, told: Mapping[str, Any]) -> str:
    name = told.get("similarity_fn_name") or "cosine"
    if name not in ("cosine", "dot"):
        what = f"`{path}` compares its vectors by `{str(name)[:100]}`"
        raise _wrong(what, "supported are `cosine` and `dot`")
    return str(name)


def _wrong(what: str, fix: str) -> RequestError:
    return RequestError(Problem(what, fix, ("path",)))
