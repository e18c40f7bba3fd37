"""Parts and recipes that checks are tried on."""

from typing import ClassVar, Literal

from pydantic import Field

from bequest.core.errors import Problem
from bequest.core.parts import Method, ModelSpec, Requires, Role, TaskSpec
from bequest.recipe.check import check
from bequest.recipe.reading import read

HERE = __name__


class Picture(ModelSpec):
    """A model of pictures."""

    takes = frozenset({"image"})
    width: int = Field(8, ge=1)
    norm: Literal["batch", "layer"] = "batch"


class Embedder(ModelSpec):
    """A model that gives no logits."""

    answers = frozenset({"embed"})


class Pictures(TaskSpec):
    """Pictures."""

    kind = "image"
    share: float = Field(0.5, gt=0, lt=1)


class Table(TaskSpec):
    """A file of numbers."""

    path: str = Field(description="The file.")

    def check(self):
        return [Problem("no such file", field=("path",))] if self.path == "nowhere" else []


class Learn(Method):
    """Learn the task."""

    fit_defaults: ClassVar = {"epochs": 7, "optimizer": {"use": "sgd", "lr": 0.1}}


class Copy(Method):
    """Learn from a teacher."""

    roles: ClassVar = {
        "teacher": Role("the model that knows"),
        "student": Role("that learns", learns=True),
    }
    temperature: float = Field(1.0, gt=0)


class Blend(Method):
    """Blend donors by plain gradient descent."""

    roles: ClassVar = {
        "donors": Role("what is blended", answers=(), many=True),
        "student": Role("the blend", learns=True),
    }
    requires = Requires(optimizer="sgd")


def build(labels):
    """A user's own model."""


def part(name, **fields):
    return {"use": f"{HERE}:{name}", **fields}


def recipe(**changes):
    return {
        "models": {"teacher": part("Picture", width=32), "student": part("Picture")},
        "tasks": {"t": part("Pictures"), "u": part("Pictures", purpose="probe")},
        "method": part("Copy", temperature=2),
        **changes,
    }


def steps(*entries):
    return recipe(method=None, steps=list(entries))


LEARN = {"name": "learn", "method": part("Learn"), "models": {"student": "teacher"}}
COPY = {"name": "copy", "method": part("Copy"), "models": {"teacher": "learn.student"}}


def problems(source, *overrides):
    plan, found = check(read(source, overrides))
    assert (plan is None) == bool(found)
    return [str(problem).removeprefix("recipe  ") for problem in found]


def only(source, *overrides):
    found = problems(source, *overrides)
    assert len(found) == 1, found
    return found[0]
