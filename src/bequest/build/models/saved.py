"""A model that an earlier run delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pydantic import Field, ValidationError

from bequest.build.heads import with_heads
from bequest.build.paths import located, missing, read_json
from bequest.core.errors import Problem, RequestError
from bequest.core.find import find
from bequest.core.parts import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bequest.core.live import Model

_SPEC, _WEIGHTS = "model.json", "model.safetensors"
_KEYS = {"use", "spec", "shape", "kind", "labels", "heads"}


class Saved(ModelSpec):
    """A model that an earlier run delivered: a folder with its description and its weights."""

    path: str = Field(min_length=1, description="The folder, such as `runs/x/models/step/seed-0`.")

    def check(self) -> list[Problem]:
        """What keeps the folder from being a delivered model."""
        place = located(self.path)
        if not place.is_dir():
            return [missing(self.path)]
        absent = [name for name in (_SPEC, _WEIGHTS) if not (place / name).is_file()]
        if absent:
            what = f"`{self.path}` has no {' and no '.join(absent)}"
            return [Problem(what, "name a folder that a run delivered", ("path",))]
        try:
            _description(place)
        except RequestError as error:
            return [problem.under("path") for problem in error.problems]
        return []

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
        model = _spec(told).build(shape, kind, tuple(told["labels"]))
        return _loaded(model, told["heads"], place / _WEIGHTS)

    def restore(self) -> Model:
        """The model for the inputs and labels it was delivered with.

        Raises:
            RequestError: the folder is damaged.
        """
        told = _description(located(self.path))
        return self.build(tuple(told["shape"]), told["kind"], tuple(told["labels"]))


def _description(place: Path) -> dict[str, Any]:
    told = read_json(place / _SPEC)
    lists = ("shape", "labels", "heads")
    if set(told) != _KEYS or not all(isinstance(told[key], list) for key in lists):
        what = f"`{place / _SPEC}` must have the keys {', '.join(sorted(_KEYS))}"
        raise RequestError(Problem(what))
    if ":" in str(told["use"]):
        raise RequestError(
            Problem(
                f"`{place}` was made by code of the user's own (`{told['use']}`)",
                "rebuild it in your recipe with `use: module:name` and load the weights there",
            )
        )
    return told


def _spec(told: dict[str, Any]) -> ModelSpec:
    try:
        return cast("ModelSpec", find("models", str(told["use"]))(**told["spec"]))
    except (ValidationError, TypeError) as error:
        what = f"the saved settings don't fit `{told['use']}`: {error}"
        raise RequestError(Problem(what)) from error


def _loaded(model: Model, heads: Sequence[str], weights: Path) -> Model:
    from bequest.store.tensors import load_tensors  # numpy; a recipe is checked without it

    try:
        model = with_heads(model, heads)
        model.module.load_state_dict(load_tensors(weights), strict=True)
        return model
    except Exception as error:
        raise RequestError(Problem(f"`{weights}` doesn't fit its description: {error}")) from error
