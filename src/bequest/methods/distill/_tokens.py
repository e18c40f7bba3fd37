"""Distillation of language models, token by token.

The teacher's last hidden states are kept and its output layer is applied to them again: exact, and
smaller than its scores by the vocabulary over the width (85 times for SmolLM2).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from bequest.build.tokens import ids_of, matched
from bequest.core.errors import Problem, RequestError
from bequest.core.live import Texts
from bequest.lazy import functional, torch
from bequest.ops.divergences import divergence_sum
from bequest.transfer.terms import Mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bequest.build.language import LanguageModel
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
        """The terms over a batch of texts; the teacher may judge the student's own instead.

        The hard term is on the texts in any case, so every step has the same terms.
        """
        del model  # the student, reading in the teacher's windows
        share, alpha = self._settings.on_policy, self._settings.alpha
        own = share and float(torch.rand((), generator=rng, device=rng.device)) < share
        encoded = self._student.encoded(batch.inputs)
        scores = self._student.scores(self._student.states(encoded)) if alpha or not own else None
        if own or scores is None:
            terms: dict[str, Term] = {"soft": self._judged(batch.inputs)}
        else:
            terms = {"soft": self._apart(scores, self._kept(batch))}
        if scores is None or not alpha:
            return terms
        hard = functional.cross_entropy(scores, encoded.targets, reduction="sum")
        return {"hard": (alpha, Mean(hard, len(encoded.targets))), **terms}

    def _judged(self, texts: Texts) -> tuple[float, Mean]:
        """The divergence on texts that the student has gone on with itself."""
        own = self._written(texts)
        with torch.no_grad():
            states = self._teacher.states(self._teacher.encoded(own))
        scores = self._student.scores(self._student.states(self._student.encoded(own)))
        return self._apart(scores, states)

    def _apart(self, scores: torch.Tensor, states: torch.Tensor) -> tuple[float, Mean]:
        """The weighed divergence of the student's scores from the teacher.

        scores: [tokens, vocabulary]; states: the teacher's, [tokens, width].
        """
        settings = self._settings
        with torch.no_grad():
            theirs = self._teacher.scores(states)
            # Rows beyond the vocabulary are padding of the matrices, and differ between models.
            known = len(self._student.tokenizer)
            theirs = theirs[:, :known] if self._order is None else theirs[:, self._order]
        apart = divergence_sum(theirs, scores[:, :known], settings.divergence, settings.temperature)
        return settings.soft_weight, Mean(apart, len(scores))

    def _written(self, texts: Texts) -> Texts:
        """The texts with their second half written by the student."""
        tokenizer, longest = self._student.tokenizer, self._student.longest
        half = longest // 2
        prompts = tuple(_beginning(texts, row, tokenizer, half) for row in range(len(texts)))
        room = longest - 1 - max(map(len, ids_of(prompts, tokenizer)))
        rest = max(len(texts.whole(row)) - len(prompts[row]) for row in range(len(texts)))
        tokens = min(room, half, max(4, rest // 4))  # about four letters a token
        self._student.module.eval()
        written = self._student.complete(prompts, tokens, temperature=1.0)
        self._student.module.train()
        return Texts(tuple(text or " " for text in written), prompts)


def _beginning(texts: Texts, row: int, tokenizer: Any, most: int) -> str:
    """What the student goes on from: the prompt, or the first half of a text without one.

    Of long texts less, so that it has fewer than `most` tokens.
    """
    if texts.prompts and texts.prompts[row]:
        return texts.prompts[row]
    words = texts.texts[row].split(" ")
    begun = " ".join(words[: max(1, len(words) // 2)])
    while len(ids_of([begun], tokenizer)[0]) >= most:
        begun = begun[: len(begun) // 2]
    return begun


def _language(bench: Bench, role: str) -> LanguageModel:
    model = bench.model(role)
    if not hasattr(model, "tokenizer") or "logprob" not in model.answers:
        what = f"`{role}` is no language model, but the other is"
        raise RequestError(Problem(what, "give both a language model"))
    return cast("LanguageModel", model)
