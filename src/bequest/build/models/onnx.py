"""An embedder of texts in ONNX form."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from bequest.build.finding import at_hand, path_problems
from bequest.core.errors import Problem
from bequest.core.parts import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Collection

    from bequest.core.live import Model


class Onnx(ModelSpec):
    """An embedder of texts that lies in an ONNX file; it answers and can't learn.

    Needs the extra `retrieval` (onnxruntime). Prompts, pooling and normalisation are those that
    sentence-transformers' files beside it name, if there are some. The tokenizer is a
    `tokenizer.json`, beside the file or elsewhere. No code that comes with a model is run.
    """

    answers: ClassVar[Collection[str]] = frozenset({"embed"})
    takes: ClassVar[Collection[str]] = frozenset({"text"})

    path: str = Field(
        min_length=1, description="The file, a folder or asset that holds one, or `asset/file`."
    )
    tokenizer: str | None = Field(
        None, description="Folder or asset with the `tokenizer.json`; that of the file's folder."
    )
    output: str | None = Field(
        None,
        min_length=1,
        description="Name of the output that is read, of texts or of their tokens; the first of "
        "floats.",
    )
    pooling: Literal["mean", "first"] | None = Field(
        None,
        description="How vectors of tokens become one; as a modules.json beside the file says, or "
        "by mean. Not read of an output of texts.",
    )
    normalized: bool | None = Field(
        None,
        description="Whether vectors are made one long; as a modules.json says, or true.",
    )
    longest: int = Field(128, ge=8, le=8192, description="Tokens that are read of a text.")

    def check(self) -> list[Problem]:
        """The runtime is installed, and the files are there."""
        from importlib.util import find_spec

        problems = [*path_problems(self.path)]
        if self.tokenizer:
            problems += path_problems(self.tokenizer, "tokenizer")
        if find_spec("onnxruntime") is None:
            fix = "pip install 'bequest[retrieval]'"
            problems.append(Problem("onnxruntime is not installed", fix, ("use",)))
        if not problems and (place := at_hand(self.path)) and place.is_dir():
            found = sorted(file.name for file in place.glob("*.onnx"))
            if len(found) != 1:
                what = f"`{self.path}` holds {len(found)} ONNX files"
                problems.append(Problem(what, "name one file", ("path",)))
        return problems

    def comes_with_weights(self) -> bool:
        """They lie in the file."""
        return True

    def can_learn(self) -> bool:
        """It has no gradient."""
        return False

    def build(self, shape: tuple[int, ...], kind: str, labels: tuple[str, ...]) -> Model:
        """The embedder.

        Raises:
            RequestError: it can't be loaded, or doesn't take texts.
        """
        from bequest.build.onnx_session import onnx_embedder

        return onnx_embedder(self, kind)
