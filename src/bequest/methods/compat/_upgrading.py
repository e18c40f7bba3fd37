"""What all methods that replace an embedder share: targets that are asked for once, the old model's
classes as their mean vectors, and who is compared with whom afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from bequest.build.embedding import Search, Vectors
from bequest.core.errors import Problem, RequestError
from bequest.core.live import Batch
from bequest.core.pack import Pack
from bequest.core.parts import Method, Role
from bequest.core.stage import Stage
from bequest.lazy import functional, torch
from bequest.transfer.state import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bequest.core.live import Model
    from bequest.transfer.bench import Bench
    from bequest.transfer.fit import Loss
    from bequest.transfer.streams import Rows

    Answers = Callable[[Batch], torch.Tensor]

Network = TypeVar("Network", bound=Vectors)

SMOOTHING = 0.1  # of labels where embedders are trained by themselves (official configuration)
OLD = Role("the embedder whose vectors lie in the index", answers=("embed",))
NEW = Role("the embedder that learns to take its place", answers=("embed",), learns=True)
# Official: Adam and a cosine over 100 epochs with a warm-up of 5.
FIT: Mapping[str, Any] = {
    "epochs": 100,
    "batch_size": 128,
    "optimizer": {"use": "adam", "lr": 1e-3},
    "schedule": "cosine",
    "warmup": 0.05,
}


class UpgradeMethod(Method):
    """Base of methods that train the network in role `new` for an old model's gallery."""

    roles: ClassVar[Mapping[str, Role]] = {"old": OLD, "new": NEW}
    fit_defaults: ClassVar[Mapping[str, Any]] = FIT

    def transfer(self, bench: Bench) -> Iterator[Stage]:
        """Two stages: new queries in the old gallery, and in a gallery of new vectors.

        The second delivers the layers behind the encoder as a pack, `upgrade`.

        Raises:
            RequestError: the network in role `new` is another one, or doesn't fit the old model.
        """
        self.learn(bench)
        old, new = bench.model("old"), bench.model("new")
        yield searching(new, old, "new", "old")
        yield searching(new, new, "new", "new", {"upgrade": packed(new, width_in(bench, old))})

    def learn(self, bench: Bench) -> None:
        """Train what learns."""
        raise NotImplementedError


def searching(
    query: Model,
    gallery: Model,
    who: str,
    whose: str,
    deliver: Mapping[str, Pack] | None = None,
    of: str = "new",
) -> Stage:
    """The stage at which `who` searches the vectors of `whose`; those of `old` may lie stored."""
    model = Search(query, gallery, stored=whose == "old")
    at = {"query": who, "gallery": whose}
    return Stage(f"{who}-{whose}", model, of=of, at=at, deliver=deliver or {})


def learner(bench: Bench, kind: type[Network], use: str) -> Network:
    """The network in role `new`.

    Raises:
        RequestError: it is another one.
    """
    found = bench.model("new")
    if not isinstance(found, kind):
        what = f"the model in role `new` is not `use: {use}`"
        raise RequestError(Problem(what, f"write `{{use: {use}, of: {{use: …}}}}`"))
    return found


def train(
    bench: Bench, new: Vectors, rows: Rows, loss: Loss, classifier: torch.nn.Module | None
) -> None:
    """Fit the network, but for a frozen encoder, and the classifier beside it."""
    modules = {"new": new.layers if new.frozen else new.module}
    bench.fit(modules | ({"classifier": classifier} if classifier else {}), rows, loss)


def encoded(bench: Bench, new: Vectors, rows: Rows) -> Answers:
    """The vectors of the network's encoder for a batch; asked once a sample where it is frozen."""
    if new.frozen:
        return bench.recall(new.inner, rows, "embed", shared=True)
    return lambda batch: new.inner.embed(batch.inputs)


def unit_answers(bench: Bench, model: Model, rows: Rows) -> Answers:
    """A frozen model's unit vectors for a batch, asked once a sample."""
    recalled = bench.recall(model, rows, "embed", shared=True)
    return lambda batch: functional.normalize(recalled(batch), dim=1)


def width_in(bench: Bench, model: Model) -> int:
    """How long the vectors are that a model gives for the task."""
    first = bench.task("learn").train.batch(torch.arange(1))
    with torch.no_grad():
        return int(model.embed(first.inputs).shape[1])  # type: ignore[attr-defined]


def class_means(answers: Answers, rows: Rows) -> torch.Tensor:
    """The mean of the vectors of each class, itself not made one long: [classes, width].

    A class without samples has the mean 0, which no vector is nearer to than another.
    """
    targets = cast("torch.Tensor", rows.targets)
    vectors = answers(Batch(rows.ids, None, None))
    sums = vectors.new_zeros(_classes(rows), vectors.shape[1]).index_add_(0, targets, vectors)
    return sums / torch.bincount(targets).clamp(min=1)[:, None]


def classifier_of(bench: Bench, width: int, rows: Rows) -> torch.nn.Module:
    """A new linear classifier of vectors, without a bias, that trains beside an embedder."""
    classes = _classes(rows)
    return bench.module("classifier", lambda: torch.nn.Linear(width, classes, bias=False))


def _classes(rows: Rows) -> int:
    return int(cast("torch.Tensor", rows.targets).max()) + 1


def refuse_width(who: str, width: int, wanted: int, fix: str) -> None:
    """Say that vectors don't have the length they must have.

    Raises:
        RequestError: they have another.
    """
    if width != wanted:
        what = f"{who} has vectors of {width} numbers, but the new network is made for {wanted}"
        raise RequestError(Problem(what, fix, ("models", "new")))


def refuse_unlabelled(bench: Bench, use: str) -> None:
    """Say that a method learns from labels only.

    Raises:
        RequestError: the task has none.
    """
    task = bench.task("learn")
    if task.train.targets is None:
        what = f"`{use}` learns from labels, but task `{task.name}` has none"
        raise RequestError(Problem(what, "use `bt2`, which can do without"))


def packed(new: Any, old_width: int) -> Pack:
    """The layers behind the encoder, for any program that has the encoder's vectors.

    old_width: how many numbers of a new vector are compared with old ones.
    """
    base = fingerprint({"model": new.inner.module}) if new.frozen else ""
    given = new.width_given()
    return Pack("basis", new.tensors(), {"old_width": old_width, "given": given}, base)
