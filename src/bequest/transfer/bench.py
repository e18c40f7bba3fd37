"""The workbench: everything a method needs, and nothing that lets it measure itself."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, TypeVar

from bequest.core.errors import NotFinite, Problem, RequestError, did_you_mean
from bequest.core.live import Ragged
from bequest.lazy import torch
from bequest.store.files import held
from bequest.transfer import cache
from bequest.transfer.fit import Fit, Fitted
from bequest.transfer.health import Frozen, is_frozen
from bequest.transfer.randomness import generator, seeded
from bequest.transfer.state import fingerprint, named_modules, normalises_batches, reading, state
from bequest.transfer.streams import Live, Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bequest.core.live import Model, Purpose, Split, SplitName, Task
    from bequest.recipe.schema import FitSettings
    from bequest.store.journal import Journal
    from bequest.transfer.fit import Hook, Loss, Notice, Progress
    from bequest.transfer.streams import Stream

T = TypeVar("T")
_OWN: Mapping[str, Purpose] = {}


class TaskView:
    """A task as methods see it: what to learn from and what to choose by, never the test split."""

    def __init__(
        self,
        task: Task,
        device: torch.device,
        purpose: Purpose | None = None,
        *,
        singles: bool = True,
    ) -> None:
        self._task, self._device, self._singles = task, device, singles
        self.name, self.labels = task.name, task.labels
        self.purpose: Purpose = purpose or task.purpose
        self.train = self._rows("train")

    @property
    def asks(self) -> str:
        """The protocol that a model answers it by."""
        return self._task.asks

    @property
    def unlabelled(self) -> Rows:
        """Samples without targets, to learn from beside the labelled ones.

        Raises:
            RequestError: the task has no such samples.
        """
        return self._side("unlabelled", "use a task with few labels, such as `use: few_labels`")

    @property
    def validation(self) -> Rows:
        """What to choose by.

        Raises:
            RequestError: the task has no validation split.
        """
        return self._side("validation", "give it a share with `validation: 0.1`")

    def _side(self, side: SplitName, fix: str) -> Rows:
        if side not in self._task.splits:
            raise RequestError(Problem(f"task `{self.name}` has no {side} split", fix))
        return self._rows(side)

    def _rows(self, side: SplitName) -> Rows:
        name = f"{self._task.fingerprint}:{side}"
        return Rows(self._task.splits[side], self._device, name, singles=self._singles)


class Bench:
    """What one step works with under one seed.

    seed: the run's seed; settings: the fit settings of the step; device: where models live.
    purposes: what tasks are there for in this step, where it is not their own purpose.
    progress, notice: told how far a fit is, and about ten times in a fit what `health` found.
    note: told what a user should know.
    """

    def __init__(
        self,
        *,
        models: Mapping[str, Model | list[Model]],
        tasks: Sequence[Task],
        fresh: Callable[[str], Model],
        journal: Journal,
        settings: FitSettings,
        seed: int,
        device: torch.device,
        purposes: Mapping[str, Purpose] = _OWN,
        progress: Progress = lambda step, steps, values: None,
        notice: Notice = lambda step, found: None,
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.seed, self.settings, self.device = seed, settings, device
        self._models = models
        singles = not any(_learns_from_batches(one) for _, one in self._everyone())
        self._tasks = [
            TaskView(task, device, purposes.get(task.name), singles=singles) for task in tasks
        ]
        self._fresh = fresh
        self._journal = journal
        self._progress, self._notice, self._note = progress, notice, note
        self._frozen = Frozen()
        for role, one in self._everyone():
            if is_frozen(one):
                self._frozen.add(role, one)
        self.fits: list[Fitted] = []
        self._infinite: list[str] = []  # which models answered ∞ or −∞ when they were asked

    def _everyone(self) -> Iterator[tuple[str, Model]]:
        """Every model with its role."""
        for role, found in self._models.items():
            for one in found if isinstance(found, list) else [found]:
                yield role, one

    def model(self, role: str = "student") -> Model:
        """The model in a role; a step changes it in place.

        Raises:
            RequestError: nothing fills the role, or a list of models does.
        """
        found = self._in_role(role)
        if isinstance(found, list):
            raise RequestError(f"role `{role}` holds {len(found)} models; ask for models()")
        return found

    def has(self, role: str) -> bool:
        """Whether a model fills a role; one that is optional may be empty."""
        return role in self._models

    def models(self, role: str) -> list[Model]:
        """The models of a role that holds a list."""
        found = self._in_role(role)
        return found if isinstance(found, list) else [found]

    def task(self, purpose: Purpose = "learn") -> TaskView:
        """The only task of a purpose.

        Raises:
            RequestError: there is none, or there are several.
        """
        found = self.tasks(purpose)
        if len(found) != 1:
            names = ", ".join(task.name for task in found) or "none"
            raise RequestError(
                Problem(
                    f"one task with purpose `{purpose}` is needed, but there are {len(found)}: "
                    f"{names}",
                    "name the tasks of the step with `tasks:`",
                )
            )
        return found[0]

    def tasks(self, purpose: Purpose | None = None) -> list[TaskView]:
        """The tasks of the step, in the order of the recipe, of one purpose or of all."""
        return [task for task in self._tasks if purpose in (None, task.purpose)]

    def fresh(self, role: str = "student") -> Model:
        """A new model built like the one in a role, with its own untrained weights.

        Reference lines start from it: `gold`, `joint`, `single`. Under one seed it is the same
        model each time.
        """
        return self._fresh(role)

    def copy(self, model: Model, *, frozen: bool = False) -> Model:
        """A model of its own with the same weights; frozen, it takes no gradient."""
        twin = copy.deepcopy(model)
        if frozen:
            self._frozen.add("a frozen copy", freeze(twin))
        return twin

    def module(self, name: str, make: Callable[[], torch.nn.Module]) -> torch.nn.Module:
        """A module that trains beside a model and is left out of it, such as a regressor.

        `name` and the position of the step decide the random numbers its making draws.
        """
        with seeded(self._journal.seed_of(name)):
            return make().to(self.device)

    def rng(self, name: str) -> torch.Generator:
        """Random numbers for a method, the same whenever the step runs under this seed."""
        return generator(self._journal.seed_of(name))

    def fit(
        self,
        modules: Any,
        batches: Stream | Callable[[int, Any, torch.Generator], Any],
        loss: Loss,
        *,
        keep: Sequence[Any] = (),
        update_mask: Mapping[torch.nn.Parameter, torch.Tensor] | None = None,
        on_gradient: Hook | None = None,
        on_step: Hook | None = None,
        select: Callable[[], float] | None = None,
    ) -> Fitted:
        """Train `modules` on `batches`; the one training loop, and one entry of the journal.

        modules: a model, a module or a mapping of either; every parameter that wants a gradient
            trains. They are in training mode inside and in eval mode afterwards.
        batches: a task's `train`, `pair(…)`, `episodes(…)`, or `f(step, modules, rng)`.
        loss: `loss(modules, batch, rng)` gives {term: tensor} or {term: (weight, tensor)}.
        keep: objects with `state_dict` that change along: memories, buffers, averages.
        update_mask: parameter to a boolean tensor; entries that are False stay bit-identical.
        on_gradient, on_step: `f(modules, step)` after the backward pass, after the update.
        select: a score on validation data, higher is better, asked after every epoch; the state
            with the best score is put back at the end.

        Raises:
            NotFinite: a term became NaN or infinite.
        """
        stream = self._live(batches, modules) if callable(batches) else batches
        named = named_modules(modules)
        went_in = {
            "weights": fingerprint(named),
            "settings": self.settings.model_dump_json(),
            **reading(modules),
        }
        entry = self._journal.entry("fit", "-".join(filter(None, named)) or "model", went_in)
        try:
            record = entry.result({"modules": state(named)})
        except LookupError:
            fit = Fit(
                entry, modules, stream, loss, self.settings, keep, update_mask,
                on_gradient, on_step, select, self._progress, self._looked,
            )  # fmt: skip
            try:
                fitted = fit.run()
            except NotFinite as error:
                raise error.beside(self._infinite) from error
            record = {
                "steps": fitted.steps,
                "curves": fitted.curves,
                "best": fitted.best,
                "cost": fitted.cost,
                "modules": state(named),
                "keep": [thing.state_dict() for thing in keep],
            }
            entry.commit(record)
        else:
            for thing, kept in zip(keep, record["keep"], strict=True):
                thing.load_state_dict(kept)
            for module in named.values():
                module.eval()
        fitted = Fitted(record["steps"], record["curves"], record["best"], record["cost"])
        self.fits.append(fitted)
        return fitted

    def rows(self, split: Split, fingerprint: str) -> Rows:
        """Samples as `recall` takes them; the fingerprint names them and how they were prepared."""
        return Rows(split, self.device, fingerprint)

    def remember(self, name: str, make: Callable[[], T]) -> T:
        """The result of `make()`, computed once and kept in the journal.

        For whatever costs, draws random numbers or talks to a service. The result is made of
        tensors, NumPy arrays, numbers, texts, lists, tuples and mappings.
        """
        entry = self._journal.entry("remember", name, {})

        def drawn() -> T:
            with seeded(entry.seed):
                return make()

        result: T = entry.made_once(drawn)
        return result

    def answered(self, name: str, asked: str, models: Any, make: Callable[[], T]) -> T:
        """What `make()` answers to `asked`, found once and then by what was asked.

        For methods that work when their model is asked: several stages share what the first of them
        drew, and none of it is drawn again. Unlike `remember` it may be called in any order, and
        while a stage is scored.

        models: whose answer it is, as for a fit.
        """
        went_in = {"weights": fingerprint(named_modules(models)), **reading(models)}
        entry = self._journal.answer(name, asked, went_in)
        try:
            found: T = entry.result()
        except LookupError:
            with seeded(entry.seed):
                found = make()
            entry.commit(found)
        return found

    def note(self, text: str) -> None:
        """Tell the user something about the models or the work that no number shows."""
        self._note(text)

    def told(self, part: int, parts: int) -> None:
        """Show that `part` of `parts` is done, of what takes a while and is no fit."""
        self._progress(part, parts, {})

    def recall(
        self, model: Model, rows: Rows, ask: str = "logits", *, shared: bool = False
    ) -> cache.Recalled:
        """What a frozen model answers to every sample of `rows`, asked once, looked up by id.

        Memory-mapped on disk; the result is called with a batch.

        shared: whether the answers are kept until the run ends, for other steps and seeds that ask
            the same of a model of the same weights; otherwise until the step ends.

        Raises:
            StaleCache: what lies there was made from other weights, data or transform.
        """
        weights = fingerprint({"model": model.module})
        made_from = {"weights": weights, "data": rows.fingerprint, "asked": ask, **reading(model)}
        entry = self._journal.entry("recall", ask, made_from)
        with entry.processes.in_turn(), seeded(entry.seed):
            parts = rows.askable()
            answers = self._answers(model, rows, parts, ask)
            ids = rows.ids[torch.cat(parts)]
            if shared:
                place = self._journal.shared_file("npy", made_from)
                with held(place):  # another seed may be making it
                    return cache.recall(place, made_from, ids, answers)
            return cache.recall(entry.side_file("npy"), made_from, ids, answers)

    def _answers(
        self, model: Model, rows: Rows, parts: Sequence[torch.Tensor], ask: str
    ) -> Iterator[torch.Tensor | Ragged]:
        model.module.eval()
        nan = infinite = asked = 0
        with torch.inference_mode():
            for number, part in enumerate(parts, 1):
                answer = getattr(model, ask)(rows.batch(part).inputs)
                each = answer.values if isinstance(answer, Ragged) else answer
                each, asked = each if each.ndim > 1 else each[:, None], asked + len(each)
                nan += int(each.flatten(1).isnan().any(dim=1).sum())
                infinite += int(each.flatten(1).isinf().any(dim=1).sum())
                yield answer
                self.told(number, len(parts))
        if nan:
            raise NotFinite(f"{nan} of {asked} answers of {self._called(model)} are not numbers")
        if infinite:
            told = f"{infinite} of {asked} answers of {self._called(model)} hold ∞ or −∞"
            self._infinite.append(told)

    def _called(self, model: Model) -> str:
        """A model as people know it: by its role in the step."""
        roles = (role for role, one in self._everyone() if one.module is model.module)
        return f"model `{next(roles, 'of the method')}`"

    def _looked(self, step: int, found: Mapping[str, Any]) -> None:
        # Right after the loss, so that this is the mode in which it asked the frozen models.
        number, training = len(self.fits), self._frozen.training()
        self._notice(step, {"fit": number, **found, **({"training": training} if training else {})})

    def _live(self, make: Any, modules: Any) -> Live:
        if self.settings.steps is None:
            raise RequestError(
                Problem(
                    "data made while training has no epochs",
                    "say how long with `steps: 1000`",
                    ("fit", "steps"),
                )
            )
        return Live(make, modules, self.settings.steps)

    def _in_role(self, role: str) -> Model | list[Model]:
        if role not in self._models:
            raise RequestError(
                Problem(
                    f"no model fills the role `{role}`",
                    f"the step has {', '.join(self._models)}",
                    meant=did_you_mean(role, self._models),
                )
            )
        return self._models[role]


def _learns_from_batches(model: Model) -> bool:
    return not is_frozen(model) and normalises_batches(model.module)


def freeze(model: Model) -> Model:
    """The model itself, in eval mode, taking no gradient."""
    model.module.eval()
    model.module.requires_grad_(False)
    return model
