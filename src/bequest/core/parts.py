"""What a recipe names: models, tasks and methods as typed, checked, torch-free descriptions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from bequest.core.errors import Problem, RequestError
from bequest.core.find import Kind
from bequest.core.live import Purpose

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from bequest.core.live import Model, Target, Task
    from bequest.core.stage import Stage
    from bequest.transfer.bench import Bench, TaskView


# What is claimed of a method or an audit, by its status.
STATUSES: Mapping[str, str] = {
    "faithful": "its claim held under all seeds",
    "reconstruction": "no claim of accuracy is made",
    "unconfirmed": "the formulas are the paper's, but the effect did not show as its claim demands",
}


class Part(BaseModel):
    """Base of everything a recipe names with `use:`; fields are the part's settings.

    inner: fields that name another part, each with `use:` and its settings, by its kind.
    """

    inner: ClassVar[Mapping[str, Kind]] = {}

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=()
    )

    def check(self) -> list[Problem]:
        """Mistakes that can be seen without torch or the whole data: missing files, columns …

        The field of each problem is relative to this part.
        """
        return []


class ModelSpec(Part):
    """Base of models; a model's name is its file in `build/models/`.

    answers: protocols a built model may have a method for. One with both "logits" and "predict"
        has that which its task asks: `build` gives the one, `predictor` the other.
    takes: kinds of input it may be given; empty means any.
    """

    answers: ClassVar[Collection[str]] = frozenset({"logits"})
    takes: ClassVar[Collection[str]] = frozenset()

    def protocols(self) -> Collection[str]:
        """The protocols that a model of these settings answers, as far as is known unbuilt."""
        return self.answers

    def made_to_answer(self, protocols: Collection[str]) -> str:
        """What to write so that the model answers one of these; empty if no setting does it."""
        return ""

    def kinds(self) -> Collection[str]:
        """The kinds of input that a model of these settings takes; empty means any."""
        return self.takes

    def comes_with_weights(self) -> bool:
        """Whether every build gives the same weights, so that unchanged ones need no keeping."""
        return False

    def can_learn(self) -> bool:
        """Whether its weights can be changed."""
        return True

    def settled(self, shape: tuple[int, ...], kind: str) -> ModelSpec:
        """The same settings with what follows from another model that they name; itself if none.

        Raises:
            RequestError: the other model can't be had.
        """
        return self

    def build(self, shape: tuple[int, ...], kind: str, labels: tuple[str, ...]) -> Model:
        """The live model for inputs of `shape` (one sample) and `kind`, answering for `labels`.
        New weights are drawn from torch's global generator, which the caller has seeded.

        Raises:
            RequestError: the model can't be had, or can't take such inputs or labels.
        """
        raise NotImplementedError

    def predictor(self, shape: tuple[int, ...], kind: str, target: Target) -> Model:
        """The live model for such inputs that predicts `target`, with new weights as in `build`.

        Raises:
            RequestError: the model can't be had, or predicts no numbers.
        """
        what = f"{type(self).__name__.lower()} predicts no numbers"
        raise RequestError(Problem(what, f"use another model for `{target.name}`, such as mlp"))


class TaskSpec(Part):
    """Base of tasks; a task's name is its file in `build/tasks/`.

    asks: the protocol of the question; kind: what the inputs are.
    records: columns that may be recorded of an answer, so that a gate rule can be checked before a
        run; empty where that is not known.
    """

    asks: ClassVar[str] = "logits"
    kind: ClassVar[str] = "features"
    records: ClassVar[Collection[str]] = frozenset()

    purpose: Purpose = Field("learn", description="What the transfer is to do with this task.")

    def gives(self) -> str:
        """What the inputs of a task of these settings are; empty while that is not known."""
        return self.kind

    def load(self, name: str) -> Task:
        """Read the data and split it; `name` is the task's name in the recipe.

        Raises:
            RequestError: the data can't be used; says which file, line or column.
        """
        raise NotImplementedError

    def parts(self, name: str) -> tuple[str, ...]:
        """Names of the tasks that the entry `name` stands for, in order, known before loading."""
        return (name,)

    def load_parts(self, name: str) -> dict[str, Task]:
        """The tasks that the entry `name` stands for, by their names in `parts`.

        Raises:
            RequestError: as for `load`.
        """
        return {name: self.load(name)}


class IndexSpec(Part):
    """Base of places where a user's vectors lie; a place's name is its file in `build/indexes/`."""

    def read(self) -> tuple[Sequence[str], NDArray[np.float32]]:
        """Ids and vectors, [n] and [n, width], in one order; memory-mapped where they can be.

        Raises:
            RequestError: they can't be had; says what is wrong with the place.
        """
        raise NotImplementedError

    def write(self, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Put vectors there, all of them or none; vectors may be memory-mapped.

        Raises:
            RequestError: something lies there already, or the place can't be reached.
            StoreError: it could not be written; nothing was.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Role:
    """A model a method works on.

    about: one line for people; answers: the protocols of which it must answer one (none for any);
    many: the role holds a list of models; learns: its weights are changed; optional: the method
    does something useful without.
    """

    about: str
    answers: Collection[str] = ("logits",)
    many: bool = False
    learns: bool = False
    optional: bool = False


@dataclass(frozen=True)
class Requires:
    """What a method needs of its surroundings; checked before anything runs.

    optimizer: name of the only optimiser its mathematics holds for ("" for any).
    plain: its mathematics allows neither momentum nor weight decay.
    validation: the learnt tasks must have a validation split.
    purposes: purposes at least one task of the step must have.
    least_tasks: how many tasks of the first purpose the step must have.
    """

    optimizer: str = ""
    plain: bool = False
    validation: bool = False
    purposes: Sequence[Purpose] = ("learn",)
    least_tasks: int = 1


class Method(Part):
    """Base of methods; a method's name is its file in `methods/<family>/`, its fields are its
    hyper-parameters, and the first line of its docstring is its summary.

    roles: the models it works on, by role.
    fit_defaults: fit settings that differ from the general ones, as a recipe would write them.
    requires: what it needs of its surroundings.
    final_terms: terms of its loss whose value at the end of training says something by itself; kept
        beside the matrix as the cost of the name before each.
    status: one of `STATUSES`.
    source: the publication.
    """

    roles: ClassVar[Mapping[str, Role]] = {"student": Role("the model that learns", learns=True)}
    fit_defaults: ClassVar[Mapping[str, Any]] = {}
    requires: ClassVar[Requires] = Requires()
    final_terms: ClassVar[Mapping[str, str]] = {}
    status: ClassVar[str] = "faithful"
    source: ClassVar[str] = ""

    def check_data(
        self, models: Mapping[str, Sequence[ModelSpec]], tasks: Sequence[TaskView]
    ) -> list[Problem]:
        """Mistakes that show once the data are there, found before anything runs or is written.

        models: the input models behind each role; tasks: those of the step. The field of a problem
        is a place in the recipe, such as `("tasks", task.name)`.
        """
        return []

    def transfer(self, bench: Bench) -> Iterator[Stage]:
        """Turn the models and tasks on the bench into stages.

        Never measures itself, writes no file, prints nothing; what costs, draws random numbers or
        talks to a service goes through the bench.
        """
        raise NotImplementedError
