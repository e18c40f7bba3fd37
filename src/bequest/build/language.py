"""A live language model: what it gives each token of a text, and how it goes on from a prompt."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast

from bequest.build.answered import NotNumbers
from bequest.build.tokens import begun, encode, first_token, in_order, reads, until_end
from bequest.core.errors import Problem, RequestError
from bequest.core.live import Ragged, Texts
from bequest.lazy import functional, torch, transformers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from bequest.build.pretrained import Files
    from bequest.build.tokens import Encoded

Order = Literal["forward", "backward", "both"]

_AT_ONCE = 512  # tokens whose scores over the whole vocabulary are held at once
_CLOSE = 1e-3


@dataclass(eq=False)
class LanguageModel:
    """A causal language model of transformers with its tokenizer.

    module: a `…ForCausalLM`, perhaps with adapters inside.
    longest: tokens that it reads at once.
    order: whether it reads texts from their beginning or their end. "both": while it learns, every
        other text of a batch from its end; it is asked forward unless `replace` says otherwise.
    ends: tokens that end what it writes; the tokenizer's own where there are none.
    chat: whether prompts are messages of a user, written by the tokenizer's chat template.
    files, notes: what it was read from, if from files, and what a user should know of how.
    """

    module: torch.nn.Module
    tokenizer: Any
    longest: int
    labels: tuple[str, ...] = ()
    answers: Collection[str] = frozenset({"logprob", "complete"})
    order: Order = "forward"
    ends: tuple[int, ...] = ()
    chat: bool = False
    notes: tuple[str, ...] = ()
    files: Files | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> LanguageModel:
        """A model of its own; the tokenizer never changes and is shared."""
        return replace(self, module=copy.deepcopy(self.module, memo))

    @cached_property
    def reads(self) -> str:
        """A digest of how texts become tokens and windows, and what ends them."""
        chat = f" {self.tokenizer.chat_template}" if self.chat else ""
        read = reads(self.tokenizer, self.longest, f"{chat} {self.ends}")
        return read if self.order == "forward" else f"{read} {self.order}"

    def logprob(self, texts: Texts) -> Ragged:
        """The log-probability of each token given those read before it, in nats, as it is read.

        A model that reads backward reads the prompt first too: there it stands behind the text.
        """
        encoded = self.encoded(texts)
        states = self.states(encoded)
        if torch.is_grad_enabled():
            found = chosen(self.scores(states), encoded.targets)
        else:
            parts = self._few_at_once(states, encoded.targets)
            found = torch.cat([chosen(self.scores(few), these) for few, these in parts])
        return Ragged(found, encoded.lengths)

    def hidden(self, texts: Texts) -> Ragged:
        """The last hidden state that each token is predicted from, [tokens, width].

        `scores` makes of them what the model itself would say.
        """
        encoded = self.encoded(texts)
        return Ragged(self.states(encoded), encoded.lengths)

    def standing(self, texts: Texts) -> Ragged:
        """How each token stands among all that could be there, without gradients: [tokens, 4].

        Its log-probability (nats), whether it is the likeliest (0 or 1), and mean and variance of
        the log-probability of a token drawn from the model.
        """
        encoded = self.encoded(texts)
        with torch.no_grad():
            parts = [
                _stands(self.scores(few), these)
                for few, these in self._few_at_once(self.states(encoded), encoded.targets)
            ]
        return Ragged(torch.cat(parts), encoded.lengths)

    def encoded(self, texts: Texts) -> Encoded:
        """The texts as this model's tokens, on its device."""
        turned = [self._turned(place) for place in range(len(texts))]
        return encode(texts, self.tokenizer, self.longest, self._device, turned, chat=self.chat)

    def _turned(self, place: int) -> bool:
        """Whether the text at this place of a batch is read from its end."""
        if self.order == "both":
            return self.module.training and place % 2 == 0
        return self.order == "backward"

    def states(self, encoded: Encoded) -> torch.Tensor:
        """Last hidden states where tokens are predicted: [tokens, width]."""
        body = cast("Any", self.module).base_model
        held = body(input_ids=encoded.ids, attention_mask=encoded.mask, use_cache=False)
        return cast("torch.Tensor", held.last_hidden_state.flatten(0, 1)[encoded.places])

    def scores(self, states: torch.Tensor) -> torch.Tensor:
        """Unnormalised scores of the whole vocabulary: [tokens, vocabulary]."""
        head = cast("Any", self.module).get_output_embeddings()
        return cast("torch.Tensor", head(states))

    def complete(
        self, prompts: Sequence[str], longest: int = 64, temperature: float = 0.0
    ) -> list[str]:
        """What the model writes behind each prompt, until an end token or `longest` tokens.

        One that reads backward writes what stands before the prompt.

        temperature: 0 takes the likeliest token each time; otherwise tokens are drawn from torch's
            global generator.

        Raises:
            RequestError: a prompt is longer than what the model reads at once.
            NotNumbers: a score of a next token is NaN.
        """
        ids, mask = self._padded_left(prompts, longest)
        own = self.tokenizer.eos_token_id
        ends = self.ends or (() if own is None else (own,))
        drawn = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {}
        settings = transformers.GenerationConfig(
            max_new_tokens=longest,
            pad_token_id=first_token(self.tokenizer),
            eos_token_id=list(ends) or None,
            **(drawn or {"do_sample": False}),
        )
        with torch.no_grad():
            written = cast("Any", self.module).generate(
                input_ids=ids,
                attention_mask=mask,
                generation_config=settings,
                logits_processor=[_only_numbers],
            )
        rows = [until_end(row, ends) for row in written[:, ids.shape[1] :].tolist()]
        backward = self.order == "backward"
        texts: list[str] = self.tokenizer.batch_decode(
            [in_order(row, backward) for row in rows], skip_special_tokens=True
        )
        return texts

    def _few_at_once(
        self, states: torch.Tensor, targets: torch.Tensor
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        return zip(torch.split(states, _AT_ONCE), torch.split(targets, _AT_ONCE), strict=True)

    @property
    def _device(self) -> torch.device:
        return next(self.module.parameters()).device

    def _padded_left(
        self, prompts: Sequence[str], longest: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        first = first_token(self.tokenizer)
        turned = self.order == "backward"
        asked = begun(prompts, self.tokenizer, chat=self.chat)
        rows = [[*ids[:1], *in_order(ids[1:], turned)] for ids in asked]
        width = max(map(len, rows))
        if width + longest > self.longest:
            what = f"a prompt of {width} tokens and {longest} new ones are too many for a model "
            fix = "shorten the prompts, or give the model a larger `longest`"
            raise RequestError(Problem(f"{what}that reads {self.longest} at once", fix))
        ids = torch.tensor([[first] * (width - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        return ids.to(self._device), mask.to(self._device)


def chosen(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Log-probability of each target, in nats. scores: [tokens, vocabulary]; targets: [tokens]."""
    return -functional.cross_entropy(scores.float(), targets, reduction="none")


def _only_numbers(written: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """The scores of next tokens, [texts, vocabulary], once none is NaN; for `generate`.

    The highest of scores with NaN may be any.
    """
    del written
    sick = int(scores.isnan().any(dim=1).sum())
    if sick:
        raise NotNumbers(f"the scores of the next token are NaN for {sick} of {len(scores)} texts")
    return scores


def _stands(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """As in `standing`. scores: [tokens, vocabulary]; targets: [tokens]."""
    likely = scores.argmax(dim=1) == targets
    each = scores.float().log_softmax(dim=1)
    found = each.gather(1, targets[:, None])[:, 0]
    weight = each.exp()
    each = each.masked_fill(weight == 0, 0.0)  # 0 · ln 0 = 0, where a token is ruled out
    mean = (weight * each).sum(dim=1)
    # Around the mean: of a nearly even distribution, squares less a square are float32's rounding.
    variance = (weight * (each - mean[:, None]).square()).sum(dim=1)
    return torch.stack([found, likely.float(), mean, variance], dim=1)


def check_head(model: LanguageModel) -> None:
    """Make sure that the head, applied to hidden states, says what the whole model says.

    Raises:
        RequestError: the architecture changes its scores behind the head.
    """
    encoded = model.encoded(Texts(("a b",)))
    with torch.inference_mode():
        whole = cast("Any", model.module)(input_ids=encoded.ids, attention_mask=encoded.mask)
        direct = whole.logits.flatten(0, 1)[encoded.places]
        apart = (model.scores(model.states(encoded)) - direct).abs().max()
    if not bool(apart <= _CLOSE * (1 + direct.abs().max())):
        what = f"`{type(model.module).__name__}` changes its scores behind the output layer"
        raise RequestError(Problem(what, "such architectures are not supported yet"))
