"""Modules of sentence-transformers behind an encoder, computed by that library."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

from bequest.core.errors import Problem, RequestError
from bequest.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bequest.build.sentence_files import Behind


def with_behind(path: str, encoder: Any, modules: Sequence[Behind]) -> torch.nn.ModuleDict:
    """The encoder and the modules that its vectors go through, as one module.

    Raises:
        RequestError: sentence-transformers is not installed.
    """
    if find_spec("sentence_transformers") is None:
        kinds = ", ".join(one.kind for one in modules)
        what = f"`{path}` makes its vectors by {kinds}, for which sentence-transformers is needed"
        raise RequestError(Problem(what, "pip install 'bequest[retrieval]'", ("path",)))
    from sentence_transformers.sentence_transformer import modules as known

    loaded = [
        getattr(known, one.kind).load(str(one.folder), local_files_only=True) for one in modules
    ]
    parts = {"net": encoder, "behind": torch.nn.Sequential(*loaded)}
    return torch.nn.ModuleDict(parts).float().eval()


def behind(
    module: torch.nn.ModuleDict, tokens: dict[str, Any], prompts: Sequence[int]
) -> torch.Tensor:
    """The vector of each text: [batch, width].

    module: as of `with_behind`; tokens: as the encoder takes them; prompts: tokens of the prompt
    before each text, which a module may leave out.
    """
    held = {"token_embeddings": module["net"](**tokens).last_hidden_state, **tokens}
    rows = torch.tensor(prompts)
    found: Any = None
    for length in sorted({*prompts}):  # one length is told to a module at a time
        these = (rows == length).nonzero()[:, 0]
        part = {name: values[these.to(values.device)] for name, values in held.items()}
        for each in cast("Any", module["behind"]):
            part = each({**part, "prompt_length": length} if length else part)
        vectors = part["sentence_embedding"]
        found = vectors.new_empty(len(rows), vectors.shape[1]) if found is None else found
        found = found.index_put((these.to(vectors.device),), vectors)
    return cast("torch.Tensor", found)


def lower_case(tokenizer: Any) -> None:
    """Have texts made lower-case before they become tokens."""
    from tokenizers.normalizers import Lowercase, Sequence

    inside = tokenizer.backend_tokenizer
    first = [Lowercase()]
    inside.normalizer = Sequence([*first, inside.normalizer] if inside.normalizer else first)
