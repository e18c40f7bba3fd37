"""What models wrote, side by side: which texts are chosen, and what the page does with them."""

import json

import numpy as np
import pytest

from bequest.core.live import Split, Texts
from bequest.core.outcomes import Outcomes
from bequest.measure.matrix import Matrix
from bequest.measure.rows import Row
from bequest.measure.table import Cells
from bequest.report.page.transcripts import transcripts
from bequest.runner.scoring import _kept
from bequest.runner.transcripts import LONGEST_TEXT, MOST_SAMPLES, chosen, packed, unpacked
from bequest.store.tensors import flatten, unflatten

COUNT = 20
HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(1)">\x00\u202e'


class Asked:
    """A task of prompts with known answers."""

    def __init__(self, prompts=None, expected=None):
        prompts = prompts or tuple(f"prompt {n}" for n in range(COUNT))
        texts = Texts(expected or tuple(f" answer {n}" for n in range(COUNT)), prompts)
        self.splits = {"test": Split(texts, None, np.arange(COUNT))}


def said(stage, recall=None, draws=1):
    columns = {"repetition": np.zeros(COUNT * draws)}
    if recall is not None:
        columns["rouge_l_recall"] = np.asarray(recall, float)
    sample = np.tile(np.arange(COUNT), draws)
    draw = np.repeat(np.arange(draws), COUNT).astype(np.int32) if draws > 1 else None
    texts = tuple(f"{stage} says {n}" for n in range(COUNT * draws))
    return Outcomes(sample, columns, draw=draw, transcript=texts)


def rows(*names, line="main"):
    first = Row("given", "student", "student", line="given")
    return (first, *(Row("learn", name, "student", line=line, after=i, order=i + 1)
                     for i, name in enumerate(names)))  # fmt: skip


def matrix(stages, *outcomes, task="facts"):
    cells = {(i, task, 0): one for i, one in enumerate(outcomes) if one is not None}
    return Matrix(Cells(stages, (task,), (0,), cells))


def test_those_that_became_better_and_worse_by_the_most_come_first():
    before, after = np.full(COUNT, 0.5), np.full(COUNT, 0.5)
    after[[3, 7]] = 1.0, 0.9
    after[[11, 5]] = 0.0, 0.1
    held = matrix(rows("end"), said("a", before), said("b", after))
    (found,) = chosen(held, {"facts": Asked()})
    assert found["stages"] == [0, 1]
    assert found["count"] == COUNT
    assert [one["prompt"] for one in found["samples"][:4]] == [
        "prompt 3", "prompt 11", "prompt 7", "prompt 5"]  # fmt: skip
    first = found["samples"][0]
    assert first["expected"] == "answer 3"
    assert first["answers"] == ["a says 3", "b says 3"]
    assert len(found["samples"]) == MOST_SAMPLES


def test_a_model_is_compared_with_itself_and_not_with_its_teacher():
    teacher, student = (Row("given", of, of, line="given") for of in ("teacher", "student"))
    end = Row("learn", "end", "student", after=1, order=2)
    recall = np.zeros(COUNT)
    better = recall.copy()
    better[4] = 1.0
    held = matrix((teacher, student, end), said("t", better), said("a", recall), said("b", better))
    (found,) = chosen(held, {"facts": Asked()})
    assert found["samples"][0]["prompt"] == "prompt 4"


def test_of_many_stages_the_ends_are_shown():
    stages = (*rows(*"abcde"), Row("alone", "end", "student", line="alone", after=0, order=6))
    held = matrix(stages, *(said(str(i)) for i in range(7)))
    (found,) = chosen(held, {"facts": Asked()})
    assert found["stages"] == [0, 1, 5, 6]


def test_a_stage_that_wrote_nothing_and_moments_are_passed_over():
    stages = rows("moment", "end")
    stages[1].at["checkpoint"] = 1
    held = matrix(stages, said("a"), said("b"), said("c", draws=3))
    (found,) = chosen(held, {"facts": Asked()})
    assert found["stages"] == [0, 2]
    assert found["samples"][0]["answers"][1] in {f"c says {n}" for n in range(COUNT)}
    silent = Outcomes(np.arange(3), {"correct": np.ones(3)})
    assert chosen(matrix(rows(), silent), {"facts": Asked()}) == []


def test_long_texts_are_cut_and_hostile_ones_are_text():
    long = Asked((HOSTILE + "x" * (1 << 20),) + ("p",) * (COUNT - 1), (HOSTILE,) * COUNT)
    answers = Outcomes(np.arange(COUNT), {"a": np.zeros(COUNT)},
                       transcript=(HOSTILE + "y" * (1 << 20),) + ("",) * (COUNT - 1))  # fmt: skip
    held = matrix(rows(), answers)
    found = chosen(held, {"facts": long})
    assert len(json.dumps(found)) < 20 * LONGEST_TEXT
    page = transcripts({"transcripts": found}, held)
    assert "<script" not in page
    assert "<img" not in page
    assert "\x00" not in page
    assert page.count("<tr") == len(found[0]["samples"]) + 1
    assert "nothing" in page


def test_the_section_is_a_table_with_headings():
    held = matrix(rows("end"), said("a"), said("b"))
    page = transcripts({"transcripts": chosen(held, {"facts": Asked()})}, held)
    assert "6 of 20" in page
    assert '<th scope="col">learn.end</th>' in page
    assert '<th scope="row"><p>prompt 19</p>' in page
    assert 'data-title="learn.end"' in page
    assert transcripts({}, held) is None
    assert transcripts({"transcripts": []}, held) is None


def test_what_no_file_can_hold_is_written_otherwise():
    class Task:
        def record(self, model, batch_size):
            return Outcomes(np.arange(2), {}, transcript=("a\ud800b", "é\n"))

    held = _kept(Task().record(None, 8))["transcript"]
    assert unpacked(unflatten(*flatten(held))) == ("a?b", "é\n")


@pytest.mark.parametrize("texts", [("",), ("", "é", ""), ("a" * 9999, "b")])
def test_the_journal_gives_texts_back(texts):
    assert unpacked(unflatten(*flatten(packed(texts)))) == texts


def test_a_transcript_has_one_text_for_each_sample():
    with pytest.raises(ValueError, match="transcript has 1 entries, but there are 2"):
        Outcomes(np.arange(2), {}, transcript=("a",))
