"""Items and queries in files of records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bequest.build.documents import records
from bequest.build.finding import fetched
from bequest.build.searches import Collected
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bequest.build.documents import Record
    from bequest.build.tasks.retrieve import Retrieve


def collected(settings: Retrieve) -> Collected:
    """Both files; the same query twice belongs to the items of both.

    Raises:
        RequestError: a record can't be used, an id is there twice, or there are no queries.
    """
    items: dict[str, str] = {}
    for one in records(str(fetched(settings.items))):
        name = one.word(settings.id)
        if not name or name in items:
            said = f"the id `{name}` is there twice" if name else "the id is empty"
            fix = "every item needs an id of its own"
            raise RequestError(Problem(f"`{one.place}`: {said}", fix, ("items",)))
        items[name] = one.text(settings.text)
    queries: dict[str, list[str]] = {}
    for one in records(str(fetched(settings.queries))):
        names = queries.setdefault(one.text(settings.text), [])
        names += [name for name in _names(one, settings.item) if name not in names]
    if not queries:
        raise RequestError(Problem(f"`{settings.queries}` holds no query", field=("queries",)))
    return Collected(items, queries)


def _names(one: Record, column: str) -> Iterator[str]:
    value = one.value(column)
    for name in value if isinstance(value, list) else [one.word(column)]:
        if not isinstance(name, (str, int)) or not str(name).strip():
            fix = "write an item's id, or a list of ids"
            raise RequestError(Problem(f"`{one.place}`: `{column}` names no item", fix))
        yield str(name).strip()
