"""Tables with a column of numbers to be predicted: what is read, left out and refused."""

import numpy as np
import pandas as pd
import pytest

from bequest.core.errors import RequestError
from bequest.core.find import find

RNG = np.random.default_rng(0)
ROWS = 120
HOMES = pd.DataFrame({
    "size": RNG.integers(30, 200, ROWS),
    "age": RNG.integers(0, 90, ROWS),
    "town": np.array(["north", "south", "sea"])[RNG.integers(0, 3, ROWS)],
})  # fmt: skip
HOMES["price"] = 1_000_000 + 3000 * HOMES["size"] - 500 * HOMES["age"]


@pytest.fixture
def written(tmp_path):
    """Writes a table, or lines of one, and gives its path."""

    def write(table=HOMES, name="homes.csv", **fields):
        path = tmp_path / name
        if isinstance(table, list):
            path.write_text("\n".join(["size,price", *table]) + "\n", encoding="utf-8")
        elif name.endswith(".parquet"):
            table.to_parquet(path)
        else:
            table.to_csv(path, index=False, **fields)
        return str(path)

    return write


def task(path, **fields):
    return find("tasks", "regression")(path=path, target="price", **fields)


def values(live):
    return np.concatenate([live.splits[side].values for side in ("train", "validation", "test")])


def refusal(spec):
    with pytest.raises(RequestError) as caught:
        spec.load("t")
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize("name", ["homes.csv", "homes.parquet"])
def test_targets_are_read_in_their_own_unit(written, name):
    live = task(written(name=name)).load("t")
    assert live.asks == "predict"
    assert live.labels == ("price",)
    assert live.shape == (2 + 3,)  # two numbers, three towns
    assert sorted(values(live).tolist()) == sorted(HOMES["price"].tolist())
    train = live.splits["train"].values
    assert live.target == ("price", train.mean(), train.std())
    assert live.splits["train"].targets is None
    assert live.notes == ()
    assert set(live.preparation) >= {"features", "mean", "std", "median", "words"}


def test_each_row_keeps_its_own_target(written):
    live = task(written(), features=("size", "age"), standardize=False).load("t")
    for split in live.splits.values():
        size, age = split.inputs.astype(np.float64).T
        assert np.array_equal(split.values, 1_000_000 + 3000 * size - 500 * age)


def test_csv_and_parquet_give_the_same_task(written):
    one, other = (task(written(name=name)).load("t") for name in ("a.csv", "a.parquet"))
    assert one.fingerprint == other.fingerprint


def test_another_target_is_another_task(written):
    moved = HOMES.assign(price=HOMES["price"] + 1)
    first, other = task(written()).load("t"), task(written(moved, "moved.csv")).load("t")
    assert first.fingerprint != other.fingerprint
    assert np.array_equal(first.splits["test"].ids, other.splits["test"].ids)


def test_rows_without_a_target_are_left_out_and_counted(written):
    rows = [f"{7 * n % 50},{n * 1.5}" for n in range(50)]
    live = task(written([*rows, "90,", "91,NA", "92,?", "93,nan"])).load("t")
    assert live.notes == ("4 samples without a number in `price` were left out",)
    assert len(values(live)) == 50


def test_a_missing_target_of_a_float_column_is_left_out(written):
    gaps = HOMES.assign(price=HOMES["price"].where(HOMES.index > 2).astype("float32"))
    live = task(written(gaps, "gaps.parquet")).load("t")
    assert live.notes == ("3 samples without a number in `price` were left out",)


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ("7,cheap", "`cheap` in row 51 of `{}` is not a number"),
        ('7,"1,234.5"', "`1,234.5` in row 51 of `{}` is not a number"),
        ("7,$12", "`$12` in row 51 of `{}` is not a number"),
        ("7,inf", "`inf` in row 51 of `{}` is beyond 1e+30"),
        ("7,1e300", "`1e300` in row 51 of `{}` is beyond 1e+30"),
    ],
)
def test_what_is_no_number_is_refused_with_row_and_value(written, last, said):
    path = written([*[f"{n},{n}" for n in range(50)], last])
    problem = refusal(task(path))
    assert problem.what.startswith(f"column `price`: {said.format(path)}")
    assert problem.field == ("target",)


def test_of_many_words_the_first_is_shown_and_all_are_counted(written):
    path = written([*[f"{n},{n}" for n in range(9)], "9,dear", "10,cheap"])
    said = f"`dear` in row 10 of `{path}` is not a number; so are 1 more"
    assert said in refusal(task(path)).what


def test_decimal_commas_are_read_and_noted(written):
    live = task(written([f'{n},"{n},5"' for n in range(50)])).load("t")
    assert sorted(values(live).tolist()) == [n + 0.5 for n in range(50)]
    assert "`price` has numbers with a decimal comma: `1,4` is read as 1.4" in live.notes


@pytest.mark.parametrize("column", [HOMES["price"] > 0, pd.to_datetime(HOMES["price"])])
def test_columns_of_another_kind_are_refused(written, column):
    problem = refusal(task(written(HOMES.assign(price=column), "odd.parquet")))
    assert problem.what.startswith("column `price` holds ")
    assert problem.what.endswith(", not numbers")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([f"{n},7" for n in range(40)], "training values of `price` are 7"),
        (["1,2"], "no sample is left for"),
        ([], "has a header, but no rows"),
        (["1,", "2,"], "no row has a number in column `price`"),
    ],
)
def test_tables_that_nothing_can_be_learned_from(written, rows, said):
    assert said in refusal(task(written(rows))).what


def test_a_missing_column_is_named_before_the_data_are_read(written):
    (problem,) = find("tasks", "regression")(path=written(), target="prise").check()
    assert problem.field == ("target",)
    assert "there is no column `prise`" in problem.what
    assert problem.meant == "price"
    (problem,) = task(written(), features=("size", "price")).check()
    assert problem.what == "the target is among the features"
    (problem,) = task(written(), group_column="price").check()
    assert problem.what == "the target can't be the group too"
    (problem,) = task(written(), features=("size", "agee")).check()
    assert (problem.field, problem.meant) == (("features",), "age")


def test_sides_in_files_of_their_own(written):
    test = written(HOMES[:30], "test.csv")
    live = task(written(), test_path=test).load("t")
    assert sorted(live.splits["test"].values.tolist()) == sorted(HOMES["price"][:30].tolist())
    assert len(live.splits["train"]) + len(live.splits["validation"]) == ROWS - 30
    assert live.notes == ("30 samples of test also stood in train; they were left out of train",)


def test_the_side_with_a_word_is_named(written):
    test = written(["1,2", "2,x"], "test.csv")
    problem = refusal(task(written([f"{n},{n}" for n in range(20)]), test_path=test))
    assert f"`x` in row 2 of `{test}`" in problem.what


def test_forms_are_not_mixed(written):
    csv, parquet = written(), written(name="homes.parquet")
    (problem,) = task(csv, test_path=parquet).check()
    assert problem.field == ("test_path",)
    assert "must both be CSV or both Parquet" in problem.what
    (problem,) = task(parquet, delimiter=";").check()
    assert problem.field == ("delimiter",)


def test_groups_stay_on_one_side_and_are_units(written):
    live = task(written(HOMES.assign(town=HOMES.index % 12)), group_column="town").load("t")
    groups = [set(split.group.tolist()) for split in live.splits.values()]
    assert not groups[0] & groups[1]
    assert not groups[0] & groups[2]
    assert live.shape == (2,)
    test = live.splits["test"]
    assert len(set(test.unit.tolist())) == len(set(test.group.tolist()))


def test_repeats_with_another_target_are_counted(written):
    rows = [f"{n},{n}" for n in range(40)]
    live = task(written([*rows, "5,99", "6,6"])).load("t")
    assert live.notes[-1] == (
        "1 of the repeated samples have several values of the target; the first was kept"
    )
    assert 99 not in values(live)


def test_a_delimiter_is_handed_on(written):
    live = task(written(sep=";"), delimiter=";").load("t")
    assert live.shape == (5,)


def test_equal_targets_in_the_test_are_noted_and_leave_r2_out(written):
    test = written(["901,5", "902,5", "903,5"], "test.csv")
    live = task(written([f"{n},{n}" for n in range(40)]), test_path=test).load("t")
    assert live.notes == ("all 3 values of the test are 5, so that r2 is not defined",)
    spec = find("models", "mlp")(hidden=())
    model = spec.predictor(live.shape, live.kind, live.target)
    found = live.record(model, 2)
    assert set(found.columns) == {"prediction", "target", "error"}


def test_diabetes_comes_with_scikit_learn():
    live = find("tasks", "diabetes")().load("t")
    assert live.shape == (10,)
    assert len(values(live)) == 442
    assert values(live).min() == 25
    assert values(live).max() == 346
    assert live.splits["train"].inputs.std(axis=0) == pytest.approx(1, abs=1e-5)
