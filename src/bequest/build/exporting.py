"""Delivered models for use elsewhere: a folder of their kind, or one ONNX file."""

from __future__ import annotations

import logging
import shutil
import warnings
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bequest.build.adapters import has_adapters
from bequest.build.classification import answering
from bequest.build.delivering import Made, deliver, whole_of
from bequest.build.described import DESCRIPTION
from bequest.build.heads import as_one
from bequest.build.model import own_labels
from bequest.build.models.saved import Saved
from bequest.build.ordinary import core, transformer_in
from bequest.build.paths import read_json
from bequest.build.preparation import PREPARATION
from bequest.build.sentences import padded, pooled
from bequest.core.errors import Problem, RequestError, RunError
from bequest.core.live import Texts
from bequest.lazy import functional, torch
from bequest.store.files import atomic_folder, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from bequest.core.live import Model

_CLOSE = 1e-4
_IN_ONE_FILE = 1_500_000_000  # bytes; an ONNX file can't be larger than two gigabytes
_TRIALS = (("a b", "a much longer text to read"), ("one", "two three", "four five six seven"))


class _Trial(NamedTuple):
    """Inputs of a graph by name, and what the model itself says of them."""

    given: dict[str, torch.Tensor]
    answer: torch.Tensor


def export_folder(source: Path, to: Path, *, merge: bool = False) -> None:
    """Copy a delivered model into a new folder, complete in itself.

    merge: whether adapters are added to the model below them, so that it is whole.

    Raises:
        RequestError: `to` is there already, or there are no adapters to merge.
    """
    _refuse_existing(to)
    told = read_json(source / DESCRIPTION)
    if "form" in told and not merge:
        with atomic_folder(to) as fresh:
            shutil.copytree(source, fresh, dirs_exist_ok=True)
        return
    model: Model = Saved(path=str(source)).restore()
    spec = {"use": "saved", "path": str(source)}
    if merge:
        if not has_adapters(core(model).module):
            fix = "leave the merging out: the model is whole"
            raise RequestError(Problem("the model has no adapters", fix))
        model, spec = whole_of(model, spec)
    with atomic_folder(to) as fresh:
        deliver(fresh, model, Made(spec, tuple(told["shape"]), told["kind"]))
        _copy_preparation(source, fresh)


def export_onnx(source: Path, to: Path, task: str = "") -> None:
    """Write `model.onnx` with its tokenizer, labels and preparation into a new folder.

    It is kept only if onnxruntime gives the same answers as the model. task: whose head, where
    there are several; the newest.

    Raises:
        RequestError: `to` is there already, ONNX is not installed, or the model can't be written.
        RunError: the file's answers are others.
    """
    _refuse_existing(to)
    _refuse_uninstalled()
    told = read_json(source / DESCRIPTION)
    model: Model = Saved(path=str(source)).restore()
    if task and task not in told["heads"]:
        fix = f"there are heads for {', '.join(told['heads']) or 'no task by itself'}"
        raise RequestError(Problem(f"the model has no head for `{task}`", fix))
    with atomic_folder(to) as fresh, as_one(model.module, task), answering(model.module):
        graph, trials = _graph(model, tuple(told["shape"]))
        inputs = trials[0].given
        _write(fresh / "model.onnx", graph, inputs)
        _compare(fresh / "model.onnx", graph.output, trials)
        if tokenizer := getattr(core(model), "tokenizer", None):
            tokenizer.save_pretrained(fresh)
        about = {
            "inputs": list(inputs),
            "output": graph.output,
            "labels": list(own_labels(model)),
            "kind": told["kind"],
            "shape": told["shape"],
            "longest": getattr(core(model), "longest", None),
        }
        write_json(fresh / "onnx.json", about)
        _copy_preparation(source, fresh)


def _graph(model: Model, shape: tuple[int, ...]) -> tuple[Any, list[_Trial]]:
    """A module of plain tensors, and what to trace and to try it with."""
    live = core(model)
    if getattr(live, "tokenizer", None) is not None and transformer_in(live.module) is not None:
        output = {"logits": "logits", "embed": "vectors"}.get(next(iter(live.answers)), "")
        if output:
            asked = live.logits if output == "logits" else live.embed
            trials = [
                _Trial(
                    padded(texts, live.tokenizer, live.longest, live.module), asked(Texts(texts))
                )
                for texts in _TRIALS
            ]
            return _of_texts()(live, output, list(trials[0].given)), trials
    elif shape and (asks := {"logits", "predict"} & set(live.answers)):
        ask = getattr(live, asks.pop())
        generator = torch.Generator().manual_seed(0)
        drawn = [torch.rand(count, *shape, generator=generator) for count in (2, 3)]
        return _of_numbers()(live, ask), [_Trial({"inputs": one}, ask(one)) for one in drawn]
    what = f"a model that answers {', '.join(live.answers)} can't be written as ONNX here"
    raise RequestError(Problem(what, "classifiers and embedders of texts can; export its folder"))


# Subclassing a module reads an attribute of torch, so the classes are made on first use.
@cache
def _of_numbers() -> Any:
    class OfNumbers(torch.nn.Module):
        """Prepared inputs [batch, …], to logits [batch, labels] or numbers [batch]."""

        def __init__(self, live: Any, ask: Any) -> None:
            super().__init__()
            self.module, self._ask = live.module, ask
            self.output = "logits" if "logits" in live.answers else "prediction"

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            answer: torch.Tensor = self._ask(inputs)
            return answer

    return OfNumbers


@cache
def _of_texts() -> Any:
    class OfTexts(torch.nn.Module):
        """Tokens [batch, tokens] to logits [batch, labels], or vectors [batch, width]."""

        def __init__(self, live: Any, output: str, names: list[str]) -> None:
            super().__init__()
            self.module, self.output, self._names = live.module, output, names
            self._pooling = getattr(live, "pooling", "")
            self._normalized = getattr(live, "normalized", False)

        def forward(self, *tokens: torch.Tensor) -> torch.Tensor:
            given = dict(zip(self._names, tokens, strict=True))
            answer: Any = self.module(**given)
            if self.output == "logits":
                logits: torch.Tensor = answer.logits
                return logits
            found = pooled(answer.last_hidden_state, given["attention_mask"], self._pooling)
            return functional.normalize(found, dim=1) if self._normalized else found

    return OfTexts


def _write(file: Path, graph: Any, given: dict[str, torch.Tensor]) -> None:
    batch, tokens = torch.export.Dim("batch"), torch.export.Dim("tokens")
    of_texts = "input_ids" in given
    sizes = tuple({0: batch, 1: tokens} if of_texts else {0: batch} for _ in given)
    held = sum(each.numel() * each.element_size() for each in graph.state_dict().values())
    try:
        with _silent():
            torch.onnx.export(
                graph,
                tuple(given.values()),
                file,
                input_names=list(given),
                output_names=[graph.output],
                dynamic_shapes=(sizes,) if of_texts else sizes,
                dynamo=True,
                external_data=held > _IN_ONE_FILE,
                verbose=False,
            )
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        what = f"the model can't be written as ONNX: {type(error).__name__}: {first}"
        raise RequestError(Problem(what, "export its folder instead")) from error


def _compare(file: Path, output: str, trials: list[_Trial]) -> None:
    import onnxruntime

    opened = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    wanted = {each.name for each in opened.get_inputs()}
    for given, answer in trials:
        expected = answer.numpy()
        arrays = {name: each.numpy() for name, each in given.items() if name in wanted}
        found: NDArray[np.float32] = opened.run([output], arrays)[0]
        if not np.allclose(found, expected, rtol=_CLOSE, atol=_CLOSE):
            apart = float(np.abs(found - expected).max())
            raise RunError(f"the ONNX file answers otherwise than the model, by {apart:.2g}")


@contextmanager
def _silent() -> Iterator[None]:
    """Keep the exporter's remarks about itself off the terminal."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _copy_preparation(source: Path, to: Path) -> None:
    if (source / PREPARATION).is_file():
        shutil.copyfile(source / PREPARATION, to / PREPARATION)


def _refuse_existing(to: Path) -> None:
    if to.exists():
        raise RequestError(Problem(f"`{to}` is there already", "name a new folder"))


def _refuse_uninstalled() -> None:
    from importlib.util import find_spec

    if missing := [name for name in ("onnx", "onnxruntime", "onnxscript") if not find_spec(name)]:
        what = f"{', '.join(missing)} is not installed"
        raise RequestError(Problem(what, "pip install 'bequest[onnx]'"))
