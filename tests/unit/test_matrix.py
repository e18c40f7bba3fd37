"""The matrix: pairing, invariances, and the file it is read from."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from invented_matrices import IDS, ROWS, answers, as_text, invented, shares

from bequest.core.errors import RequestError
from bequest.core.outcomes import Outcomes
from bequest.measure.intervals import Resampler
from bequest.measure.matrix import Matrix
from bequest.measure.rows import Row, comparisons
from bequest.measure.table import Cells


def test_values_by_hand():
    matrix = shares("1110", "0111")
    assert matrix.value("accuracy", 0, "t").value == 0.75
    assert matrix.value("gain", 1, "t", 0).value == 0
    assert matrix.value("negative_flips", 1, "t", 0).value == 0.25
    assert matrix.value("positive_flips", 1, "t", 0).value == 0.25
    assert matrix.value("accuracy", 1, "t", 0).value == 0


def test_the_value_is_the_mean_over_seeds_of_the_metric():
    matrix = Matrix(invented((0, 1, 2)))
    estimate = matrix.value("calibration_error", 2, "digits")
    assert len(estimate.seeds) == 3
    assert estimate.value == pytest.approx(np.mean(estimate.seeds))
    alone = Matrix(invented((1,))).value("calibration_error", 2, "digits")
    assert estimate.seeds[1] == alone.value


def test_differences_are_paired():
    bits = "10" * 50
    same = shares(bits, bits[:-1] + "1")
    difference = same.value("accuracy", 1, "t", 0)
    assert difference.value == pytest.approx(0.01)
    assert difference.high - difference.low < 0.1  # unpaired it would be about 0.28
    assert difference.high == pytest.approx(same.value("gain", 1, "t", 0).high, abs=1e-6)


def test_nothing_changed_is_not_surely_nothing():
    matrix = shares("10" * 25, "10" * 25, "1" * 50)
    bound = 1 - 0.025 ** (1 / 50)
    for metric in ("accuracy", "gain"):
        estimate = matrix.value(metric, 1, "t", 0)
        assert (estimate.low, estimate.high) == (
            pytest.approx(-bound, abs=1e-3),
            pytest.approx(bound, abs=1e-3),
        )
    assert matrix.value("negative_flips", 1, "t", 0).low == 0
    assert matrix.value("negative_flips", 1, "t", 0).high == pytest.approx(bound, abs=1e-3)
    perfect = matrix.value("accuracy", 2, "t")
    assert (perfect.low, perfect.high) == (pytest.approx(1 - bound, abs=1e-3), 1)


def test_samples_of_one_unit_count_once():
    bits = "1100101110"
    alone = shares(bits).value("accuracy", 0, "t")
    thrice = "".join(bit * 3 for bit in bits)
    together = shares(thrice, units=np.repeat(np.arange(10), 3)).value("accuracy", 0, "t")
    assert (together.n, together.units) == (30, 10)
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high), abs=1e-6)


def test_no_number_depends_on_the_order_of_recording():
    rng = np.random.default_rng(0)
    cells = invented()
    shuffled = {}
    for key, one in cells.outcomes.items():
        order = rng.permutation(len(one))
        columns = {name: values[order] for name, values in one.columns.items()}
        shuffled[key] = Outcomes(one.sample[order], columns)
    assert as_text(Matrix(replace(cells, outcomes=shuffled))) == as_text(Matrix(cells))


def test_renaming_steps_and_stages_changes_no_number():
    cells = invented()
    renamed = tuple(
        replace(row, step=row.step if row.line == "given" else f"x{row.order}", name=f"é{i}")
        for i, row in enumerate(cells.rows)
    )
    before = Matrix(cells).to_json()
    after = Matrix(replace(cells, rows=renamed)).to_json()
    assert before.pop("rows") != after.pop("rows")
    assert before == after


def test_the_other_rows_do_not_matter():
    cells = invented()
    fewer = {key: one for key, one in cells.outcomes.items() if key[0] in (0, 4)}
    one = Matrix(cells).value("accuracy", 4, "digits", 0)
    other = Matrix(replace(cells, outcomes=fewer)).value("accuracy", 4, "digits", 0)
    assert one.value == other.value
    assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=1e-6)


def test_rows_on_other_samples_are_not_compared():
    cells = invented((0,))
    other = {**cells.outcomes, (4, "digits", 0): answers(1, 0.5, ids=np.append(IDS[:-2], [1, 2]))}
    matrix = Matrix(replace(cells, outcomes=other))
    with pytest.raises(RequestError, match="4 of 120 and 120 don't match"):
        matrix.value("gain", 4, "digits", 0)
    assert matrix.value("accuracy", 4, "digits").n == 120
    assert [change.row for change in matrix.changes()] == [2, 3]


def test_a_repeated_sample_is_refused():
    matrix = Matrix(replace(invented(), outcomes={(0, "digits", 0): answers(0, 0.5, IDS[[0, 0]])}))
    with pytest.raises(RequestError, match="twice"):
        matrix.value("accuracy", 0, "digits")
    draws = answers(0, 0.5, IDS[[0, 0]], draw=np.array([0, 1], np.int32))
    matrix = Matrix(replace(invented(), outcomes={(0, "digits", 0): draws}))
    assert matrix.value("accuracy", 0, "digits").n == 2


def test_a_reference_of_one_seed_serves_all_but_other_seeds_do_not():
    cells = invented((0, 1, 2))
    kept = {key: one for key, one in cells.outcomes.items() if key[0] != 0 or key[2] == 1}
    assert len(Matrix(replace(cells, outcomes=kept)).value("gain", 4, "digits", 0).seeds) == 3
    kept = {key: one for key, one in cells.outcomes.items() if key[0] != 0 or key[2] != 1}
    with pytest.raises(RequestError, match=r"different seeds, \[0, 1, 2\] and \[0, 2\]"):
        Matrix(replace(cells, outcomes=kept)).value("gain", 4, "digits", 0)


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (("accuracy", 1, "other"), "asks for embed"),
        (("accuracy", 1, "digit"), "did you mean `digits`"),
        (("worst_group_accuracy", 1, "digits"), "does not record group"),
        (("gain", 1, "digits"), "compares two rows"),
        (("seconds", 1), "given.student was not measured"),
        (("speed", 1), "unknown metric"),
    ],
)
def test_what_was_not_measured_is_an_error(ask, said):
    with pytest.raises(RequestError, match=said):
        Matrix(invented()).value(*ask)


def test_costs_have_no_interval():
    cells = replace(invented(), costs={0: {"parameters": 1000.0}, 4: {"parameters": 100.0}})
    difference = Matrix(cells).value("parameters", 4, against=0)
    assert difference.value == difference.low == difference.high == -900


def test_references_are_earlier_states_of_the_same_model():
    assert comparisons(ROWS) == [(2, 1), (3, 1), (4, 2), (4, 3)]


def test_changes_say_what_can_be_told():
    matrix = shares("1" * 50 + "0" * 150, "1" * 150 + "0" * 50, "1" * 151 + "0" * 49, "0" * 200)
    better, unclear, worse = matrix.changes()
    assert (better.row, better.reference, better.verdict) == (1, 0, "surely better")
    assert unclear.verdict == "can't be told"
    assert worse.verdict == "surely worse"
    assert unclear.p > 0.05 > better.p


def test_lower_is_better_where_the_metric_says_so():
    rows = (Row("a", "a", "s", order=0), Row("a", "b", "s", order=1, after=0))
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 100))
    outcomes = {
        (i, "t", 0): Outcomes(np.arange(100), {"nll": 2.0 - i + noise[i]}) for i in range(2)
    }
    (change,) = Matrix(Cells(rows, ("t",), (0,), outcomes)).changes()
    assert (change.metric, change.verdict) == ("cross_entropy", "surely better")


def test_json_holds_everything_but_what_varies_from_run_to_run():
    cells = invented()
    told = Matrix(cells).to_json()
    assert {cost["metric"] for cost in told["costs"]} == {"parameters", "bytes"}
    slower = replace(cells, costs={0: {**cells.costs[0], "seconds": 99.0, "peak_memory": 1.0}})
    assert as_text(Matrix(slower)) == as_text(Matrix(cells))
    assert len(told["cells"]) == 3 * len(ROWS)
    assert {entry["row"] for entry in told["absent"]} == set(range(len(ROWS)))
    assert told["absent"][0]["reason"] == "asks for embed"
    pairs = {(entry["row"], entry["against"]) for entry in told["contrasts"]}
    assert pairs == {(2, 0), (2, 1), (3, 0), (3, 1), (4, 0), (4, 1), (4, 2), (4, 3)}
    used = {entry["metric"] for entry in (*told["cells"], *told["contrasts"])}
    assert set(told["metrics"]) == used


def test_json_agrees_with_values_asked_one_by_one():
    cells = invented()
    told = Matrix(cells).to_json()
    fresh = Matrix(cells)
    for entry in (*told["cells"], *told["contrasts"]):
        place = (entry["metric"], entry["row"], entry["task"], entry.get("against"))
        estimate = fresh.value(*place)
        assert entry["value"] == pytest.approx(estimate.value, abs=1e-9)
        assert entry["low"] == pytest.approx(estimate.low, rel=1e-3, abs=1e-6)


def test_what_is_not_finite_is_absent_with_its_reason_and_spares_its_neighbours():
    cells = invented((0,))
    broken = answers([4, 0], 0.9)
    broken.columns["nll"][3] = np.nan
    matrix = Matrix(replace(cells, outcomes={**cells.outcomes, (4, "digits", 0): broken}))
    told = json.loads(as_text(matrix))
    values = {(e["metric"], e["row"]): e["value"] for e in told["cells"]}
    assert ("cross_entropy", 4) not in values
    assert [one for one in told["absent"] if one["task"] == "digits"] == [
        {"row": 4, "task": "digits", "metric": "cross_entropy",
         "reason": "`nll` is not finite for 1 of 120 samples"}
    ]  # fmt: skip
    assert values["accuracy", 4] == matrix.value("accuracy", 4, "digits").value
    assert values["cross_entropy", 3] == pytest.approx(
        Matrix(cells).value("cross_entropy", 3, "digits").value
    )
    assert not matrix.has("cross_entropy", 4, "digits")
    with pytest.raises(RequestError, match="`nll` is not finite for 1 of 120 samples"):
        matrix.value("cross_entropy", 4, "digits")


def test_tables_are_plain_and_escaped():
    rows = (Row("a", "<script>", "s"),)
    cells = Cells(rows, ("t", "u"), (0,), {(0, "t", 0): answers(0, 0.5)})
    matrix = Matrix(cells)
    assert "<script>" not in matrix._repr_html_()
    assert "a.&lt;script&gt;" in matrix._repr_html_()
    head, line = repr(matrix).splitlines()
    assert head.split() == ["stage", "line", "accuracy(t)", "u"]
    assert line.endswith("-")


@pytest.mark.parametrize("bad", [(9, "digits", 0), (0, "x", 0), (0, "digits", 9)])
def test_cells_outside_the_matrix_are_refused(bad):
    with pytest.raises(ValueError, match="outside"):
        replace(invented(), outcomes={bad: answers(0, 0.5)})


def test_an_empty_cell_is_refused():
    with pytest.raises(ValueError, match="no samples"):
        replace(invented(), outcomes={(0, "digits", 0): answers(0, 0.5, IDS[:0])})


def test_fewer_resamples_are_said():
    told = Matrix(invented(), Resampler(seed=4, resamples=50)).to_json()
    assert (told["interval"]["resamples"], told["interval"]["seed"]) == (50, 4)


def test_importing_the_room_loads_nothing_heavy():
    code = (
        "import sys, bequest.measure.gate, bequest.measure.parquet\n"
        "print(*{'torch', 'pyarrow', 'transformers', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_the_matrix_is_a_data_frame_too():
    matrix = Matrix(invented())
    frame = matrix.to_pandas()
    accuracies = frame[frame.metric == "accuracy"].set_index(["step", "stage", "task"])
    for i, row in enumerate(matrix.rows):
        for task in matrix.tasks:
            if matrix.has("accuracy", i, task):
                found = accuracies.loc[row.step, row.name, task]
                expected = matrix.value("accuracy", i, task)
                assert (found.value, found.low) == (expected.value, expected.low)


def test_a_cell_that_is_absent_says_why_in_the_data_frame():
    cells = invented()
    left = {key: value for key, value in cells.outcomes.items() if key[0] != 0}
    task = cells.tasks[0]
    frame = Matrix(replace(cells, outcomes=left, absent={(0, task): "no such head"})).to_pandas()
    first = frame.iloc[0]
    assert first.absent == "no such head"
    assert np.isnan(first.value)


def test_the_interval_beside_a_verdict_is_the_one_that_was_judged():
    rng = np.random.default_rng(5)
    tasks = tuple(f"t{number}" for number in range(8))
    hard = rng.random((8, 300))
    outcomes = {
        (row, task, 0): Outcomes(
            np.arange(300), {"correct": hard[i] + 0.2 * rng.random(300) < edge}
        )
        for row in (0, 1)
        for i, task in enumerate(tasks)
        for edge in (0.7 + row * 0.012 * i,)
    }
    rows = (
        Row("given", "m", "m", line="given"),
        Row("step", "trained", "m", order=1, after=0),
    )
    changes = Matrix(Cells(rows, tasks, (0,), outcomes)).changes()
    surely = [change.verdict != "can't be told" for change in changes]
    assert 0 < sum(surely) < len(changes)
    for change, sure in zip(changes, surely, strict=True):
        assert (not change.difference.low <= 0 <= change.difference.high) == sure
