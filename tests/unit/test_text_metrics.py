"""Metrics of texts: ratios of sums, resampled document by document; how rules name them."""

import math

import numpy as np
import pytest

from bequest.build.tasks.complete import Complete
from bequest.build.tasks.digits import Digits
from bequest.build.tasks.qa import Qa
from bequest.core.errors import RequestError
from bequest.core.outcomes import Outcomes
from bequest.measure.gate import judge
from bequest.measure.matrix import Matrix
from bequest.measure.rows import Row
from bequest.measure.rules import check_rules
from bequest.measure.table import Cells

DOCUMENTS, PASSAGES = 12, 4


def outcomes(rate, seed=0, **more):
    """Passages that cost `rate` nats a token; long documents cost twice as much."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(5, 60, DOCUMENTS * PASSAGES).astype(np.int32)
    unit = np.repeat(np.arange(DOCUMENTS), PASSAGES)
    nll = tokens * rate * np.where(unit % 2, 2.0, 1.0)
    columns = {"text_nll": nll.astype(np.float32), "tokens": tokens, "bytes": 3 * tokens}
    return Outcomes(np.arange(len(tokens)), columns | more, unit)


def matrix(*answers):
    rows = [Row("given", "student", "student", line="given")]
    rows += [Row("learn", f"stage {i}", "student", after=i) for i in range(len(answers) - 1)]
    cells = {(i, "docs", 0): one for i, one in enumerate(answers)}
    return Matrix(Cells(tuple(rows), ("docs",), (0,), cells))


def test_every_token_counts_alike():
    one = outcomes(2.0)
    total = one.columns["text_nll"].sum() / one.columns["tokens"].sum()
    found = matrix(one)
    assert found.value("log_perplexity", 0, "docs").value == pytest.approx(total, rel=1e-6)
    assert found.value("perplexity", 0, "docs").value == pytest.approx(math.exp(total), rel=1e-6)
    bits = found.value("bits_per_byte", 0, "docs").value
    assert bits == pytest.approx(total / 3 / math.log(2), rel=1e-6)
    each = one.columns["text_nll"] / one.columns["tokens"]
    assert found.value("log_perplexity", 0, "docs").value != pytest.approx(each.mean(), rel=1e-3)


def test_a_uniform_model_has_the_perplexity_of_its_vocabulary():
    one = outcomes(0.0)
    one.columns["text_nll"][:] = one.columns["tokens"] * math.log(300)
    found = matrix(one).value("perplexity", 0, "docs")
    assert (found.value, found.low, found.high) == pytest.approx((300, 300, 300), rel=1e-5)


def test_documents_are_resampled_whole():
    found = matrix(outcomes(2.0))
    assert found.value("log_perplexity", 0, "docs").units == DOCUMENTS
    loose = outcomes(2.0)
    alone = matrix(Outcomes(loose.sample, loose.columns))
    wide, narrow = (one.value("log_perplexity", 0, "docs") for one in (found, alone))
    assert wide.value == narrow.value
    assert wide.high - wide.low > 1.3 * (narrow.high - narrow.low)


def test_a_difference_is_paired_and_its_log_does_not_depend_on_how_hard_the_text_is():
    before, after = outcomes(2.0), outcomes(1.9)
    found = matrix(before, after).value("log_perplexity", 1, "docs", against=0)
    single = matrix(before).value("log_perplexity", 0, "docs")
    assert found.value == pytest.approx(-0.05 * single.value, rel=1e-5)
    assert found.high < 0
    assert found.high - found.low < 0.1 * (single.high - single.low)


def test_texts_are_judged_by_log_perplexity_and_never_by_cross_entropy():
    found = matrix(outcomes(2.0))
    assert found.primary("docs") == "log_perplexity"
    assert not found.has("cross_entropy", 0, "docs")
    with pytest.raises(RequestError, match="does not record nll"):
        found.value("cross_entropy", 0, "docs")


def test_answers_are_judged_by_their_probability():
    ones = np.ones(DOCUMENTS * PASSAGES)
    found = matrix(outcomes(2.0, probability=ones / 2, exact=ones, rouge_l_recall=ones / 4))
    assert found.primary("docs") == "answer_probability"
    values = [found.value(name, 0, "docs").value
              for name in ("answer_probability", "exact_match", "rouge_l")]  # fmt: skip
    assert values == pytest.approx([0.5, 1.0, 0.25])
    assert not found.has("rouge_l_f1", 0, "docs")


def test_an_endless_perplexity_is_absent_with_its_reason_and_no_warning():
    found = matrix(outcomes(1e6))
    assert found.value("log_perplexity", 0, "docs").value > 1e6
    assert not found.has("perplexity", 0, "docs")
    written = found.to_json()
    assert "perplexity" not in {one["metric"] for one in written["cells"]}
    assert written["absent"] == [
        {"row": 0, "task": "docs", "metric": "perplexity",
         "reason": "it is infinite for these samples"}
    ]  # fmt: skip


def test_rules_name_them():
    rules = ["perplexity(docs) <= 40", "log_perplexity(docs) vs given.student <= 0 surely",
             "bits_per_byte(docs) > 1"]  # fmt: skip
    verdict = judge(rules, matrix(outcomes(2.0), outcomes(1.9)))
    assert verdict.passed
    assert not check_rules(["perplexity(docs) <= 4"], {"docs": Qa.records}, [])


@pytest.mark.parametrize(
    ("rule", "task", "said"),
    [
        ("accuracy(docs) > 0", Qa, "needs correct"),
        ("cross_entropy(docs) < 1", Qa, "needs nll"),
        ("perplexity(docs) < 9", Digits, "needs text_nll, tokens"),
        ("rouge_l(docs) > 0", Complete, "needs rouge_l_recall"),
    ],
)
def test_what_a_task_does_not_record_is_told_before_the_run(rule, task, said):
    (problem,) = check_rules([rule], {"docs": task.records}, [])
    assert said in problem.what


def test_a_sequence_of_texts_is_scored_in_log_perplexity():
    rows = [Row("given", "m", "m", line="given")]
    rows += [Row("learn", f"after {t}", "m", learned=t, order=i, after=i - 1)
             for i, t in enumerate("ab", 1)]  # fmt: skip
    rates = {(0, "a"): 4, (0, "b"): 4, (1, "a"): 2, (1, "b"): 3, (2, "a"): 3, (2, "b"): 2}
    cells = {(row, task, 0): outcomes(rate) for (row, task), rate in rates.items()}
    found = Matrix(Cells(tuple(rows), ("a", "b"), (0,), cells)).sequences[0]
    assert found.score.name == "log_perplexity"
    unit = matrix(outcomes(1.0)).value("log_perplexity", 0, "docs").value
    assert found.value("bwt").value == pytest.approx(-unit, rel=1e-5)  # a got worse by one unit
    assert found.value("bwt_over_given").value == pytest.approx(unit, rel=1e-5)
    wanted = (math.exp(3 * unit) + math.exp(2 * unit)) / 2
    assert found.value("average_perplexity").value == pytest.approx(wanted, rel=1e-4)
