"""A live embedder that onnxruntime computes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.build.finding import fetched
from bequest.build.sentence_files import NO_PROMPTS, sentence_files
from bequest.build.sentences import pooled
from bequest.build.tokens import reads
from bequest.core.errors import Problem, RequestError
from bequest.core.live import Texts
from bequest.lazy import functional, torch, transformers

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from numpy.typing import NDArray

    from bequest.build.models.onnx import Onnx
    from bequest.build.sentence_files import Prompts, SentenceFiles

_TOKENS = ("input_ids", "attention_mask", "token_type_ids")


class Session:
    """A file opened by onnxruntime; copies of a model share it, as nothing changes it.

    Raises:
        RequestError: it can't be opened, or takes something else than tokens.
    """

    def __init__(self, path: Path, output: str | None) -> None:
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = torch.get_num_threads()
        settings.log_severity_level = 3
        try:
            self._opened = onnxruntime.InferenceSession(
                str(path), settings, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            what = f"`{path.name}` can't be opened: {_first_line(error)}"
            raise _wrong(what, "is the file whole?") from error
        self.inputs = [each.name for each in self._opened.get_inputs()]
        if odd := sorted(set(self.inputs) - set(_TOKENS)):
            raise _wrong(f"`{path.name}` asks for {', '.join(odd)}", "it must take tokens of texts")
        floats = [each.name for each in self._opened.get_outputs() if "float" in each.type]
        if not floats or output not in (None, *floats):
            fix = f"its outputs of floats are {', '.join(floats) or '(none)'}"
            raise _wrong(f"`{path.name}` has no output `{output or 'of floats'}`", fix, "output")
        self.output = output or floats[0]
        shapes = {each.name: each.shape for each in self._opened.get_outputs()}
        self.of_tokens = len(shapes[self.output]) == 3

    def __deepcopy__(self, memo: Any) -> Session:
        return self

    def run(self, tokens: dict[str, NDArray[np.int64]]) -> NDArray[np.float32]:
        """The output: [batch, width], or of tokens [batch, tokens, width]."""
        given = {name: tokens[name] for name in self.inputs}
        return np.asarray(self._opened.run([self.output], given)[0], np.float32)


@dataclass(eq=False)
class OnnxEmbedder:
    """An ONNX file with a tokenizer; answers with one vector per text.

    module: holds no weights, but a digest of the file, which it is known by. width, prompts,
    similarity: as of `sentences.Embedder`.
    """

    module: torch.nn.Module
    session: Session
    tokenizer: Any
    longest: int
    pooling: str = "mean"
    normalized: bool = True
    width: int | None = None
    labels: tuple[str, ...] = ()
    answers: Collection[str] = frozenset({"embed"})
    prompts: Prompts = NO_PROMPTS
    similarity: str = "dot"
    reads: str = field(init=False)

    def __post_init__(self) -> None:
        how = f"{self.session.output} {self.pooling} {self.normalized} {self.width}"
        how += self.prompts.digest
        self.reads = f"{reads(self.tokenizer, self.longest)} {how}"

    def embed(self, inputs: Texts) -> torch.Tensor:
        """One vector per text: [batch, width]; what is too long is cut off at its end.

        Each text stands behind the prompt for its role.
        """
        before = self.prompts.before_each(inputs)
        whole = [prompt + inputs.whole(row) for row, prompt in enumerate(before)]
        tokens = self.tokenizer(
            whole, padding=True, truncation=True, max_length=self.longest, return_tensors="np"
        )
        given = {name: np.asarray(tokens[name], np.int64) for name in _TOKENS if name in tokens}
        found = torch.from_numpy(self.session.run(given))
        if found.dim() == 3:
            found = pooled(found, torch.from_numpy(given["attention_mask"]), self.pooling)
        vectors = functional.normalize(found, dim=1) if self.normalized else found
        return vectors[:, : self.width]


def onnx_embedder(spec: Onnx, kind: str) -> OnnxEmbedder:
    """The embedder in a file.

    Raises:
        RequestError: the file or its tokenizer can't be used, or it gives no vectors.
    """
    if kind != "text":
        what = f"`{spec.path}` takes texts, but the inputs are {kind or 'unknown'}"
        raise _wrong(what, "use another model")
    if problems := spec.check():
        raise RequestError(problems)
    path = _file(spec)
    tokenizer = _tokenizer(fetched(spec.tokenizer) if spec.tokenizer else path.parent)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    module = torch.nn.Module()
    module.register_buffer("digest", torch.frombuffer(bytearray(digest), dtype=torch.uint8))
    session = Session(path, spec.output)
    told = _beside(spec.path, path)
    plain = told.plain() if told else None
    pooling, normalized = plain or ("mean", True)
    model = OnnxEmbedder(
        module,
        session,
        tokenizer,
        spec.longest,
        spec.pooling or pooling,
        normalized if spec.normalized is None else spec.normalized,
        told.width if told else None,
        prompts=told.prompts if told else NO_PROMPTS,
        similarity=told.similarity if told else "dot",
    )
    if told and plain is None and spec.pooling is None and session.of_tokens:
        what = (
            f"`{spec.path}` gives vectors of tokens, and its modules.json makes more of them than "
        )
        raise _wrong(f"{what}a mean or the first", "name an `output` of texts", "output")
    _try_out(model, spec.path)
    return model


def _beside(path: str, file: Path) -> SentenceFiles | None:
    """What sentence-transformers' files say, beside the file or above its folder `onnx`."""
    above = [file.parent.parent] if file.parent.name == "onnx" else []
    for root in (file.parent, *above):
        if told := sentence_files(path, root):
            return told
    return None


def _file(spec: Onnx) -> Path:
    place = fetched(spec.path)
    return next(iter(sorted(place.glob("*.onnx")))) if place.is_dir() else place


def _tokenizer(folder: Path) -> Any:
    if not (folder / "tokenizer.json").is_file():
        fix = "name the folder that has it with `tokenizer:`, such as `minilm-l6`"
        raise _wrong(f"there is no tokenizer.json in {folder}", fix, "tokenizer")
    try:
        return transformers.AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise _wrong(
            f"the tokenizer in {folder} can't be loaded: {first}", "", "tokenizer"
        ) from error


def _try_out(model: OnnxEmbedder, path: str) -> None:
    try:
        found = model.embed(Texts(("a b", "c")))
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise _wrong(
            f"`{path}` can't read two short texts: {first}", "is the tokenizer its own?"
        ) from error
    try:
        model.embed(Texts(("a " * model.longest,)))
    except Exception as error:
        what = f"`{path}` can't read a text of {model.longest} tokens: {_first_line(error)}"
        raise _wrong(what, "let it read fewer", "longest") from error
    if found.dim() != 2 or len(found) != 2:
        what = f"`{path}` gives {list(found.shape)} numbers for two texts"
        raise _wrong(what, "name another `output`: of vectors of texts or of tokens")


def _wrong(what: str, fix: str, where: str = "path") -> RequestError:
    return RequestError(Problem(what, fix, (where,)))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
