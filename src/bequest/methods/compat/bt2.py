"""BT² (Zhou et al. 2023): a new embedder that searches an old gallery and loses nothing by it.

Two learnt orthogonal matrices turn the new model's own vector, with a few numbers beside it, so
that its first part can be compared with old vectors while all of it still holds the new one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

from pydantic import Field

from bequest.build.embedding import Vectors
from bequest.build.encoder import Behind, width_of
from bequest.core.errors import Problem, RequestError
from bequest.core.parts import Role
from bequest.lazy import functional, torch
from bequest.methods.compat._upgrading import (
    NEW,
    OLD,
    UpgradeMethod,
    class_means,
    classifier_of,
    encoded,
    learner,
    refuse_width,
    train,
    unit_answers,
    width_in,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bequest.core.live import Batch
    from bequest.transfer.bench import Bench
    from bequest.transfer.terms import Term


class Bt2(UpgradeMethod):
    """Train an embedder whose vectors an old index understands, by two orthogonal bases.

    The model in role `new` is `use: bt2`. Without labels the two terms that need them are left out.
    """

    roles: ClassVar[Mapping[str, Role]] = {
        "old": OLD,
        "independent": Role(
            "the new model trained by itself; the encoder of `new` when left out",
            answers=("embed",),
            optional=True,
        ),
        "new": NEW,
    }
    source: ClassVar[str] = "Zhou et al. 2023, BT², ICCV, arXiv 2211.03989; released code"

    match_new: float = Field(1.0, ge=0, description="Weight of the match with `independent`.")
    influence: float = Field(
        10.0, ge=0, description="Weight of the labels as the old model's class means see them."
    )
    match_old: float = Field(5.0, ge=0, description="Weight of the match with the old vectors.")

    def terms(
        self, parts: Parts, old: torch.Tensor, independent: torch.Tensor
    ) -> dict[str, tuple[float, torch.Tensor]]:
        """The terms that need no labels.

        old, independent: unit vectors of both models, [batch, old width], [batch, width].
        """
        unit = functional.normalize(parts.compatible, dim=1)
        return {
            "match_old": (self.match_old, 1 - (old * unit).sum(dim=1).mean()),
            "match_new": (self.match_new, 1 - (independent * parts.feature).sum(dim=1).mean()),
        }

    def terms_of_labels(
        self, parts: Parts, logits: torch.Tensor, means: torch.Tensor, targets: torch.Tensor
    ) -> dict[str, tuple[float, torch.Tensor]]:
        """The terms that need labels.

        logits: a classifier's on `parts.feature`, [batch, classes]; means: of the old model's unit
        vectors in each class, [classes, old width]; targets: int64 [batch].
        """
        unit = functional.normalize(parts.compatible, dim=1)
        seen = functional.cross_entropy(unit @ means.T, targets)
        return {
            "labels": (1.0, functional.cross_entropy(logits, targets)),
            "influence": (self.influence, seen),
        }

    def learn(self, bench: Bench) -> None:
        """Train the network towards both models, which are asked once a sample."""
        new, task = learner(bench, BasisVectors, "bt2"), bench.task("learn")
        own = bench.model("independent") if bench.has("independent") else new.inner
        fix = "set its `{}`, or leave it out where the encoder's is meant"
        old_width, width = width_in(bench, bench.model("old")), width_in(bench, own)
        refuse_width("`old`", old_width, new.sizes.old_width, fix.format("old_width"))
        refuse_width("`independent`", width, new.sizes.width, fix.format("width"))
        if own is new.inner and not new.frozen:
            what = "role `independent` is empty, and the encoder of `new` trains"
            raise RequestError(Problem(what, "give the new model that was trained by itself"))
        rows = task.train
        old = unit_answers(bench, bench.model("old"), rows)
        independent = unit_answers(bench, own, rows)
        vectors, classifier, means = encoded(bench, new, rows), None, None
        if rows.targets is not None:
            classifier = classifier_of(bench, width, rows)
            means = class_means(old, rows)

        def loss(modules: Any, batch: Batch, rng: Any) -> Mapping[str, Term]:
            parts = new.parts(vectors(batch))
            found = self.terms(parts, old(batch), independent(batch))
            if means is None:
                return found
            logits = modules["classifier"](parts.feature)
            return found | self.terms_of_labels(parts, logits, means, batch.targets)

        train(bench, new, rows, loss, classifier)


class Sizes(NamedTuple):
    """width: of the new model's own vector; old_width: of old vectors; extra: numbers beside."""

    width: int
    old_width: int
    extra: int


class Parts(NamedTuple):
    """What the network makes of a batch.

    feature: what is meant to equal the independent model's unit vector, [batch, width].
    compatible: what is compared with old vectors, not of length one, [batch, old width].
    whole: the vector, `compatible` first, [batch, extra + width].
    """

    feature: torch.Tensor
    compatible: torch.Tensor
    whole: torch.Tensor


class BasisVectors(Vectors):
    """The network's forward pass; h: what comes out of the trunk, [batch, width + old width]."""

    def __init__(
        self, inner: Any, layers: torch.nn.ModuleDict, frozen: bool, sizes: Sizes, scale: float
    ) -> None:
        super().__init__(inner, layers, frozen)
        self.sizes, self.scale = sizes, scale

    @property
    def compared(self) -> int:
        """The part for the old gallery."""
        return self.sizes.old_width

    def mapped(self, vectors: torch.Tensor) -> torch.Tensor:
        """The whole vectors, all of length √(1 + scale²), or `scale` where nothing is beside."""
        return self.parts(vectors).whole

    def parts(self, vectors: torch.Tensor) -> Parts:
        """The parts by the encoder's vectors."""
        return self.parts_of(self.trunk(vectors))

    def parts_of(self, h: torch.Tensor) -> Parts:
        """The parts by what the trunk gives."""
        width, old_width, extra = self.sizes
        gate, p, q = (self.layer(name) for name in ("gate", "p", "q"))
        feature = functional.normalize(h[:, :width], dim=1)
        # Only the rows that are used, as the others would get no gradient anyway.
        beside = functional.linear(h.relu(), gate.weight[:extra], gate.bias[:extra])
        turned = p(feature) * self.scale
        z = torch.cat([functional.normalize(beside, dim=1), turned], dim=1)
        compatible = q(z[:, :old_width])
        return Parts(feature, compatible, torch.cat([compatible, z[:, old_width:]], dim=1))

    def tensors(self) -> dict[str, torch.Tensor]:
        """The trunk, the used rows of the gate, and both bases multiplied into one matrix."""
        _, old_width, extra = self.sizes
        with torch.no_grad():
            p, q, gate = self.layer("p").weight, self.layer("q").weight, self.layer("gate")
            size = extra + len(p)
            inside, outside = p.new_zeros(size, size), torch.eye(size, dtype=p.dtype)
            inside[:extra, :extra], inside[extra:, extra:] = torch.eye(extra), p * self.scale
            outside[:old_width, :old_width] = q
            beside = {"gate": gate.weight[:extra].clone(), "gate_bias": gate.bias[:extra].clone()}
            return {**self._trunk_tensors(), **(beside if extra else {}), "basis": outside @ inside}


class Bt2Network(Behind):
    """An encoder with two orthogonal bases behind it; method `bt2` trains it.

    It gives vectors of `extra + width` numbers, of which the first `old_width` are compared with
    old ones. `width` and `old_width` are those of the encoder when left out.
    """

    width: int | None = Field(
        None, ge=1, le=65_536, description="Numbers in the independent new model's vectors."
    )
    old_width: int | None = Field(None, ge=1, le=65_536, description="Numbers in old vectors.")
    extra: int = Field(32, ge=0, le=65_536, description="Numbers beside the new model's own.")
    scale: float = Field(
        2.0,
        gt=0,
        description="Weight of the own vector against those beside it (the paper's C): its share "
        "of the similarity of new vectors is C² / (1 + C²).",
    )

    def check(self) -> list[Problem]:
        """The parts fit into each other, as far as is said."""
        problems = super().check()
        if self.width and self.old_width:
            problems += _misfit(Sizes(self.width, self.old_width, self.extra))
        return problems

    def build(self, shape: tuple[int, ...], kind: str, labels: tuple[str, ...]) -> BasisVectors:
        """The network, with new layers behind the encoder.

        Raises:
            RequestError: the encoder can't be had, or sizes don't fit.
        """
        sizes = self._sizes(shape, kind)
        if problems := _misfit(sizes):
            raise RequestError(problems)
        nn, (width, old_width, _) = torch.nn, sizes
        inner, trunk, frozen = self.encoder(shape, kind, width + old_width)
        layers = {
            "trunk": trunk,
            "gate": nn.Linear(width + old_width, old_width),
            "p": _orthogonal(width),
            "q": _orthogonal(old_width),
        }
        return BasisVectors(inner, nn.ModuleDict(layers), frozen, sizes, self.scale)

    def _sizes(self, shape: tuple[int, ...], kind: str) -> Sizes:
        own = None
        if self.width is None or self.old_width is None:
            base = self.base()
            if "embed" not in base.protocols():
                what = "the encoder has no width of its own"
                raise RequestError(Problem(what, "say `width` and `old_width`", ("width",)))
            own = width_of(base.build(shape, kind, ()), shape)
        return Sizes(cast("int", self.width or own), cast("int", self.old_width or own), self.extra)


def _orthogonal(width: int) -> torch.nn.Module:
    """y = x Wᵀ with W orthogonal at every step, by Cayley's transform: a tenth of the cost of the
    exponential map."""
    plain = torch.nn.Linear(width, width, bias=False)
    torch.nn.init.orthogonal_(plain.weight)
    return torch.nn.utils.parametrizations.orthogonal(plain, orthogonal_map="cayley")


def _misfit(sizes: Sizes) -> list[Problem]:
    width, old_width, extra = sizes
    if extra > old_width:
        what = f"`extra` {extra} is more than the {old_width} numbers of old vectors"
        return [Problem(what, f"at most {old_width}", ("extra",))]
    if width + extra < old_width:
        what = f"{extra} + {width} numbers can't hold the {old_width} of old vectors"
        return [Problem(what, "give more with `extra`", ("extra",))]
    return []
