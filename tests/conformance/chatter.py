"""A model that learns sayings letter by letter, and goes on from a prompt."""

from typing import ClassVar

from toys import Bigrams, Speaker

from bequest.lazy import torch


class Talking(Speaker):
    """A speaker that writes the likeliest letter each time."""

    def complete(self, prompts, longest=64, temperature=0.0):
        return [self._on_from(prompt, longest) for prompt in prompts]

    def _on_from(self, prompt, longest):
        letters = [ord(prompt[-1]) % 128]
        for _ in range(longest):
            scores = self.module(torch.tensor(letters[-1]))
            letters.append(32 + int(scores[32:127].argmax()))
        return "".join(map(chr, letters[1:]))


class Chatter(Bigrams):
    """Letters follow letters, also where there are none yet."""

    answers: ClassVar = frozenset({"logprob", "complete"})

    def build(self, shape, kind, labels):
        return Talking(torch.nn.Embedding(128, 128), answers=self.answers)
