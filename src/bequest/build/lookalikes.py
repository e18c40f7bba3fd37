"""Labels that people would take for one: refused where they look the same, else told in a note."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unicodedata import normalize

from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_NAMED = 5


def lookalike_notes(labels: Sequence[str]) -> list[str]:
    """A note on labels that differ in case or blanks only, which are different classes.

    Raises:
        RequestError: two labels are the same characters in two Unicode forms.
    """
    for one, other in _pairs(labels, lambda label: normalize("NFC", label)):
        what = f"the labels {one!a} and {other!a} look the same: `{one}`"
        raise RequestError(Problem(what, "write such labels in one Unicode form, such as NFC"))
    pairs = [f"`{one}` and `{other}`" for one, other in _pairs(labels, _folded)]
    more = f" and {len(pairs) - _NAMED} more" if len(pairs) > _NAMED else ""
    told = f"labels that differ only in case or blanks are different: {', '.join(pairs[:_NAMED])}"
    return [told + more] if pairs else []


def _folded(label: str) -> str:
    return "".join(label.casefold().split())


def _pairs(labels: Sequence[str], key: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """Each label whose key an earlier one has, behind that one."""
    seen: dict[str, str] = {}
    for label in labels:
        first = seen.setdefault(key(label), label)
        if first != label:
            yield first, label
