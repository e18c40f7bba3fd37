"""CSV and Parquet files with all that real ones have."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bequest.core.errors import RequestError
from bequest.core.find import find


@pytest.fixture
def table(tmp_path):
    """Writes rows of a CSV file and gives its path."""

    def write(header, rows, name="data.csv"):
        path = tmp_path / name
        path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return str(path)

    return write


def csv(path, **fields):
    return find("tasks", "csv")(path=path, **fields)


def pure(count=40):
    return [f"{3 * n},{n * n % 17},{'yes' if n % 2 else 'no'}" for n in range(count)]


def everything(task):
    return np.concatenate([task.splits[s].inputs for s in ("train", "validation", "test")])


def test_numbers_words_and_gaps(table):
    rows = [f"{n},{['red', 'blue', ''][n % 3]},{n % 2 == 0},c{n % 2}" for n in range(60)]
    rows[7] = ",red,true,c1"
    task = csv(table("size,colour,wild,label", rows), standardize=False).load("t")
    assert task.shape == (1 + 2 + 2,)
    assert task.labels == ("c0", "c1")
    assert "1 missing numbers got the training median of their column: `size` 1" in task.notes
    assert "20 missing words count as no word: `colour` 20" in task.notes
    inputs = everything(task)
    assert not np.isnan(inputs).any()
    assert set(inputs[:, 1:].ravel().tolist()) == {0.0, 1.0}
    assert set(inputs[:, 1:3].sum(axis=1).tolist()) == {0.0, 1.0}


def test_words_unknown_in_training_are_no_word(table):
    train = table("colour,n,label", [f"red,{n},{n % 2}" for n in range(20)], "train.csv")
    test = table("colour,n,label", [f"green,{n},{n % 2}" for n in range(20)], "test.csv")
    task = csv(train, test_path=test, standardize=False).load("t")
    assert task.splits["test"].inputs.shape == (20, 2)
    assert task.splits["test"].inputs[:, 1].tolist() == [0.0] * 20


def test_overlap_of_files_is_counted(table):
    train = table("a,b,label", pure(40), "train.csv")
    test = table(
        "b,a,label", [",".join([r.split(",")[i] for i in (1, 0, 2)]) for r in pure(12)], "test.csv"
    )
    task = csv(train, test_path=test).load("t")
    assert task.notes == ("12 samples of test also stood in train; they were left out of train",)
    assert len(task.splits["test"]) == 12
    assert len(task.splits["train"]) + len(task.splits["validation"]) == 28


def test_label_names_stay_as_written(table):
    rows = [f"{n},{['01', '10', '2'][n % 3]}" for n in range(30)]
    assert csv(table("a,label", rows)).load("t").labels == ("01", "2", "10")


def test_samples_without_label_are_left_out(table):
    task = csv(table("a,b,label", [*pure(), "90,1,", "91,1,"])).load("t")
    assert task.notes == ("2 samples without a label were left out",)


def test_groups_stay_together_and_are_resampled_together(table):
    rows = [f"{n},p{n % 10},{n % 3 % 2}" for n in range(100)]
    task = csv(table("a,who,label", rows), group_column="who").load("t")
    groups = [set(split.group) for split in task.splits.values()]
    assert sum(map(len, groups)) == 10
    assert task.shape == (1,)
    test = task.splits["test"]
    assert len(set(test.unit.tolist())) == len(set(test.group))


def test_files_are_read_alike_twice(table):
    path = table("a,b,label", pure())
    first, again = csv(path).load("t"), csv(path).load("t")
    assert first.fingerprint == again.fingerprint
    assert np.array_equal(first.splits["test"].inputs, again.splits["test"].inputs)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([*pure(), "1,2"], r"data.csv:42`: CSV parse error: Expected 3 columns"),
        ([*pure(), "inf,2,no"], "column `a` is infinite in 1 rows, first in row 41 of"),
        ([f"w{n},1,{n % 2}" for n in range(60)], "`a` has 60 different words, such as `w0`"),
        ([f"{n},1,yes" for n in range(60)], "all samples have the label `yes`"),
        ([f"2020-01-{n % 28 + 1:02},1,{n % 2}" for n in range(60)], "`a` holds dates or times"),
        ([f"{n % 24}:30,1,{n % 2}" for n in range(60)], "`a` holds dates or times such as `0:30`"),
        (
            [f"{n},1,{n / 7}" for n in range(1200)],
            "1200 different values in 1200 rows.*`use: regression`",
        ),
    ],
)
def test_unusable_content_is_told(table, rows, said):
    with pytest.raises(RequestError, match=said):
        csv(table("a,b,label", rows)).load("t")


def test_mistakes_are_seen_before_reading(table, tmp_path):
    path = table("a,b,kind", pure(3))
    found = csv(path, label="kinds", features=["a", "c"], test_path=path + "x").check()
    assert [(problem.field, problem.meant) for problem in found] == [
        (("label",), "kind"),
        (("features",), ""),
        (("test_path",), path),
    ]
    empty = tmp_path / "empty.csv"
    empty.touch()
    assert "is empty" in csv(str(empty)).check()[0].what
    assert "more than once" in csv(table("a,a,label", pure(3))).check()[0].what
    assert "is a folder" in csv(str(tmp_path)).check()[0].what
    assert csv(table("a,b,label", pure(3)), features=["a", "label"]).check()


def test_other_delimiters_and_byte_order_marks(table):
    rows = [row.replace(",", ";") for row in pure()]
    task = csv(table("\ufeffa;b;label", rows), delimiter=";").load("t")
    assert task.shape == (2,)
    assert csv(table("\ufeffa;b;label", rows), delimiter=";", features=["a"]).load("t").shape == (
        1,
    )


def test_parquet_with_dictionaries_and_whole_fractions(tmp_path):
    path = tmp_path / "data.parquet"
    count = 40
    columns = {
        "a": pa.array(range(count), pa.int16()),
        "b": pa.array(["x", "y"] * (count // 2)).dictionary_encode(),
        "label": pa.array([float(n % 3) for n in range(count)]),
    }
    pq.write_table(pa.table(columns), path)
    task = find("tasks", "parquet")(path=str(path)).load("t")
    assert task.shape == (3,)
    assert task.labels == ("0", "1", "2")


def test_a_file_that_is_no_parquet_is_told(table):
    problems = find("tasks", "parquet")(path=table("a,label", ["1,2"])).check()
    assert "can't be read" in problems[0].what
