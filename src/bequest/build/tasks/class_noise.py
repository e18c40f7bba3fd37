"""Noise with classes, to serve as a source where there is no real one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from bequest.build.settings import OF_LABELS
from bequest.core.live import Purpose  # noqa: TC001 — pydantic reads it
from bequest.core.parts import TaskSpec

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy as np
    from numpy.typing import NDArray

    from bequest.build.classification import Classification

    Floats = NDArray[np.float64]


class ClassNoise(TaskSpec):
    """Random vectors in classes (Yao et al. 2025): a source that has nothing of anybody in it.

    Only `gaussian` has a structure of classes. `uniform` is drawn from -10 to 10 and `laplace` with
    scale 1, the same for every class.
    """

    records: ClassVar[Collection[str]] = OF_LABELS

    purpose: Purpose = Field("source", description="What the transfer is to do with this task.")
    classes: int = Field(ge=2, le=10_000, description="How many classes, called 0, 1, 2 …")
    width: int = Field(256, ge=1, le=65_536, description="Values of each vector.")
    per_class: int = Field(50, ge=1, le=100_000, description="Vectors of each class to train on.")
    distribution: Literal["gaussian", "uniform", "laplace"] = Field(
        "gaussian", description="What vectors are drawn from."
    )
    means: Literal["class", "rising", "common"] = Field(
        "class",
        description="Gaussian only. A random mean for each class; one that grows from class to "
        "class, and the covariance with it; or a single one for all classes.",
    )
    scale: float = Field(
        1.0, ge=0, le=1e6, description="Deviation of the values of means (the paper's alpha)."
    )
    labels: Literal["own", "exchanged", "shuffled"] = Field(
        "own",
        description="Own; each class under the name of another; or dealt out over all vectors.",
    )
    seed: int = Field(0, ge=0, lt=2**31, description="Another seed draws other noise.")

    def load(self, name: str) -> Classification:
        """Vectors [width], labels "0" to "classes - 1"; a fifth as many to test."""
        from bequest.build.classification import Classification, fingerprint

        labels = tuple(str(label) for label in range(self.classes))
        splits = self._sides()
        digest = fingerprint(labels, splits, self.model_dump(mode="json"))
        shape = (self.width,)
        return Classification(name, self.purpose, "features", shape, labels, splits, digest)

    def _sides(self) -> dict[Any, Any]:
        import numpy as np

        from bequest.build.splitting import array_ids
        from bequest.core.live import Split

        rng = np.random.default_rng(self.seed)
        draw, sides = self._generator(rng), {}
        for side, count in (("train", self.per_class), ("test", max(1, self.per_class // 5))):
            targets = np.repeat(np.arange(self.classes), count)
            inputs = draw(targets).astype(np.float32)
            sides[side] = Split(inputs, self._labelled(targets, rng), array_ids(inputs))
        return sides

    def _generator(self, rng: np.random.Generator) -> Any:
        """A function from the class of each vector, int64 [n], to the vectors, [n, width]."""
        import numpy as np

        if self.distribution == "uniform":
            return lambda targets: rng.uniform(-10, 10, (len(targets), self.width))
        if self.distribution == "laplace":
            return lambda targets: rng.laplace(size=(len(targets), self.width))
        means = self.scale * rng.standard_normal((self.classes, self.width))
        if self.means == "rising":
            return self._rising(means, rng)
        if self.means == "common":
            means = np.repeat(means[:1], self.classes, axis=0)
        return lambda targets: means[targets] + rng.standard_normal((len(targets), self.width))

    def _rising(self, means: Floats, rng: np.random.Generator) -> Any:
        """Class c, from 1, has c times its mean and c · scale times a random covariance."""
        import numpy as np

        drawn = rng.standard_normal((self.width, self.width))
        values, vectors = np.linalg.eigh((drawn + drawn.T) / 2)
        root = vectors * np.sqrt(np.maximum(values, 0))  # negative eigenvalues count as 0
        rank = np.arange(1, self.classes + 1)[:, None]

        def draw(targets: Any) -> Floats:
            spread = rng.standard_normal((len(targets), self.width)) @ root.T
            times = rank[targets]
            found: Floats = times * means[targets] + np.sqrt(times * self.scale) * spread
            return found

        return draw

    def _labelled(self, targets: NDArray[np.int64], rng: np.random.Generator) -> Any:
        import numpy as np

        if self.labels == "shuffled":
            return rng.permutation(targets)
        if self.labels == "exchanged":
            # In a cycle through all classes none keeps its own name.
            order = np.random.default_rng([self.seed, 1]).permutation(self.classes)
            names = np.empty(self.classes, np.int64)
            names[order] = np.roll(order, 1)
            return names[targets]
        return targets
