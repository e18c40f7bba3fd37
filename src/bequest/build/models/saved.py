"""A model that an earlier run delivered."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, cast

from pydantic import Field, ValidationError

from bequest.build.bounds import no_larger_than
from bequest.build.described import DESCRIPTION, WEIGHTS, in_place
from bequest.build.heads import with_heads
from bequest.build.paths import located, missing, read_json
from bequest.core.errors import Problem, RequestError
from bequest.core.find import find
from bequest.core.live import Target
from bequest.core.parts import ModelSpec
from bequest.store.tensor_file import TensorFile

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from bequest.core.live import Model

_ALL = {"use", "spec", "shape", "kind", "labels", "heads"}
_OLD, _NEW = {*_ALL, "whole"}, {*_ALL, "form", "files"}
_FORMS: Mapping[str, str] = {
    "own": WEIGHTS,
    "transformers": "config.json",
    "adapters": "adapter_model.safetensors",
    "onnx": "model.onnx",
}


class Saved(ModelSpec):
    """A model that an earlier run delivered: a folder with its description and its weights."""

    answers: ClassVar[Collection[str]] = frozenset(
        {"logits", "logprob", "complete", "embed", "predict"}
    )

    path: str = Field(min_length=1, description="The folder, such as `runs/x/models/step/seed-0`.")

    def check(self) -> list[Problem]:
        """What keeps the folder from being a delivered model."""
        place = located(self.path)
        if not place.is_dir():
            return [missing(self.path)]
        if not (place / DESCRIPTION).is_file():
            what, fix = f"`{self.path}` has no {DESCRIPTION}", "name a folder that a run delivered"
            return [Problem(what, fix, ("path",))]
        try:
            told = _description(place)
            held = _FORMS[told.get("form", "own")]
            if not (place / held).is_file():
                what = f"`{self.path}` has no {held}"
                return [Problem(what, "name a folder that a run delivered", ("path",))]
            below = _spec(told).check()
        except RequestError as error:
            return [problem.under("path") for problem in error.problems]
        return [problem.under("path") for problem in below]

    def build(self, shape: tuple[int, ...], kind: str, labels: tuple[str, ...]) -> Model:
        """The model as it was delivered; `labels` are those it was trained for.

        Raises:
            RequestError: the folder is damaged, or the model takes other inputs.
        """
        problems = self.check()
        if problems:
            raise RequestError(problems)
        place = located(self.path)
        told = _description(place)
        takes = told["kind"], tuple(told["shape"])
        if takes != (kind, shape):
            what = f"takes {takes[0]} inputs of shape {takes[1]}, not {kind} {shape}"
            raise RequestError(Problem(f"`{self.path}` {what}", field=("path",)))
        return _loaded(_spec(told), told, place)

    def predictor(self, shape: tuple[int, ...], kind: str, target: Target) -> Model:
        """The model as it was delivered, with the mean and deviation that it was trained with.

        Raises:
            RequestError: as for `build`, or the model predicts something else.
        """
        model = self.build(shape, kind, ())
        if "predict" not in model.answers or tuple(model.labels) != (target.name,):
            what = f"`{self.path}` answers {', '.join(model.labels)}, not `{target.name}`"
            fix = "targets are compared by name: give both the same"
            raise RequestError(Problem(what, fix, ("path",)))
        return model

    def protocols(self) -> Collection[str]:
        """What the model answers that was delivered."""
        try:
            told = _description(located(self.path))
            other = "logits" if _predicts(told) else "predict"
            return frozenset(_spec(told).protocols()) - {other}
        except RequestError:
            return self.answers  # `check` says what is wrong

    def comes_with_weights(self) -> bool:
        """They lie in the folder."""
        return True

    def restore(self) -> Model:
        """The model for the inputs and labels it was delivered with.

        Raises:
            RequestError: the folder is damaged.
        """
        told = _description(located(self.path))
        return self.build(tuple(told["shape"]), told["kind"], ())


def _description(place: Path) -> dict[str, Any]:
    told = read_json(place / DESCRIPTION)
    keys, lists = set(told), ("shape", "labels", "heads")
    if told.get("form") == "adapters":
        keys -= {"base"}
    if keys not in (_OLD, _NEW) or not all(isinstance(told[key], list) for key in lists):
        what = f"`{place / DESCRIPTION}` must have the keys {', '.join(sorted(_NEW))}"
        raise RequestError(Problem(what))
    if keys == _NEW and (told["form"] not in _FORMS or not isinstance(told["files"], dict)):
        what = f"`{place / DESCRIPTION}`: `form` must be one of {', '.join(_FORMS)}"
        raise RequestError(Problem(what, "and `files` an object"))
    if own := _own_code(told):
        raise RequestError(
            Problem(
                f"`{place}` was made by code of the user's own (`{own}`)",
                "rebuild it in your recipe with `use: module:name` and load the weights there",
            )
        )
    return {**told, "spec": in_place(told["spec"], place)} if "form" in told else told


def _predicts(told: dict[str, Any]) -> bool:
    """Whether the model predicts a number: a single name, as classes are two at least."""
    return len(told["labels"]) == 1


def _own_code(told: Any) -> str:
    """The first `module:name` that a description, or what it is made from, asks for."""
    if isinstance(told, dict) and ":" in str(told.get("use", "")):
        return str(told["use"])
    inner = told.values() if isinstance(told, dict) else told if isinstance(told, list) else ()
    try:
        return next(filter(None, map(_own_code, inner)), "")
    except RecursionError as error:
        raise RequestError(Problem("a delivered model is described too deeply nested")) from error


def _spec(told: dict[str, Any]) -> ModelSpec:
    try:
        return cast("ModelSpec", find("models", str(told["use"]))(**told["spec"]))
    except (ValidationError, TypeError) as error:
        what = f"the saved settings don't fit `{told['use']}`: {error}"
        raise RequestError(Problem(what)) from error


def _loaded(spec: ModelSpec, told: dict[str, Any], place: Path) -> Model:
    from bequest.build.delivering import check_files, fill_delivered  # needs torch

    shape, labels = tuple(told["shape"]), tuple(told["labels"])
    try:
        if told.get("form", "own") == "own":
            with (place / WEIGHTS).open("rb") as file:
                held = TensorFile(file).elements
        else:
            held = 0
            check_files(place, told)
        # What comes with weights of its own is checked against those, and may be larger.
        bound = no_larger_than(held) if held and not spec.comes_with_weights() else nullcontext()
        with bound:
            if _predicts(told):  # its mean and deviation are among the weights
                model = spec.predictor(shape, told["kind"], Target(labels[0], 0.0, 1.0))
            else:
                model = with_heads(spec.build(shape, told["kind"], labels), told["heads"])
        fill_delivered(model, place, built=True)
        return model
    except RequestError:
        raise
    except Exception as error:
        what = f"`{place}` doesn't fit its description: {error}"
        raise RequestError(Problem(what)) from error
