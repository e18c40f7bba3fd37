"""The recipes that come with bequest; imports neither the YAML reader nor pydantic."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "recipes"


def recipe_names() -> tuple[str, ...]:
    """Names of the built-in recipes, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def known_recipe(name: str) -> str | None:
    """The built-in recipe that `name` means, whichever of - and _ it is written with."""
    alike = {known.replace("_", "-"): known for known in recipe_names()}
    return alike.get(name.replace("_", "-"))


def recipe_path(name: str) -> Path:
    """The file of the built-in recipe `name`, one of `recipe_names()`."""
    return FOLDER / f"{name}.yaml"


def recipe_summary(name: str) -> str:
    """The title of the built-in recipe `name`, or an empty string where it has none."""
    text = recipe_path(name).read_text(encoding="utf-8")
    title = re.search(r"^title:[ \t]*(.*?)[ \t]*$", text, re.MULTILINE)
    return title[1].strip("\"'") if title else ""
