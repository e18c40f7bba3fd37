"""Bounds for models of strangers: what their settings ask for must fit what their weights hold.

A config.json can name any size, and memory would be taken before a weight is looked at.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bequest.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_THINGS = 1 << 16  # layers, labels, heads …: no model has so many, and lists are made of them
_THINGS = re.compile(r"layer|label|depth|expert|head|stage|group|block_count|num_blocks")
_TIMES = 4  # a weight may be made and then loaded, and a tied one counts twice
_LEAST = 1 << 10  # what the smallest tensor counts: a module takes memory beside its numbers
_SPARE_NUMBERS = 1 << 24  # for a new head, and for tables such as masks


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
    """Stops the making of a module with far more numbers than its files hold.

    elements: numbers in the files. Within another such block only the inner one counts.

    Raises:
        ValueError: a module made within is larger.
    """
    module = torch.nn.modules.module
    weights = _Limit(_TIMES * elements + _SPARE_NUMBERS, "weights than its files hold")
    tables = _Limit(_TIMES * elements + _SPARE_NUMBERS, "tables beside its weights than it can use")
    hooks = [
        module.register_module_parameter_registration_hook(weights.take),
        module.register_module_buffer_registration_hook(tables.take),
    ]
    _INNERMOST.append((weights, tables))
    try:
        yield
    finally:
        _INNERMOST.pop()
        for hook in hooks:
            hook.remove()


class _Limit:
    """Counts the numbers of tensors as modules take them, before memory is touched."""

    def __init__(self, most: int, what: str) -> None:
        self.left, self.what = most, what

    def take(self, module: Any, name: str, value: Any) -> None:
        if value is None or self not in _INNERMOST[-1]:
            return
        self.left -= max(value.numel(), _LEAST)
        if self.left < 0:
            raise ValueError(f"its settings ask for more {self.what} (`{name[:80]}`)")


_INNERMOST: list[tuple[_Limit, _Limit]] = []
