"""What a teacher costs an epoch: its answers cached, asked anew each step, or no teacher at all."""

from __future__ import annotations

import copy
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bequest.benchmarks._side_by_side import machine, now, one_thread, row, since
from bequest.benchmarks.overhead import BATCH, INPUTS, LABELS, POSITION, invented, workbench
from bequest.build.models.mlp import Mlp
from bequest.lazy import functional, torch
from bequest.methods.distill.kd import Kd
from bequest.recipe.schema import FitSettings
from bequest.store.journal import Journal
from bequest.transfer.bench import freeze

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bequest.benchmarks._side_by_side import Times
    from bequest.core.live import Batch
    from bequest.transfer.bench import Bench
    from bequest.transfer.streams import Rows

    Loss = Callable[[Any, Batch, Any], Mapping[str, Any]]
    Way = Callable[[Any, Rows, Bench], Loss]

PROMISE = "from the second epoch at most 1.1 of training without a teacher"
MOST_RATIO = 1.1
TEACHER, STUDENT = (512,) * 4, (128,) * 2
SAMPLES, EPOCHS, ROUNDS = 20_000, 4, 7
METHOD = Kd()


def bench(rounds: int = ROUNDS, samples: int = SAMPLES) -> dict[str, Any]:
    """Four ways to train one student: a row for each epoch, and one for all from the second on."""
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        rows = _rows(invented(samples, INPUTS, LABELS), rounds, Path(folder))
    later = rows[-1]
    return {
        "name": "teacher_cache",
        "promise": PROMISE,
        "kept": "void" not in later and later["cpu"]["cached"]["ratio"] <= MOST_RATIO,
        "rows": rows,
        "machine": machine(),
    }


def _rows(samples: Rows, rounds: int, folder: Path) -> list[dict[str, Any]]:
    torch.manual_seed(0)
    labels = tuple(map(str, range(LABELS)))
    teacher = freeze(Mlp(hidden=TEACHER).build((INPUTS,), "features", labels))
    student = Mlp(hidden=STUDENT).build((INPUTS,), "features", labels)
    if not _same_answers(teacher, samples, folder):
        return [{"what": "all", "void": "the cache answers differently from the teacher"}]
    epochs: list[dict[str, list[Times]]] = [{way: [] for way in WAYS} for _ in range(EPOCHS)]
    for number in range(rounds):
        for name, way in WAYS.items():
            times = _epochs(copy.deepcopy(student), samples, partial(way, teacher), folder)
            for epoch, seconds in zip(epochs, times, strict=True):
                epoch[name] += [seconds] if number else []
    later = {way: [each for epoch in epochs[1:] for each in epoch[way]] for way in WAYS}
    numbered = [row(f"epoch {number}", epoch) for number, epoch in enumerate(epochs, 1)]
    return [*numbered, row("an epoch from the second on", later)]


def _same_answers(teacher: Any, samples: Rows, folder: Path) -> bool:
    journal = Journal(folder, POSITION, {})
    recalled = workbench(journal, FitSettings()).recall(teacher, samples)
    with torch.no_grad():
        same = all(
            torch.allclose(recalled(batch), teacher.logits(batch.inputs), atol=1e-5)
            for batch in samples.epoch(0, BATCH)
        )
    journal.forget()
    return same


def _epochs(
    student: Any, samples: Rows, way: Callable[[Rows, Bench], Loss], folder: Path
) -> Iterator[Times]:
    """What each epoch takes; the first begins with what the way has to prepare."""
    journal = Journal(folder, POSITION, {})
    bench = workbench(journal, FitSettings(epochs=EPOCHS, batch_size=BATCH))
    marks = [now()]
    bench.fit(student, _Watched(samples, marks), way(samples, bench))
    marks.append(now())
    journal.forget()
    del marks[1]  # where the first epoch itself begins
    return map(since, marks, marks[1:])


class _Watched:
    """A stream that notes when its epochs begin."""

    def __init__(self, samples: Rows, marks: list[Times]) -> None:
        self._samples, self._marks = samples, marks
        self.steps = samples.steps

    def epoch(self, seed: int, batch_size: int, skip: int = 0) -> Iterator[Batch]:
        self._marks.append(now())
        return self._samples.epoch(seed, batch_size, skip)


def _alone(teacher: Any, samples: Rows, bench: Bench) -> Loss:
    def loss(model: Any, batch: Batch, rng: Any) -> Mapping[str, Any]:
        return {"hard": functional.cross_entropy(model.logits(batch.inputs), batch.targets)}

    return loss


def _at_hand(teacher: Any, samples: Rows, bench: Bench) -> Loss:
    # The same soft targets for every batch: not what one would train on, but all of the cost
    # that two terms have and no cache can take away.
    with torch.no_grad():
        soft = teacher.logits(samples.batch(torch.arange(BATCH)).inputs)

    def loss(model: Any, batch: Batch, rng: Any) -> Mapping[str, Any]:
        return METHOD.terms(model.logits(batch.inputs), soft[: len(batch.ids)], batch.targets)

    return loss


def _cached(teacher: Any, samples: Rows, bench: Bench) -> Loss:
    soft = bench.recall(teacher, samples)

    def loss(model: Any, batch: Batch, rng: Any) -> Mapping[str, Any]:
        return METHOD.terms(model.logits(batch.inputs), soft(batch), batch.targets)

    return loss


def _live(teacher: Any, samples: Rows, bench: Bench) -> Loss:
    def loss(model: Any, batch: Batch, rng: Any) -> Mapping[str, Any]:
        with torch.no_grad():
            soft = teacher.logits(batch.inputs)
        return METHOD.terms(model.logits(batch.inputs), soft, batch.targets)

    return loss


WAYS: Mapping[str, Way] = {
    "no teacher": _alone,
    "soft targets at hand": _at_hand,
    "cached": _cached,
    "live": _live,
}
