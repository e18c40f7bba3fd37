"""What a recipe may say: typed, closed, with one sentence per field.

The parts behind `use:` (models, tasks, methods) have fields of their own; `recipe.check` looks
them up by name and checks them with the same strictness.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from bequest.core.live import Purpose

NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_-]*$"
REFERENCE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_-]*)?$"

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=64)]
Reference = Annotated[str, StringConstraints(pattern=REFERENCE_PATTERN)]


class Closed(BaseModel):
    """Base of everything in a recipe: unknown fields are mistakes, values never change."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class OptimizerSettings(Closed):
    """How weights are updated."""

    use: Literal["adamw", "adam", "sgd"] = Field("adamw", description="Which optimiser.")
    lr: float = Field(1e-3, gt=0, description="Learning rate at its highest.")
    weight_decay: float = Field(0.0, ge=0, description="Decay of weights per step, times lr.")
    momentum: float = Field(0.0, ge=0, lt=1, description="Momentum; read by sgd only.")
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        (0.9, 0.999), description="Decay of both running averages; read by adam and adamw."
    )


class FitSettings(Closed):
    """How long and how a model is trained."""

    epochs: int = Field(10, ge=1, description="Passes over the training split.")
    steps: int | None = Field(None, ge=1, description="Optimiser steps; replaces epochs.")
    batch_size: int = Field(
        64,
        ge=1,
        description="Samples per step; where batch norm learns, a single sample that is left over "
        "at the end of an epoch joins the batch before.",
    )
    optimizer: OptimizerSettings = Field(default_factory=OptimizerSettings)
    schedule: Literal["constant", "cosine", "linear"] = Field(
        "constant", description="Course of the learning rate after the warm-up, down to 0."
    )
    warmup: float = Field(0.0, ge=0, lt=1, description="Share of the steps with a rising rate.")
    clip_norm: float | None = Field(None, gt=0, description="Largest norm of the gradient.")
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="Arithmetic of the forward pass."
    )
    checkpoint_seconds: float = Field(
        30.0, ge=0, description="Least time between checkpoints within a fit."
    )


class Step(Closed):
    """One application of a method."""

    name: Name = Field(description="What later steps and the matrix call it.")
    method: dict[str, Any] = Field(description="The method: `use:` and its hyper-parameters.")
    models: dict[Name, Reference | list[Reference]] = Field(
        default_factory=dict,
        description="Role to input model, or to `step.role` of an earlier step.",
    )
    tasks: list[Name] | dict[Purpose, list[Name]] | None = Field(
        None,
        description="Tasks of this step; all when left out. Lists under purposes, as in "
        "`{forget: [a], retain: [b]}`, give them another purpose in this step than their own.",
    )
    fit: dict[str, Any] = Field(default_factory=dict, description="Fit settings of this step.")
    line: Name = Field("main", description="The line of its rows: main, alone, joint, gold …")


class Recipe(Closed):
    """A transfer: models, tasks, a method or steps, seeds and the rules of the gate."""

    schema_: Literal[1] = Field(1, alias="schema", description="Version of the recipe format.")
    title: str = Field("", max_length=200, description="One line for people.")
    extend: str | None = Field(
        None, description="The recipe this one is laid upon: a path, or a built-in name."
    )
    models: dict[Name, dict[str, Any]] = Field(
        min_length=1, description="Models by name, each with `use:` and its settings."
    )
    tasks: dict[Name, dict[str, Any]] = Field(
        min_length=1, description="Tasks by name, each with `use:` and its settings."
    )
    method: dict[str, Any] | None = Field(
        None, description="One method: `use:` and its hyper-parameters. Or give `steps`."
    )
    steps: list[Step] | None = Field(None, min_length=1, description="Several methods in order.")
    fit: dict[str, Any] = Field(default_factory=dict, description="Fit settings of all steps.")
    seeds: list[Annotated[int, Field(ge=0, lt=2**31)]] = Field(
        [0], min_length=1, description="One repetition of the whole transfer for each."
    )
    lines: list[Literal["single", "joint", "gold"]] = Field(
        default_factory=list,
        description="Reference lines. Beside the first step that learns a sequence of tasks: a "
        "model per task (single), one model on all tasks at once (joint). Beside the first that "
        "forgets: a model that only ever saw the tasks to retain (gold).",
    )
    gate: list[str] = Field(default_factory=list, description="Rules over the matrix.")
