"""Bounds for models of strangers: what their settings ask for must fit what their weights hold.

A config.json can name any size, and memory would be taken before a weight is looked at.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bequest.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MOST_THINGS = 1 << 16  # layers, labels, heads …: no model has so many, and lists are made of them
_THINGS = re.compile(r"layer|label|depth|expert|head|stage|group|block_count|num_blocks")
_SPARE_NUMBERS = 1 << 24  # for a new head, and in models without weights worth mentioning
_SPARE_BYTES = 1 << 28  # for tables that are no weights, such as masks


def refuse_counts(settings: Any, name: str = "") -> None:
    """Refuse settings that say of how many things a model consists, where these are absurdly many.

    settings: JSON values, nested in any way.

    Raises:
        ValueError: there is such a setting.
    """
    if isinstance(settings, dict):
        for key, value in settings.items():
            refuse_counts(value, str(key))
    elif isinstance(settings, list):
        for value in settings:
            refuse_counts(value, name)
    elif isinstance(settings, int | float) and _THINGS.search(name) and settings > _MOST_THINGS:
        raise ValueError(f"`{name[:80]}` is {settings:,}; at most {_MOST_THINGS:,} can be")


@contextmanager
def no_larger_than(elements: int) -> Iterator[None]:
    """Stops the making of a module with more numbers than its files can hold.

    elements: numbers in the files. Twice as many are allowed, as tied weights are made twice.

    Raises:
        ValueError: a module made within is larger.
    """
    module = torch.nn.modules.module
    most, taken = 2 * elements + _SPARE_NUMBERS, 0
    most_beside, beside = 4 * elements + _SPARE_BYTES, 0

    def parameter(owner: Any, name: str, value: Any) -> None:
        nonlocal taken
        if value is not None and value.device.type == "meta":  # those that are loaded come later
            taken += value.numel()
            if taken > most:
                raise ValueError(f"its settings ask for more weights than its files hold ({name})")

    def buffer(owner: Any, name: str, value: Any) -> None:
        nonlocal beside
        if value is not None:
            beside += value.nbytes
            if beside > most_beside:
                raise ValueError(f"its settings ask for tables that are too large ({name})")

    hooks = [
        module.register_module_parameter_registration_hook(parameter),
        module.register_module_buffer_registration_hook(buffer),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
