"""A pretrained model of the Hugging Face kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from pydantic import Field

from bequest.build import pretrained
from bequest.build.pretrained import CLASSIFIER, IMAGE, LANGUAGE
from bequest.core.errors import Problem, RequestError
from bequest.core.live import Texts
from bequest.core.parts import ModelSpec
from bequest.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Collection

    from bequest.build.pretrained import Files
    from bequest.core.live import Model


_LEAST_KNOWN = 0.5  # of the weights' tokens; tables of weights are made longer by few


class Hf(ModelSpec):
    """A pretrained model: language model, text or image classifier, or embedder of texts.

    From a local folder, a GGUF file, an asset (`bequest get`) or a Hugging Face hub id; what it
    answers follows from the architecture in its config.json. Weights are read from safetensors and
    GGUF files only, and no code that comes with a model is run. The resizing and normalisation that
    an image model's preprocessor names are part of the module.
    """

    answers: ClassVar[Collection[str]] = frozenset({"logits", "logprob", "complete", "embed"})
    takes: ClassVar[Collection[str]] = frozenset({"image", "text"})

    path: str = Field(
        min_length=1,
        description="A local folder, a GGUF file, an asset's name, or a hub id such as `org/name`.",
    )
    new_head: bool = Field(
        False, description="Whether to replace the classifier by a new one for the task's labels."
    )
    chat: bool = Field(
        False,
        description="Whether a language model gets each prompt as a message of a user, written by "
        "its tokenizer's chat template.",
    )
    revision: str | None = Field(None, description="Commit, branch or tag of a hub id.")
    longest: int = Field(
        1024, ge=8, description="Tokens a model of texts reads at once, if it can read as many."
    )

    def check(self) -> list[Problem]:
        """What keeps local files from being such a model; hub ids are tried when built."""
        try:
            pretrained.at_hand(self.path)
        except RequestError as error:
            return error.problems
        return []

    def protocols(self) -> Collection[str]:
        """What the model answers; everything that such models may, while its files aren't here."""
        family = self._family()
        if family is None or not self.new_head:
            return self.answers if family is None else pretrained.protocols_of(family)
        return ("logits",)

    def made_to_answer(self, protocols: Collection[str]) -> str:
        """A classifier is a new head away."""
        headless = "logits" in protocols and not self.new_head
        return "write `new_head: true`" if headless else ""

    def kinds(self) -> Collection[str]:
        """What the model takes; anything that such models may, while its files aren't here."""
        family = self._family()
        return self.takes if family is None else ("image",) if family == IMAGE else ("text",)

    def comes_with_weights(self) -> bool:
        """Unless a part of it is new."""
        return not self.new_head

    def build(self, shape: tuple[int, ...], kind: str, labels: tuple[str, ...]) -> Model:
        """The model with its weights, for texts, or images [channels, height, width] in [0, 1].

        Raises:
            RequestError: it can't be had, or can't take such inputs.
        """
        files = pretrained.fetched(self.path, self.revision)
        with pretrained.understood(self.path):
            model: Any = self._live(files, shape, kind, labels)
            _try_out(model, shape)
        model.files = files
        model.notes = (*getattr(model, "notes", ()), *files.notes)
        return cast("Model", model)

    def _live(
        self, files: Files, shape: tuple[int, ...], kind: str, labels: tuple[str, ...]
    ) -> Model:
        if files.family == IMAGE:
            from bequest.build.vision import image_classifier

            return image_classifier(self, files, kind, shape, labels)
        if kind != "text":
            what = f"`{self.path}` takes texts, but the inputs are {kind or 'unknown'}"
            raise RequestError(Problem(what, field=("path",)))
        return self._of_texts(files, labels)

    def _of_texts(self, files: Files, labels: tuple[str, ...]) -> Model:
        from bequest.build.sentences import embedder, language_model, text_classifier

        if files.family == CLASSIFIER or self.new_head:
            return text_classifier(self, files, labels)
        return language_model(self, files) if files.family == LANGUAGE else embedder(self, files)

    def _family(self) -> str | None:
        try:
            files = pretrained.at_hand(self.path)
        except RequestError:
            return None  # `check` says so
        return files.family if files else None


def _try_out(model: Model, shape: tuple[int, ...]) -> None:
    """Ask the model once, as settings that don't fit its weights may show only then."""
    if tokenizer := getattr(model, "tokenizer", None):
        _refuse_other_tokens(tokenizer, model.module)
    inputs = torch.zeros(1, *shape) if shape else Texts(("a b",))
    asked = next(name for name in ("logits", "embed", "logprob") if name in model.answers)
    with torch.no_grad():
        getattr(model, asked)(inputs)


def _refuse_other_tokens(tokenizer: Any, module: Any) -> None:
    """Refuse a tokenizer that can't be the one of these weights.

    Raises:
        ValueError: it has tokens behind the weights, or none for most of them.
    """
    net: Any = module["net"] if isinstance(module, torch.nn.ModuleDict) else module
    # Added tokens may lie behind the weights in good files too, where no text holds them.
    used = tokenizer.backend_tokenizer.get_vocab(with_added_tokens=False).values()
    known = net.get_input_embeddings().num_embeddings
    if max(used, default=0) >= known:
        raise ValueError(f"its tokenizer has a token {max(used)}, its weights end at {known}")
    if len(tokenizer) < known * _LEAST_KNOWN:
        raise ValueError(
            f"its tokenizer knows {len(tokenizer)} tokens, its weights {known}: is it its own?"
        )
