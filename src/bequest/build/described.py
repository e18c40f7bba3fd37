"""What a delivered model's `model.json` says, and what stands in it for its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.build.finding import at_hand
from bequest.build.paths import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FOLDER = "{folder}"
DESCRIPTION, WEIGHTS = "model.json", "model.safetensors"


def in_place(told: Any, folder: Path) -> Any:
    """A description with the place of its folder written in."""
    if isinstance(told, dict):
        return {name: in_place(value, folder) for name, value in told.items()}
    return told.replace(FOLDER, str(folder)) if isinstance(told, str) else told


def resolved(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A model's `use:` and settings, where delivered models stand as what they were made of."""
    spec = dict(spec)
    if spec["use"] == "saved" and (place := at_hand(spec["path"])):
        told = read_json(place / DESCRIPTION)
        own = in_place(told["spec"], place) if "form" in told else told["spec"]
        return resolved({"use": told["use"], **own})
    if isinstance(spec.get("of"), dict):
        spec["of"] = resolved(spec["of"])
    return spec


def innermost(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a model is made of in the end."""
    return innermost(spec["of"]) if isinstance(spec.get("of"), dict) else spec
