"""Tasks that ask for logits: which of some labels an input has."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.build.answered import refuse_nan
from bequest.build.batches import by_length
from bequest.build.model import align
from bequest.build.showing import features, passage, picture, rows_of
from bequest.core.errors import Problem, RequestError
from bequest.core.live import Texts
from bequest.core.outcomes import Outcomes
from bequest.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from bequest.build.model import AnswersLogits
    from bequest.core.live import Model, Purpose, Split, SplitName

_DTYPES = {
    "correct": np.uint8,
    "nll": np.float32,
    "confidence": np.float32,
    "predicted": np.int32,
    "label": np.int32,
    "log_odds": np.float32,
}
_FALLING = str.maketrans("0123456789", "9876543210")  # -2 stands before -1


@dataclass(eq=False)
class Classification:
    """A live task that asks which of `labels` an input has; see `core.live.Task`.

    preparation: what was done to the raw data, JSON-like; part of the fingerprint.
    """

    name: str
    purpose: Purpose
    kind: str
    shape: tuple[int, ...]
    labels: tuple[str, ...]
    splits: Mapping[SplitName, Split]
    fingerprint: str
    notes: tuple[str, ...] = ()
    asks: str = "logits"
    preparation: Mapping[str, Any] = field(default_factory=dict)

    def record(self, model: Model, batch_size: int) -> Outcomes:
        """Every answer of `model` on the test split, on the device its parameters are on.

        Columns: `correct` (0 or 1), `nll` (nats), `confidence` (probability of the predicted
        label), `predicted` and `label` (indices into `labels`); of two labels also `log_odds` of
        the second. A model that can adapt is given all test inputs, without labels, first.
        Batches of texts are cut by length instead.

        Raises:
            RequestError: the model doesn't know all labels of the task.
            NotNumbers: a logit is NaN or +∞, or all of a sample are −∞; a single −∞ is a
                probability of zero.
        """
        test = self.splits["test"]
        if hasattr(model, "adapt"):
            model = model.adapt(as_inputs(test.inputs[:], device_of(model.module)))
        scorer = align(model, self.labels)
        batches = list(_batches(test.inputs, batch_size))
        with answering(scorer.module):
            parts = [_scores(scorer, test, rows) for rows in batches]
        places = np.arange(len(test))
        order = np.argsort(np.concatenate([places[rows] for rows in batches]))
        columns = {
            name: np.concatenate([part[name] for part in parts])[order].astype(dtype)
            for name, dtype in _DTYPES.items()
            if name in parts[0]
        }
        refuse_nan(columns["confidence"])
        return Outcomes(test.ids, columns, test.unit, test.group, labels=self.labels)

    def exhibit(self, ids: NDArray[np.int64]) -> list[dict[str, Any]]:
        """The test samples of these ids, as pictures or named values; see `core.live.Showing`."""
        test = self.splits["test"]
        found = test.inputs[rows_of(test, ids)]
        if isinstance(found, Texts):
            return [passage(found.whole(number)) for number in range(len(found))]
        if self.kind == "image" and len(self.shape) == 3:
            return [picture(sample) for sample in found]
        return [features(sample, self.preparation) for sample in found]


def as_inputs(inputs: Any, device: torch.device) -> Any:
    """Inputs as a model takes them: texts as they are, numbers as a tensor on its device."""
    return inputs if isinstance(inputs, Texts) else to_tensor(inputs).to(device)


def to_tensor(inputs: NDArray[Any]) -> torch.Tensor:
    """Inputs as a model takes them: float32; uint8 is divided by 255."""
    whole = np.ascontiguousarray(inputs)
    return as_floats(torch.from_numpy(whole if whole.flags.writeable else whole.copy()))


def as_floats(inputs: torch.Tensor) -> torch.Tensor:
    """float32 inputs as they are, uint8 ones divided by 255."""
    return inputs.float().div_(255) if inputs.dtype is torch.uint8 else inputs.float()


def label_space(names: Iterable[str]) -> tuple[str, ...]:
    """Distinct names in natural order: "2" before "10".

    Raises:
        RequestError: there are fewer than two.
    """
    space = tuple(sorted(set(names), key=natural))
    if len(space) < 2:
        what = f"all samples have the label `{space[0]}`" if space else "no sample has a label"
        raise RequestError(Problem(what, "a task needs at least two labels"))
    return space


def fingerprint(
    labels: tuple[str, ...], splits: Mapping[SplitName, Split], preprocessing: Mapping[str, Any]
) -> str:
    """Hex digest of labels, preprocessing, and the samples of each split in their order."""
    digest = hashlib.sha256(json.dumps([labels, preprocessing], sort_keys=True).encode())
    for name, split in sorted(splits.items()):
        digest.update(f"{name} {len(split)}".encode())
        digest.update(split.ids.tobytes())
        digest.update(b"" if split.targets is None else split.targets.tobytes())
    return digest.hexdigest()


def natural(name: str) -> tuple[list[tuple[int, str, str]], str]:
    """A key that sorts names as people do: "-1" before "2" before "10", digits before letters."""
    if re.fullmatch("-[0-9]+", name):
        length, digits, _ = _rank(name[1:])
        return [(-1 - length, digits.translate(_FALLING), name)], name
    return [_rank(part) for part in re.findall(r"[0-9]+|[^0-9]+", name)], name


@contextmanager
def answering(module: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; every part gets its own mode back."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for part, training in modes:
            part.training = training


def _batches(inputs: Any, size: int) -> Iterator[Any]:
    if isinstance(inputs, Texts):
        yield from by_length(inputs)
        return
    for start in range(0, len(inputs), size):
        yield slice(start, start + size)


def _scores(model: AnswersLogits, split: Split, rows: Any) -> dict[str, NDArray[Any]]:
    inputs = as_inputs(split.inputs[rows], device_of(model.module))
    log_probability = model.logits(inputs).float().log_softmax(dim=1).cpu()  # [batch, labels]
    target = torch.from_numpy(np.array(split.targets)[rows])
    highest, predicted = log_probability.max(dim=1)
    of_two = log_probability.shape[1] == 2
    odds = {"log_odds": log_probability.diff(dim=1)[:, 0].numpy()} if of_two else {}
    return {
        **odds,
        "correct": (predicted == target).numpy(),
        "nll": -log_probability.gather(1, target[:, None])[:, 0].numpy(),
        "confidence": highest.exp().numpy(),
        "predicted": predicted.numpy(),
        "label": target.numpy(),
    }


def device_of(module: torch.nn.Module) -> torch.device:
    """Where its parameters are; the CPU if it has none."""
    return next((weight.device for weight in module.parameters()), torch.device("cpu"))


def _rank(part: str) -> tuple[int, str, str]:
    """Digits by length, then as text, so that no number is too long."""
    if not re.match("[0-9]", part):
        return sys.maxsize, part, part
    digits = part.lstrip("0")
    return len(digits), digits, part
