"""A run's page, from its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bequest.report.page.audits import audits
from bequest.report.page.calibration import calibration
from bequest.report.page.changes import changes
from bequest.report.page.cost import cost
from bequest.report.page.curves import curves
from bequest.report.page.document import document
from bequest.report.page.errors import errors
from bequest.report.page.flips import flips
from bequest.report.page.heat import heat_data, heat_map
from bequest.report.page.html import join, tag
from bequest.report.page.mastery import mastery
from bequest.report.page.reproduce import reproduce
from bequest.report.page.sequences import sequences
from bequest.report.page.source import PAGE, Source, drawn_from, read
from bequest.report.page.sources import sources
from bequest.report.page.steps import cards
from bequest.report.page.story import story
from bequest.report.page.transcripts import transcripts
from bequest.report.page.verdict import stamp, verdict
from bequest.store.files import write_text

if TYPE_CHECKING:
    from pathlib import Path

    from bequest.report.page.html import Html


def write_page(folder: Path) -> Path:
    """Write `report.html` into a finished run's folder, from nothing but what lies there.

    Raises:
        RequestError: there is no run.
        StoreError: a file is missing or damaged, or the page can't be written.
    """
    path = folder / PAGE
    with drawn_from(folder):
        write_text(path, page(read(folder)))
    return path


def page(source: Source) -> str:
    """The page as text; the same for the same source."""
    matrix = source.matrix
    sections = [
        ("Verdict", verdict(source.record.get("verdict"))),
        ("What every stage knows", heat_map(matrix)),
        ("One task after another", sequences(matrix, source.metrics)),
        ("What changed", changes(matrix)),
        ("Whether a source was useful", sources(matrix)),
        ("What looked forgotten and came back", audits(source.exhibits, matrix)),
        ("Learning", curves(source.curves)),
        ("Answers that flipped", flips(source.exhibits, matrix)),
        ("Largest errors", errors(source.exhibits, matrix)),
        ("What was written", transcripts(source.exhibits, matrix)),
        ("What students know", mastery(source.exhibits, matrix)),
        ("How sure the answers are", calibration(matrix)),
        ("What it costs", cost(matrix)),
        ("How to reproduce", reproduce(source.record)),
    ]
    shown = [(name, content) for name, content in sections if content is not None]
    return document(source.title, _opening(source), shown, heat_data(matrix))


def _opening(source: Source) -> Html:
    judged = source.record.get("verdict")
    mark = None
    if judged and judged["rules"]:
        passed = judged["passed"]
        mark = tag("p", stamp(passed, "gate passed" if passed else "gate failed"))
    return join([mark, story(source), cards(source)])
