"""A step of unlearning beside a plain training step on what is retained, which is the floor.

A step that forgets and retains reads two batches, so it can't cost less than twice the floor. NPO
also needs what the model said before: looked up here, and asked anew each time of a second model
that is held, as is usual (`npo, live`). Both have the same losses over all steps, or nothing is
timed.
"""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.benchmarks._side_by_side import Unit, machine, one_thread, side_by_side
from bequest.build.language import LanguageModel
from bequest.core.live import Split, Texts
from bequest.lazy import torch, transformers
from bequest.methods.unlearn._reading import answers
from bequest.methods.unlearn.grad_diff import GradDiff
from bequest.methods.unlearn.npo import Npo
from bequest.ops.unlearning import preferred, summed
from bequest.recipe.schema import FitSettings
from bequest.store.journal import Journal
from bequest.transfer.bench import Bench
from bequest.transfer.learning import own_loss
from bequest.transfer.optimizers import make_optimizer
from bequest.transfer.streams import Rows
from bequest.transfer.terms import total, weighed

if TYPE_CHECKING:
    from collections.abc import Callable

    from bequest.core.live import Batch
    from bequest.transfer.terms import Term

    Losses = list[float]
    Loss = Callable[[Any], dict[str, Term]]

PROMISE = "an NPO step in at most 2.1 times a plain one, where twice is the floor"
MOST = 2.1
WORDS, TEXTS, STEPS = 2_000, 8, 3
_CLOSE = 1e-5


def bench(rounds: int = 6, tokens: int = 64, layers: int = 4, width: int = 128) -> dict[str, Any]:
    """Milliseconds a step of a small Llama, on 8 texts to forget and 8 to retain."""
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        model = _speaker(layers, width, tokens)
        forget, retain = (_rows(tokens, seed) for seed in (0, 1))
        ways = _ways(model, forget, retain, Path(folder))
        what = f"Llama {layers} × {width}, vocabulary {WORDS}, {TEXTS} × {tokens} tokens a side"
        found = side_by_side(what, ways, lambda one, floor: True, rounds=rounds,
                             unit=Unit("ms a step", 1e3 / STEPS))  # fmt: skip
        if not np.allclose(ways["npo"](), ways["npo, live"](), rtol=_CLOSE):
            found = {"what": what, "void": "looked-up likelihoods give other losses"}
    return {
        "name": "unlearn",
        "promise": PROMISE,
        "kept": "void" not in found and found["cpu"]["npo"]["ratio"] <= MOST,
        "rows": [found],
        "machine": machine() | {"transformers": transformers.__version__},
    }


def _ways(
    model: LanguageModel, forget: Rows, retain: Rows, folder: Path
) -> dict[str, Callable[[], Losses]]:
    away, kept = forget.all(), retain.all()
    desk = Bench(
        models={"student": model}, tasks=[], fresh=lambda role: model,
        journal=Journal(folder, (0, 0), {}), settings=FitSettings(), seed=0,
        device=torch.device("cpu"),
    )  # fmt: skip
    difference, npo = GradDiff().objective(desk, forget), Npo().objective(desk, forget)
    reference = copy.deepcopy(model)
    rng = torch.Generator()
    losses: dict[str, Loss] = {
        "retain": lambda student: {"retain": own_loss(student, kept)},
        "grad_diff": lambda student: {
            "forget": difference(student, away, rng), "retain": own_loss(student, kept),
        },
        "npo, live": lambda student: {
            "forget": _live(student, reference, away), "retain": own_loss(student, kept),
        },
        "npo": lambda student: {
            "forget": npo(student, away, rng), "retain": own_loss(student, kept),
        },
    }  # fmt: skip
    return {name: _trained(model, loss) for name, loss in losses.items()}


def _live(student: Any, reference: Any, batch: Batch) -> torch.Tensor:
    with torch.no_grad():
        found = reference.logprob(batch.inputs)
    before = summed(-found.values, found.lengths)
    return preferred(answers(student, batch).sums, before, Npo().beta).mean()


def _trained(model: LanguageModel, loss: Loss) -> Callable[[], Losses]:
    def steps() -> Losses:
        student = copy.deepcopy(model)
        optimizer = make_optimizer(FitSettings(), list(student.module.parameters()))
        found = []
        for _ in range(STEPS):
            value = total(weighed(loss(student)))
            optimizer.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            found.append(float(value.detach()))
        return found

    return steps


def _rows(tokens: int, seed: int) -> Rows:
    """Texts of random words."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(2, WORDS, (TEXTS, tokens - 1))
    texts = tuple(" ".join(f"w{word}" for word in row) for row in drawn.tolist())
    return Rows(Split(Texts(texts, (), closed=True), None, np.arange(TEXTS)))


def _speaker(layers: int, width: int, tokens: int) -> LanguageModel:
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({f"w{word}": word for word in range(WORDS)}, "w1"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    ends = {"bos_token": "w0", "eos_token": "w1", "pad_token": "w1"}
    words = transformers.PreTrainedTokenizerFast(tokenizer_object=made, **ends)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=WORDS, hidden_size=width, intermediate_size=4 * width,
        num_hidden_layers=layers, num_attention_heads=4, max_position_embeddings=2 * tokens,
        bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    return LanguageModel(transformers.LlamaForCausalLM(config).eval(), words, 2 * tokens)
