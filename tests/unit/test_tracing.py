"""The task `trace`: files, sides, what may be known when, and what is recorded."""

from __future__ import annotations

import numpy as np
import pytest

from bequest.build.tasks.trace import Trace
from bequest.build.trace_files import students
from bequest.build.trace_histories import Histories, padded
from bequest.build.trace_mastery import mastery
from bequest.core.errors import RequestError
from bequest.core.live import Ragged
from bequest.lazy import torch
from bequest.transfer.streams import Rows

THREE = "3\n5,5,7,\n1,0,1,\n2\n7,5\n0,1\n1\n5,\n1,\n"
SMALL = {"students": 40, "concepts": 4, "active": 3, "answers": 12}


class Rule:
    """A model that expects of every entry what a function of its history says."""

    answers = frozenset({"trace"})

    def __init__(self, odds):
        self.module, self.labels, self._odds = torch.nn.Linear(1, 1), (), odds

    def trace(self, histories):
        before = histories.before()
        values, start = [], 0
        for length in histories.lengths.tolist():
            rows = slice(start, start + length)
            past = (histories.concept[rows], histories.right[rows])
            values += [self._odds(histories.concept[start + at], past, int(known) + 1)
                       for at, known in enumerate(before[rows]) if known >= 0]  # fmt: skip
            start += length
        lengths = np.add.reduceat(before >= 0, np.cumsum(histories.lengths) - histories.lengths)
        return Ragged(torch.tensor(values), torch.from_numpy(lengths))


def share(concept, past, known):
    """Log-odds of the share of right answers that may be known."""
    right = past[1][:known].sum()
    return float(np.log((right + 0.5) / (known - right + 0.5)))


def write(folder, text, name="answers.txt"):
    path = folder / name
    path.write_text(text)
    return str(path)


def test_three_lines_a_student(tmp_path):
    first, second, third = students(write(tmp_path, THREE)).students
    assert (first.concepts, first.right, first.question) == (["5", "5", "7"], [1, 0, 1], [0, 1, 2])
    assert second.concepts == ["7", "5"]
    assert third.answers == 1


WINDOWS = 'uid,concepts,responses,selectmasks\na,"1,2","1,0","1,1"\na,"2,3","0,1","-1,1"\n'


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("2\n1,2,3\n1,0,1\n", ":1`", "2 answers are announced, but 3 concepts"),
        ("x\n1\n1\n", ":1`", "no column `concepts`"),
        ("3\n1,2,3\n1,0\n", ":3`", "3 concepts, but 2 answers"),
        (THREE + "2\n1,2\n1,7\n", ":12`", "an answer is `7`"),
        (THREE + "2\n1,2\n", ":10`", "2 of 3 lines"),
        ("2\n1,,\n1,0\n", ":3`", "answer 2 has no concept"),
        ("concepts,response\n1,1\n", ":1`", "did you mean `response`"),
        ('concepts,responses\n"1,2","1,0"\n"1,2","1,2"\n', ":3`", "an answer is `2`"),
        ('concepts,responses\n"1,-1,2","1,-1,0"\n', ":2`", "padding (-1) stands between"),
        ('concepts,responses,is_repeat\n"1,2","1,0","0"\n', ":2`", "1 values in `is_repeat`"),
        ('concepts,responses,is_repeat\n"1,2","1,0","0,2"\n', ":2`", "`is_repeat` must be 0 or 1"),
        ("concepts,responses\n1,2,1,0\n", ":2`", "more values than the header"),
        (WINDOWS + 'a,"3,4","0,0","-1,1"\n', ":4`", "they differ from the answers before"),
        (WINDOWS + 'b,"2,3","0,1","-1,1"\n', ":4`", "nothing of this student stands before"),
        (WINDOWS + ',"2,3","0,1","-1,1"\n', ":4`", "nothing of this student stands before"),
        (WINDOWS + 'a,"2,3","0,1","1,-1"\n', ":4`", "-1 behind an answer that counts"),
        (WINDOWS + 'a,"2,3","0,1","0,1"\n', ":4`", "must be 1 or -1, but is `0`"),
        (WINDOWS + 'a,"2,-1","0,-1","1,1"\n', ":4`", "must be -1 where padding (-1) stands"),
        (WINDOWS + 'a,"2,3","0,1","1"\n', ":4`", "1 values in `selectmasks`"),
        ('uid,concepts,responses,timestamps\na,"1,2","1,0","7,5"\n', ":2`", "must not fall"),
        ("uid,concepts,responses,timestamps\na,1,1,7\na,1,1,5\n", ":3`", "must not fall"),
        ('concepts,responses,timestamps\n"1,2","1,0","1,x"\n', ":2`", "must be whole numbers"),
    ],
)
def test_a_damaged_line_is_named(tmp_path, text, place, said):
    with pytest.raises(RequestError) as caught:
        students(write(tmp_path, text))
    problem = str(caught.value)
    assert place in problem
    assert said.replace("`response`", "`responses`") in problem or said in problem


def test_columns_of_pykt(tmp_path):
    text = (
        "fold,uid,concepts,responses,is_repeat\n"
        '0,a,"3,3,4,-1","1,0,0,-1","0,0,1,-1"\n'
        '0,b,"4_5,3","1,0","0,0"\n'
        '0,a,"5,3,-1","1,1,-1","0,0,-1"\n'
    )
    (a, b), notes = students(write(tmp_path, text, "pykt.csv"))
    assert a.concepts == ["3", "3", "4", "5", "3"]
    assert a.question == [0, 1, 1, 2, 3]
    assert (b.concepts, b.right, b.question) == (["4", "5", "3"], [1, 1, 0], [0, 0, 1])
    assert notes == [f"`{tmp_path / 'pykt.csv'}`: 3 lines were joined by `uid` to 2 students"]


def windowed(history, size, uid):
    """A student as pyKT's window files have one: overlapping windows, in which the last counts."""
    first = min(size, len(history))
    pad = ["-1"] * (size - first)
    lines = [(history[:first], ["1"] * first, pad)]
    lines += [(history[end - size : end], ["-1"] * (size - 1) + ["1"], [])
              for end in range(size + 1, len(history) + 1)]  # fmt: skip
    for entries, masks, rest in lines:
        columns = [*map(list, zip(*entries, strict=True)), masks]
        yield f"{uid}," + ",".join('"' + ",".join([*each, *rest]) + '"' for each in columns) + "\n"


def test_windows_are_the_students_that_a_plain_file_has(tmp_path):
    rng = np.random.default_rng(4)
    draws = [rng.integers(0, (5, 2), (size, 2)).astype(str) for size in (9, 4, 3)]
    histories = [list(map(tuple, one.tolist())) for one in draws]
    head = "uid,concepts,responses,selectmasks\n"
    lines = [line for uid, one in enumerate(histories) for line in windowed(one, 4, uid)]
    found, notes = students(write(tmp_path, head + "".join(lines), "windows.csv"))
    plain = [line for uid, one in enumerate(histories) for line in windowed(one, 99, uid)]
    expected, none = students(write(tmp_path, head + "".join(plain), "plain.csv"))
    assert [(one.concepts, one.right, one.question) for one in found] == [
        (one.concepts, one.right, one.question) for one in expected]  # fmt: skip
    assert [one.answers for one in found] == [9, 4, 3]
    assert none == []
    assert "8 lines were joined by `uid` to 3 students" in notes[0]
    assert "15 answers that windows repeat (`selectmasks` -1) were read once" in notes[1]
    task = Trace(path=str(tmp_path / "windows.csv"), validation=0, test=0.4).load("t")
    assert set(notes) <= set(task.notes)


@pytest.mark.parametrize("uid", [True, False])
@pytest.mark.parametrize("step", [1, 2])
def test_windows_without_masks_are_refused(tmp_path, uid, step):
    rng = np.random.default_rng(0)
    lines, head = [], "uid," if uid else ""
    for student in range(12):
        names, right = rng.integers(0, 40, (2, 12)) % [[40], [2]]
        for start in range(0, 7, step):
            part = slice(start, start + 6)
            told = (",".join(map(str, values[part])) for values in (names, right))
            own = f"{student}," if uid else ""
            lines.append(own + ",".join(f'"{one}"' for one in told))
    (tmp_path / "w.csv").write_text("\n".join([f"{head}concepts,responses", *lines]))
    with pytest.raises(RequestError, match="windows that overlap") as refused:
        students(str(tmp_path / "w.csv"))
    assert f"as {12 * (6 // step)} of {len(lines)} lines do" in str(refused.value)


@pytest.mark.parametrize("line", ['"1,2,3,4","1,0,1,1"', '"1,1,1,1","1,1,1,1"'])
def test_students_who_answer_alike_are_no_windows(tmp_path, line):
    (tmp_path / "w.csv").write_text("\n".join(["concepts,responses", *[line] * 9]))
    assert len(students(str(tmp_path / "w.csv")).students) == 9


def test_a_question_may_go_on_in_the_next_piece_or_window(tmp_path):
    head = "uid,concepts,responses,is_repeat,selectmasks\n"
    pieces = 'a,"1,2","1,0","0,0","1,1"\na,"3,1","0,1","1,0","1,1"\n'
    (joined,), _ = students(write(tmp_path, head + pieces, "pieces.csv"))
    assert joined.question == [0, 1, 1, 2]
    windows = 'a,"1,2","1,0","0,0","1,1"\na,"2,3","0,0","0,1","-1,1"\na,"3,1","0,1","1,0","-1,1"\n'
    (slid,), _ = students(write(tmp_path, head + windows, "windows.csv"))
    assert (slid.concepts, slid.question) == (joined.concepts, joined.question)


def test_times_that_are_not_known_are_not_looked_at(tmp_path):
    text = 'uid,concepts,responses,timestamps\na,"1,2","1,0","NA,NA"\na,"1,-1","1,-1","NA,-1"\n'
    (one,), _ = students(write(tmp_path, text, "na.csv"))
    assert one.answers == 3


def test_a_student_in_two_files_is_refused(tmp_path):
    head, line = "uid,concepts,responses\n", '{},"1,2,1","1,0,1"\n'
    train = write(tmp_path, head + "".join(line.format(uid) for uid in range(9)), "train.csv")
    test = write(tmp_path, head + line.format(8) + line.format(9), "test.csv")
    with pytest.raises(
        RequestError, match=r"test_path.*has 1 students \(`uid`\) of this file: `8`"
    ):
        Trace(path=train, test_path=test).load("t")


def test_short_students_are_counted_and_long_ones_cut(tmp_path):
    long = "7\n" + ",".join("1231231") + "\n" + ",".join("1010101") + "\n"
    task = Trace(path=write(tmp_path, THREE + 9 * long), longest=3).load("t")
    assert any("2 of 12 students with fewer than 3" in note for note in task.notes)
    pieces = [split.inputs.lengths for split in task.splits.values()]
    assert np.concatenate(pieces).max() == 3
    assert sum(len(np.unique(split.unit)) for split in task.splits.values()) == 10
    units = [set(split.unit.tolist()) for split in task.splits.values()]
    assert not units[0] & units[1] | units[0] & units[2] | units[1] & units[2]


def test_students_of_one_answer_alone_are_refused(tmp_path):
    with pytest.raises(RequestError, match=r"answers.txt:3`: no student has 3 answers"):
        Trace(path=write(tmp_path, "1\n5\n1\n1\n6\n0\n")).load("t")


def test_a_concept_that_training_never_has_is_refused_or_dropped(tmp_path):
    train = write(tmp_path, 10 * "3\n1,2,3\n1,0,1\n" + 5 * "3\n3,2,1\n1,0,1\n")
    test = write(tmp_path, "5\n1,2,9,1,3\n1,0,1,1,0\n", "test.txt")
    with pytest.raises(RequestError, match=r"test.txt:3`.*never has the concept `9`"):
        Trace(path=train, test_path=test, validation=0).load("t")
    task = Trace(path=train, test_path=test, validation=0, unknown="drop").load("t")
    assert task.labels == ("1", "2", "3")
    assert task.tested.lengths.tolist() == [4]
    assert f"`{test}`: 1 answers on concepts that training never has were left out" in task.notes


def test_settings_that_contradict_each_other_are_told(tmp_path):
    path = write(tmp_path, THREE)
    said = [str(one) for one in Trace(path=path, generated=SMALL).check()]
    assert any("either read or invented" in one for one in said)
    assert Trace(generated={"concepts": 3}).check()
    assert Trace(test_path=path).check()
    assert not Trace(generated=SMALL).check()


def test_the_order_of_students_in_a_file_changes_nothing(tmp_path):
    rng = np.random.default_rng(0)

    def listed(most):
        return ",".join(map(str, rng.integers(0, most, 4)))

    blocks = [f"4\n{listed(5)}\n{listed(2)}\n" for _ in range(30)]
    one = Trace(path=write(tmp_path, "".join(blocks))).load("t")
    other = Trace(path=write(tmp_path, "".join(blocks[::-1]), "b.txt")).load("t")
    for side, split in one.splits.items():
        assert set(split.ids.tolist()) == set(other.splits[side].ids.tolist())


def test_what_may_be_known_before_each_entry():
    names = ("a", "b")
    histories = Histories(
        names, np.array([4, 3]), np.array([0, 0, 1, 0, 1, 0, 1]), np.array([1, 0, 0, 1, 1, 1, 0]),
        np.array([0, 1, 1, 2, 5, 5, 6]),
    )  # fmt: skip
    assert histories.before().tolist() == [-1, 0, 0, 2, -1, -1, 1]
    steps = padded(histories)
    assert steps.before.tolist() == [[-1, 0, 0, 2], [-1, -1, 1, -1]]
    assert steps.told.tolist() == [[True, True, True], [True, True, False]]
    swapped = histories[[1, 0]]
    assert swapped.lengths.tolist() == [3, 4]
    assert swapped.right.tolist() == [1, 1, 0, 1, 0, 0, 1]
    assert histories[1:].concept.tolist() == [1, 0, 1]


def test_concepts_of_one_question_are_scored_once(tmp_path):
    block = '{u},"1,2,3,1","1,0,0,1","0,0,1,0"\n'
    text = "uid,concepts,responses,is_repeat\n" + "".join(block.format(u=u) for u in range(10))
    task = Trace(path=write(tmp_path, text, "a.csv"), test=0.4, validation=0.1).load("t")

    def by_concept(concept, past, known):
        return float(task.labels[concept])  # 1, 2 or 3

    found = task.record(Rule(by_concept), 512)
    assert len(found) == 2 * len(task.tested)
    assert found.columns["right"].tolist() == [0, 1] * len(task.tested)
    likely = 1 / (1 + np.exp(-np.array([2.0, 3.0])))
    mean = np.log(likely.mean() / (1 - likely.mean()))
    assert found.columns["log_odds"][:2] == pytest.approx([mean, 1.0], rel=1e-6)
    assert len(set(found.sample.tolist())) == len(found)


def test_what_is_recorded():
    task = Trace(generated=SMALL).load("t")
    found = task.record(Rule(share), 512)
    assert len(found) == len(task.tested) * 11
    assert len(np.unique(found.units)) == len(task.tested)
    odds, right = found.columns["log_odds"], found.columns["right"]
    assert found.columns["correct"].tolist() == ((odds > 0) == right).tolist()
    chance = np.where(right, 1 / (1 + np.exp(-odds)), 1 / (1 + np.exp(odds)))
    assert found.columns["nll"] == pytest.approx(-np.log(chance), rel=1e-5)
    # Answers were drawn from what is known, which no model is given.
    known = found.columns["known"]
    assert abs(known.mean() - right.mean()) < 0.1
    assert known[right == 1].mean() > known[right == 0].mean() + 0.05


def test_mastery_is_what_a_question_now_would_show():
    task = Trace(generated=SMALL).load("t")
    portrait = task.portraits[0]
    seen = mastery(Rule(share), portrait)
    right = portrait.history.right
    counts = np.arange(1, len(right) + 1)
    expected = (np.cumsum(right) + 0.5) / (counts + 1)
    assert seen.shape == (len(portrait.concepts), len(right))
    assert seen[0] == pytest.approx(expected, rel=1e-5)


def test_batches_of_training_hold_whole_histories():
    task = Trace(generated=SMALL).load("t")
    rows = Rows(task.splits["train"])
    batches = list(rows.epoch(3, 8))
    assert sorted(int(i) for batch in batches for i in batch.ids) == sorted(rows.ids.tolist())
    assert all(len(batch.inputs) == len(batch.ids) for batch in batches)


def test_the_same_request_invents_the_same_students():
    prints = {Trace(generated=SMALL).load("t").fingerprint for _ in range(2)}
    other = Trace(generated={**SMALL, "seed": 1}).load("t").fingerprint
    assert len(prints) == 1
    assert other not in prints
