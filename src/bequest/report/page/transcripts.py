"""What the stages wrote, side by side, from `exhibits.json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.report.page.html import Html, join, table, tag

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bequest.measure.matrix import Matrix


def transcripts(exhibits: Mapping[str, Any], matrix: Matrix) -> Html | None:
    """A table for each task: a line for a prompt, a column for a stage; None where none wrote."""
    shown = [one for one in exhibits.get("transcripts", ()) if one["samples"]]
    if not shown:
        return None
    note = (
        "The texts that changed for the better and for the worse by the most, as far as that is "
        "known. All that was written lies in transcripts.parquet."
    )
    return join([tag("p", note, class_="soft"), *(_task(one, matrix) for one in shown)])


def _task(one: Mapping[str, Any], matrix: Matrix) -> Html:
    stages = [matrix.rows[row].title for row in one["stages"]]
    samples: Sequence[Mapping[str, Any]] = one["samples"]
    count = f" · {len(samples)} of {one['count']:,}"
    lines = ([_asked(each), *map(_answer, each["answers"])] for each in samples)
    return join([
        tag("h3", one["task"], tag("span", count, class_="soft")),
        table(("asked", *stages), lines, class_="stack written"),
    ])  # fmt: skip


def _asked(sample: Mapping[str, Any]) -> Html:
    expected = sample["expected"]
    right = tag("p", tag("span", "expected ", class_="soft"), expected) if expected else None
    return join([tag("p", sample["prompt"]), right])


def _answer(said: str | None) -> Html:
    if said is None:
        return tag("p", "not asked", class_="soft")
    return tag("p", said) if said.strip() else tag("p", "nothing", class_="soft")
