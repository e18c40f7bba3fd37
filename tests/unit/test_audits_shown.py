"""Audits on the page: what came back, beside the model that never knew."""

import numpy as np
import pytest
from talkers import CHAINS, Talker, asked, matrix, oracle, written

from bequest.build.tasks.audits.sleek import Sleek
from bequest.core.outcomes import Outcomes
from bequest.measure.audits import gold_row, without_gold
from bequest.report.page.audits import audits, curve_of
from bequest.runner.came_back import came_back

NO_GOLD = "No line “gold” was measured"


@pytest.fixture
def attacked(tmp_path):
    """A model that knows, one that gives a fact away when asked around it, and one that can't."""
    task = Sleek(path=written(tmp_path, CHAINS)).load("facts")

    def around(prompt):
        return "<b>Lisboa</b>" if "know about Ada Mora" in prompt else "I don't know."

    talkers = {"knows": oracle(task), "forgot": around, "gold": lambda prompt: "Rome"}
    found = [asked(task, Talker(talk), tmp_path / name) for name, talk in talkers.items()]
    return task, found


def relearned(final):
    """Scores that rise to `final`, of four samples."""
    columns = {f"after_{step}": np.full(4, final * step / 10, np.float32) for step in (0, 5, 10)}
    best = columns["after_10"]
    return Outcomes(np.arange(4), {**columns, "relearned": best, "relearn_area": best / 2})


def test_a_fact_that_came_back_is_shown_with_what_was_asked(attacked):
    task, found = attacked
    own = matrix(found, lines=["main", "main", "gold"])
    shown = came_back(own, {"facts": task})
    assert [one["row"] for one in shown] == [1]  # the first says it plainly, gold not at all
    (fact,) = shown[0]["facts"]
    assert (fact["expected"], fact["category"]) == ("Lisbon", "indirect")
    assert fact["plainly"] == "I don't know."
    assert "know about Ada Mora" in fact["prompt"]
    page = audits({"came_back": shown}, own)
    assert "&lt;b&gt;Lisboa&lt;/b&gt;" in page
    assert "What step1.stage gave away, though not when asked plainly" in page
    assert NO_GOLD not in page
    assert "reconstruction" in page


def test_a_prompt_about_an_own_answer_is_shown_with_that_answer(tmp_path):
    task = Sleek(path=written(tmp_path, CHAINS)).load("facts")

    def two_hops(prompt):
        if "What is the city of the Lights?" in prompt:
            return "Lisbon"
        return "the Lights." if "school of Ada Mora" in prompt else "?"

    own = matrix([asked(task, Talker(two_hops), tmp_path / "run")])
    (shown,) = came_back(own, {"facts": task})
    assert "What is the city of the Lights?" in shown["facts"][0]["prompt"]


def test_gold_is_what_the_others_are_beyond(attacked):
    _, found = attacked
    own = matrix(found, lines=["main", "main", "gold"])
    assert gold_row(own, "facts", "recovery") == 2
    assert without_gold(own) == []
    page = audits({}, own)
    assert "beyond gold" in page
    assert "+1.000" in page
    assert "+0.333" in page


def test_without_gold_nothing_is_called_a_leak(attacked):
    _, found = attacked
    own = matrix(found)
    assert without_gold(own) == ["facts"]
    page = audits({}, own)
    assert NO_GOLD in page
    assert "beyond gold" not in page


def test_the_curve_of_relearning_ends_with_gold():
    own = matrix([relearned(0.9), relearned(0.6), relearned(0.1)], "again", ["main", "a", "gold"])
    assert curve_of(own, 1, "again") == [(0, 0), (5, pytest.approx(0.3)), (10, pytest.approx(0.6))]
    page = audits({}, own)
    assert page.count('class="line ') == 3
    assert "step2.stage (never knew)" in page
    assert "+0.500" in page
    assert NO_GOLD in audits({}, matrix([relearned(0.9)], "again"))


def test_a_run_without_audits_has_no_such_section():
    plain = Outcomes(np.arange(3), {"correct": np.ones(3, np.uint8), "nll": np.ones(3)})
    assert audits({}, matrix([plain])) is None
