"""Distillation of language models, token by token.

The teacher's last hidden states are kept and its output layer is applied to them again: exact, and
smaller than its scores by the vocabulary over the width (85 times for SmolLM2).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from bequest.build.tokens import matched
from bequest.core.errors import Problem, RequestError
from bequest.core.live import Texts
from bequest.lazy import torch
from bequest.ops.divergences import divergence_sum
from bequest.transfer.terms import Mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bequest.build.language import LanguageModel
    from bequest.build.tokens import Encoded
    from bequest.core.live import Batch
    from bequest.methods.distill.kd import Kd
    from bequest.transfer.bench import Bench
    from bequest.transfer.streams import Rows
    from bequest.transfer.terms import Term


class TokenDistillation:
    """What a student of language learns from each token: the text's, and the teacher's view of it.

    Raises:
        RequestError: teacher and student cut texts into other tokens.
    """

    def __init__(self, settings: Kd, bench: Bench, rows: Rows) -> None:
        self._settings = settings
        student, teacher = _language(bench, "student"), _language(bench, "teacher")
        longest = min(student.longest, teacher.longest)  # both read the same windows
        self._student = replace(student, longest=longest)
        self._teacher = replace(teacher, longest=longest)
        self._order = matched(student.tokenizer, teacher.tokenizer)
        self._kept = bench.recall(self._teacher, rows, ask="hidden")

    def loss(self, model: Any, batch: Batch, rng: torch.Generator) -> Mapping[str, Term]:
        """The terms over a batch of texts; some batches the student has written itself."""
        del model  # the student, reading in the teacher's windows
        if self._settings.on_policy and float(torch.rand((), generator=rng)) < (
            self._settings.on_policy
        ):
            own = self._written(batch.inputs)
            with torch.no_grad():
                states = self._teacher.states(self._teacher.encoded(own))
            return {"soft": self._soft(self._student.encoded(own), states)[0]}
        encoded = self._student.encoded(batch.inputs)
        soft, scores = self._soft(encoded, self._kept(batch))
        hard = torch.nn.functional.cross_entropy(scores, encoded.targets, reduction="sum")
        alpha = self._settings.alpha
        terms: dict[str, Term] = {"soft": soft}
        return {"hard": (alpha, Mean(hard, len(encoded.targets))), **terms} if alpha else terms

    def _soft(
        self, encoded: Encoded, states: torch.Tensor
    ) -> tuple[tuple[float, Mean], torch.Tensor]:
        """The weighed divergence from the teacher, and the student's scores [tokens, vocabulary].

        states: the teacher's, [tokens, width].
        """
        settings = self._settings
        scores = self._student.scores(self._student.states(encoded))
        with torch.no_grad():
            theirs = self._teacher.scores(states)
            # Rows beyond the vocabulary are padding of the matrices, and differ between models.
            known = len(self._student.tokenizer)
            theirs = theirs[:, :known] if self._order is None else theirs[:, self._order]
        apart = divergence_sum(theirs, scores[:, :known], settings.divergence, settings.temperature)
        return (settings.soft_weight, Mean(apart, len(scores))), scores

    def _written(self, texts: Texts) -> Texts:
        """The texts with their second half written by the student."""
        prompts = tuple(_beginning(texts, row) for row in range(len(texts)))
        rest = max(len(texts.whole(row)) - len(prompts[row]) for row in range(len(texts)))
        tokens = max(4, min(self._student.longest // 2, rest // 4))  # about four letters a token
        self._student.module.eval()
        written = self._student.complete(prompts, tokens, temperature=1.0)
        self._student.module.train()
        return Texts(tuple(text or " " for text in written), prompts)


def _beginning(texts: Texts, row: int) -> str:
    """What the student goes on from: the prompt, or the first half of a text without one."""
    if texts.prompts and texts.prompts[row]:
        return texts.prompts[row]
    words = texts.texts[row].split(" ")
    return " ".join(words[: max(1, len(words) // 2)])


def _language(bench: Bench, role: str) -> LanguageModel:
    model = bench.model(role)
    if not hasattr(model, "tokenizer") or "logprob" not in model.answers:
        what = f"`{role}` is no language model, but the other is"
        raise RequestError(Problem(what, "give both a language model"))
    return cast("LanguageModel", model)
