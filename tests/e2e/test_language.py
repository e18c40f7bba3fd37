"""The recipes of language models on the real model and text, cut short."""

from __future__ import annotations

import pytest

import bequest
from bequest.build.assets.fetch import fetched
from bequest.core.errors import RequestError

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("workdir"), pytest.mark.timeout(900)]
DOMAINS = ("code", "manual", "licences")


@pytest.fixture(scope="module", autouse=True)
def _assets():
    for name in ("smollm2-135m", "python-text"):
        try:
            fetched(name)
        except RequestError as error:
            pytest.skip(f"{name} can't be had here: {error}")


def short(recipe):
    """The recipe with little text."""
    little = {"documents": 10, "passages": 1, "passage": 200, "test_samples": 2}
    cut = [f"tasks.{name}.{key}={value}" for name in DOMAINS for key, value in little.items()]
    return bequest.run(recipe, overrides=[*cut, "fit.epochs=1", "fit.batch_size=4"])


def numbers(run, metric, step, line=None):
    rows = [
        number
        for number, row in enumerate(run.matrix.rows)
        if row.step == step and line in (None, row.line)
    ]
    return [run.matrix.value(metric, row, task).value for row in rows for task in DOMAINS]


def test_a_student_in_four_layers_gets_better_everywhere():
    run = short("quickstart-llm")
    (teacher, student) = (numbers(run, "log_perplexity", "given")[at : at + 3] for at in (0, 3))
    distilled = numbers(run, "log_perplexity", "distil")
    assert all(value < 5 for value in teacher)
    assert all(after < before for after, before in zip(distilled, student, strict=True))
    assert run.verdict.passed in (True, False)  # its rules can be judged; cut so short, either way
    assert (run.path / "report.html").stat().st_size > 10_000
    kept = sum(file.stat().st_size for file in run.path.glob("models/**/*.safetensors"))
    assert kept < 400e6  # two students; the teacher is not copied


def test_domains_one_after_another_through_adapters():
    run = short("continual_pretraining")
    (own,) = [one for one in run.matrix.sequences if one.learned.line == "main"]
    assert own.tasks == ("licences", "code", "manual")
    for metric in ("bwt_over_given", "fwt_over_given", "fwt_over_single", "average_perplexity"):
        assert own.value(metric).value is not None
    kept = [file.stat().st_size for file in run.path.glob("models/**/*.safetensors")]
    assert kept
    assert max(kept) < 30e6  # adapters only
