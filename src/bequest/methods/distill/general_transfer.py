"""General knowledge transfer (Roth et al. 2024): what one trained model knows and another does not
moves into the other, whichever of them is the better one, and what the student knew stays.

With logits z, p = softmax(z), and f_st the student as it was when the transfer began:

1. A teacher is chosen for a sample where p_t[y] > p_st[y] (without labels: max p_t > max p_st);
   otherwise, ties included, f_st is. The current student has no say in it.
2. The chosen model's logits, unmixed, are the target u of the sample.
3. loss = alpha · τ² · mean KL(softmax(u / τ) ‖ softmax(z_s / τ)) + (1 − alpha) · CE.

The released code applies the cross-entropy to probabilities as if they were logits, begins its slow
weights after the first step, and lets the gradient of flip-avg run through the target's share of
the student; `as_released` does so too. Its contrastive baselines (CD, CRD) are not here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from bequest.core.errors import Problem, RequestError
from bequest.core.live import Batch
from bequest.core.parts import Method, Role
from bequest.core.stage import Stage
from bequest.lazy import functional, torch
from bequest.methods.distill._calibration import fitted_temperature
from bequest.methods.distill._slow_weights import SlowWeights
from bequest.ops.divergences import kl_from_logits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bequest.core.live import Model
    from bequest.transfer.bench import Bench, TaskView
    from bequest.transfer.cache import Recalled
    from bequest.transfer.streams import Rows
    from bequest.transfer.terms import Term

Partition = Literal["supervised", "unsupervised", "none", "self", "flip-st", "flip-t", "flip-avg"]
Flip = Literal["positive", "negative", "neutral"]
BY_CONFIDENCE = ("supervised", "unsupervised")
BY_LABEL = ("supervised", "flip-st", "flip-t", "flip-avg")
SAMPLES_A_LOOK = 512  # samples between two interpolations: every second step of 256


class Flips(NamedTuple):
    """Where teacher and student differ in being right; bool [batch] each."""

    positive: torch.Tensor
    negative: torch.Tensor
    neutral: torch.Tensor


class Voice(NamedTuple):
    """A frozen model's answers to the training samples, and its temperature for comparisons."""

    says: Recalled
    temperature: float = 1.0


def flips(student: torch.Tensor, teacher: torch.Tensor, targets: torch.Tensor) -> Flips:
    """Positive where only the teacher is right, negative where only the student is, else neutral.

    student, teacher: logits [batch, labels]; targets: int64 [batch].
    """
    mine, theirs = student.argmax(dim=1) == targets, teacher.argmax(dim=1) == targets
    return Flips(theirs & ~mine, mine & ~theirs, mine == theirs)


def choose(candidates: torch.Tensor, targets: torch.Tensor | None) -> torch.Tensor:
    """Which candidate each sample is distilled from: int64 [batch].

    candidates: logits [models, batch, labels]; targets: int64 [batch], or None to go by the
    highest probability of any label. The first of equals is chosen.
    """
    probabilities = candidates.softmax(dim=-1)
    if targets is None:
        return probabilities.amax(dim=-1).argmax(dim=0)
    own = targets.expand(len(candidates), -1).unsqueeze(-1)  # [models, batch, 1]
    return probabilities.gather(-1, own).squeeze(-1).argmax(dim=0)


def of_each(candidates: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """The chosen candidate's logits for each sample: [batch, labels].

    candidates: [models, batch, labels]; chosen: int64 [batch].
    """
    return candidates[chosen, torch.arange(len(chosen), device=chosen.device)]


class GeneralTransfer(Method):
    """Move what teachers know and the student does not, keeping what the student knew."""

    source: ClassVar[str] = (
        "Roth et al. 2024, Fantastic Gains and Where to Find Them, ICLR, 2310.17653"
    )
    roles: ClassVar[Mapping[str, Role]] = {
        "teacher": Role("trained models, better or worse than the student", many=True),
        "student": Role("the trained model that gains", learns=True),
    }
    fit_defaults: ClassVar[Mapping[str, Any]] = {
        "epochs": 20,
        "batch_size": 256,
        "optimizer": {"use": "sgd", "lr": 1.0e-4, "momentum": 0.9, "weight_decay": 1.0e-4},
    }

    partition: Partition = Field(
        "supervised",
        description="Who teaches a sample: the model surer of its label (supervised) or of any "
        "(unsupervised); the teacher alone (none) or the initial student (self); by flips: the "
        "teacher on positive ones (flip-st), except on negative ones (flip-t), or on neutral ones "
        "averaged with the student (flip-avg).",
    )
    temperature: float = Field(1.0, gt=0, description="Softens both distributions of the KL.")
    alpha: float = Field(
        1.0, gt=0, le=1, description="Weight of the KL; the cross-entropy has 1 − alpha (XE-KL)."
    )
    top_k: int | None = Field(
        None, ge=1, description="Compare only the labels the teacher scores highest; all if empty."
    )
    skip_flips: tuple[Flip, ...] = Field(
        (), description="Flips of the current student that are not distilled; with partition none."
    )
    calibrate: bool = Field(
        False,
        description="Divide each model's logits by a temperature fitted on validation data before "
        "models are compared, so that an over-confident teacher does not take over (extension).",
    )
    several: Literal["parallel", "sequential", "soup"] = Field(
        "parallel",
        description="Several teachers: side by side, one after the other, or a mean of students.",
    )
    order: Literal["ascending", "descending", "random", "given"] = Field(
        "ascending", description="Sequence of teachers, by their accuracy on the training data."
    )
    kappa: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Keep slow weights with this momentum, and end with them (MCL).",
    )
    interpolate_every: int | None = Field(
        None, ge=1, description="Steps between interpolations; 512 / batch_size when left out."
    )
    as_released: bool = Field(
        False,
        description="Cross-entropy of probabilities, late slow weights, targets with a gradient.",
    )

    def check(self) -> list[Problem]:
        """Flips can be left out of plain distillation only."""
        if not self.skip_flips or self.partition == "none":
            return []
        what = f"partition `{self.partition}` says what to do on every flip"
        return [Problem(what, "leave one of the two out", ("skip_flips",))]

    def target(
        self,
        initial: torch.Tensor,
        teachers: torch.Tensor,
        current: torch.Tensor,
        targets: torch.Tensor | None,
        scale: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The logits to learn from: [batch, labels].

        initial, current: the student's logits before the transfer and now, [batch, labels];
        teachers: [teachers, batch, labels]; targets: int64 [batch]; scale: temperatures of the
        initial student and the teachers for their comparison, [1 + teachers]. One teacher, where
        the partition is neither supervised nor unsupervised.
        """
        teacher = teachers[0]
        if self.partition in BY_CONFIDENCE:
            candidates = torch.cat([initial.unsqueeze(0), teachers])  # ties stay with the student
            labels = targets if self.partition == "supervised" else None
            compared = candidates if scale is None else candidates / scale.view(-1, 1, 1)
            return of_each(candidates, choose(compared, labels))
        if self.partition in ("none", "self"):
            return teacher if self.partition == "none" else initial
        found = flips(current, teacher, _given(targets))
        from_teacher = ~found.negative if self.partition == "flip-t" else found.positive
        goal = torch.where(from_teacher.unsqueeze(1), teacher, initial)
        if self.partition == "flip-avg":
            goal = torch.where(found.neutral.unsqueeze(1), (teacher + current) / 2, goal)
        return goal

    def terms(
        self,
        logits: torch.Tensor,
        initial: torch.Tensor,
        teachers: torch.Tensor,
        targets: torch.Tensor | None,
        scale: torch.Tensor | None = None,
    ) -> dict[str, tuple[float, torch.Tensor]]:
        """The terms of the loss with their weights; see `target` for what goes in.

        The KL is the mean over the samples that are distilled, 0 where none is; the
        cross-entropy is the mean over all.
        """
        goal = self.target(initial, teachers, logits, targets, scale)
        soft = (self.alpha * self.temperature**2, self._divergence(goal, logits, teachers, targets))
        if self.alpha == 1:
            return {"soft": soft}
        scores = logits.softmax(dim=1) if self.as_released else logits
        hard = functional.cross_entropy(scores, _given(targets))
        return {"soft": soft, "hard": (1 - self.alpha, hard)}

    def transfer(self, bench: Bench) -> Iterator[Stage]:
        """One stage, after a sequence of teachers one for each, and before a soup its parts."""
        student, task = bench.model("student"), bench.task("learn")
        self._refuse(len(bench.models("teacher")), task)
        teachers = [self._voice(bench, teacher, task) for teacher in bench.models("teacher")]
        if self.several == "parallel":
            self._distil(bench, student, teachers, task)
            yield Stage("transferred", student, learned=task.name)
        elif self.several == "sequential":
            for number in self._sequence(bench, teachers, task):
                self._distil(bench, student, [teachers[number]], task)
                yield Stage(f"after teacher {number + 1}", student, learned=task.name)
        else:
            yield from self._soup(bench, student, teachers, task)

    def _divergence(
        self,
        goal: torch.Tensor,
        logits: torch.Tensor,
        teachers: torch.Tensor,
        targets: torch.Tensor | None,
    ) -> torch.Tensor:
        if self.top_k and self.top_k < logits.shape[1]:
            highest = teachers[0].topk(self.top_k, dim=1).indices  # [batch, top_k]
            goal, kept = goal.gather(1, highest), logits.gather(1, highest)
        else:
            kept = logits
        if self.skip_flips:
            found = flips(logits, teachers[0], _given(targets))._asdict()
            rows = ~torch.stack([found[name] for name in self.skip_flips]).any(dim=0)
            goal, kept = goal[rows], kept[rows]
        if not len(kept):
            return kept.sum()
        return kl_from_logits(goal, kept, self.temperature, target_learns=self.as_released)

    def _voice(self, bench: Bench, model: Model, task: TaskView) -> Voice:
        says = bench.recall(model, task.train)
        if not self.calibrate:
            return Voice(says)
        rows = task.validation
        logits = bench.recall(model, rows)(_without_inputs(rows))
        return Voice(says, fitted_temperature(logits, _given(rows.targets)))

    def _distil(
        self, bench: Bench, student: Model, teachers: Sequence[Voice], task: TaskView
    ) -> None:
        initial = self._voice(bench, student, task)
        temperatures = [voice.temperature for voice in (initial, *teachers)]
        scale = torch.tensor(temperatures, device=bench.device) if self.calibrate else None

        def loss(model: Any, batch: Batch, rng: Any) -> Mapping[str, Term]:
            said = torch.stack([teacher.says(batch) for teacher in teachers])
            logits = model.logits(batch.inputs)
            return self.terms(logits, initial.says(batch), said, batch.targets, scale)

        if self.kappa is None:
            bench.fit(student, task.train, loss)
            return
        batch_size = bench.settings.batch_size
        every = self.interpolate_every or max(1, round(SAMPLES_A_LOOK / batch_size))
        epoch = task.train.steps(batch_size)
        slow = SlowWeights(student.module, self.kappa, every, epoch, late=self.as_released)
        bench.fit(student, task.train, loss, keep=[slow], on_step=slow.follow)
        slow.put_in()

    def _soup(
        self, bench: Bench, student: Model, teachers: Sequence[Voice], task: TaskView
    ) -> Iterator[Stage]:
        parts = []
        for number, teacher in enumerate(teachers, start=1):
            part = bench.copy(student)
            self._distil(bench, part, [teacher], task)
            parts.append(part.module.state_dict())
            yield Stage(f"teacher {number} alone", part, learned=task.name, line=f"part{number}")
        mean = {name: _mean([part[name] for part in parts]) for name in parts[0]}
        student.module.load_state_dict(mean)
        yield Stage("soup", student, learned=task.name)

    def _sequence(self, bench: Bench, teachers: Sequence[Voice], task: TaskView) -> Sequence[int]:
        numbers = list(range(len(teachers)))
        if self.order == "given":
            return numbers
        if self.order == "random":
            drawn: list[int] = torch.randperm(len(numbers), generator=bench.rng("order")).tolist()
            return drawn
        everything = _without_inputs(task.train)
        right = [_right(teacher.says(everything), everything.targets) for teacher in teachers]
        return sorted(numbers, key=right.__getitem__, reverse=self.order == "descending")

    def _refuse(self, teachers: int, task: TaskView) -> None:
        in_order = self.several == "sequential" and self.order in ("ascending", "descending")
        by_label = self.partition in BY_LABEL or self.skip_flips or self.alpha < 1
        if task.train.targets is None and (by_label or (in_order and teachers > 1)):
            fix = "use `partition: unsupervised` with `alpha: 1`, and `order: given`"
            raise RequestError(Problem(f"task `{task.name}` has no labels to choose by", fix))
        one_only = self.top_k or self.partition not in BY_CONFIDENCE
        if teachers > 1 and self.several == "parallel" and one_only:
            what = (
                f"{teachers} teachers side by side can only be chosen by confidence, on all labels"
            )
            fix = "use `several: sequential`, or `partition: supervised` without `top_k`"
            raise RequestError(Problem(what, fix, ("method", "several")))


def _given(targets: torch.Tensor | None) -> torch.Tensor:
    if targets is None:
        raise RequestError("this partition needs labels, and the samples have none")
    return targets


def _without_inputs(rows: Rows) -> Batch:
    """Every sample by id and target, for answers that are known."""
    return Batch(rows.ids, None, rows.targets)


def _right(logits: torch.Tensor, targets: torch.Tensor) -> int:
    return int((logits.argmax(dim=1) == targets).sum())


def _mean(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    if not tensors[0].is_floating_point():
        return tensors[-1]
    return torch.stack(list(tensors)).mean(dim=0)
