"""What the columns of a table are taken for: indexes, numbers in any spelling, words, labels."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bequest.core.errors import RequestError
from bequest.core.find import find

N = 60


def frame():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {"a": rng.normal(size=N), "b": rng.normal(size=N), "label": ["x", "y", "z"] * (N // 3)}
    )


def csv(path, **fields):
    return find("tasks", "csv")(path=str(path), **fields).load("t")


def parquet(path, **fields):
    return find("tasks", "parquet")(path=str(path), **fields).load("t")


@pytest.fixture
def column(tmp_path):
    """Writes a table with a column `a` of these values and gives the task."""

    def write(values, mark=";", header="a;b;label", **fields):
        rows = [f"{value}{mark}{n * 7 % 11}{mark}{'xy'[n % 2]}" for n, value in enumerate(values)]
        (tmp_path / "t.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return csv(tmp_path / "t.csv", standardize=False, validation=0, **fields)

    return write


def values(task):
    return sorted(
        {round(float(v), 5) for split in task.splits.values() for v in split.inputs[:, 0]}
    )


# Row indexes


INDEXES = {
    "counted": lambda d: d,
    "gap": lambda d: d.drop(5),
    "shuffled": lambda d: d.sample(frac=0.7, random_state=1),
    "two levels": lambda d: d.set_index([np.arange(N) // 4, np.arange(N) % 4]),
}


@pytest.mark.parametrize("kind", INDEXES)
def test_an_index_that_pandas_wrote_is_left_out_and_named(tmp_path, kind):
    table = INDEXES[kind](frame())
    table.to_csv(tmp_path / "t.csv")
    task = csv(tmp_path / "t.csv")
    assert task.shape == (2,)
    assert task.notes[0].startswith("`Unnamed: 0` is a column without a name that numbers the rows")
    table.to_parquet(tmp_path / "t.parquet")
    task = parquet(tmp_path / "t.parquet")
    assert task.shape == (2,)
    stored = [note for note in task.notes if "is the row index that pandas stored" in note]
    assert len(stored) == {"counted": 0, "two levels": 2}.get(kind, 1)


def test_an_index_with_a_name_is_one_too_unless_the_settings_name_it(tmp_path):
    table = frame().set_index(pd.Index([f"p{n // 2}" for n in range(N)], name="who"))
    table.to_parquet(tmp_path / "t.parquet")
    assert "`who` is the row index" in parquet(tmp_path / "t.parquet").notes[0]
    grouped = parquet(tmp_path / "t.parquet", group_column="who")
    assert sum(len(set(split.group)) for split in grouped.splits.values()) == 30
    table.index = pd.Index(np.arange(N) * 2.5, name="when")
    table.to_parquet(tmp_path / "t.parquet")
    assert parquet(tmp_path / "t.parquet").shape == (2,)
    assert parquet(tmp_path / "t.parquet", features=["when", "a"]).shape == (2,)


def test_an_index_that_was_written_and_read_twice_is_one(tmp_path):
    for _ in range(2):
        frame().drop(4).to_csv(tmp_path / "t.csv")
        again = pd.read_csv(tmp_path / "t.csv")
        again.to_csv(tmp_path / "t.csv")
        pd.read_csv(tmp_path / "t.csv").to_csv(tmp_path / "t.csv", index=False)
    task = csv(tmp_path / "t.csv")
    assert task.shape == (2,)
    assert [note[: len("`Unnamed: 0")] for note in task.notes] == ["`Unnamed: 0"] * 2


def test_an_index_written_beside_a_nameless_one_of_before_is_left_out_too(tmp_path):
    frame().to_csv(tmp_path / "t.csv")
    pd.read_csv(tmp_path / "t.csv").drop(4).to_csv(tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().startswith(",Unnamed: 0,a,b,label")
    task = csv(tmp_path / "t.csv")
    assert task.shape == (2,)
    assert [note.split(" is ")[0] for note in task.notes] == ["`Unnamed: 0.1`", "`Unnamed: 0`"]


def of_data_set(folder, **splits):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    held = {name: datasets.Dataset.from_pandas(table) for name, table in splits.items()}
    datasets.DatasetDict(held).save_to_disk(folder / "d")
    return find("tasks", "dataset")(path=str(folder / "d")).load("t")


def test_the_index_of_a_data_set_is_left_out(tmp_path):
    task = of_data_set(tmp_path, train=frame().drop(3))
    assert task.shape == (2,)
    assert "`__index_level_0__` is the row index" in task.notes[0]


def test_an_index_of_codes_is_not_taken_for_texts(tmp_path):
    named = frame().set_index(pd.Index([f"p{n}" for n in range(N)], name="who"))
    with pytest.raises(RequestError, match="column `who` has 60 different words, such as `p0`"):
        of_data_set(tmp_path, train=named)


def test_a_split_without_labels_is_not_used_and_said(tmp_path):
    task = of_data_set(tmp_path, train=frame(), test=frame().drop(columns="label"))
    assert "no column `label`): it was left out, and such a side is drawn" in task.notes[0]
    assert len(task.splits["test"]) < N


def test_a_split_with_other_columns_is_refused(tmp_path):
    with pytest.raises(RequestError, match="split `test` has no column `b`, which split `train` h"):
        of_data_set(tmp_path, train=frame(), test=frame().drop(columns="b"))


def test_a_column_without_a_name_that_is_no_index_is_refused(tmp_path):
    table = frame().rename(columns={"a": ""})
    table.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(RequestError, match="`Unnamed: 0` is a column without a name, and not one"):
        csv(tmp_path / "t.csv")
    assert csv(tmp_path / "t.csv", features=["Unnamed: 0", "b"]).shape == (2,)


def test_delimiters_at_the_end_of_each_line_make_no_column(tmp_path):
    rows = [f"{n * n},{n % 7},{'xy'[n % 2]}," for n in range(N)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,label,", *rows]))
    task = csv(tmp_path / "t.csv")
    assert task.shape == (2,)
    assert task.notes == ("columns without any value, left out: `Unnamed: 3`",)


@pytest.mark.parametrize("name", ["id", "index", "customer_id", "PassengerId", "row"])
def test_ids_that_tell_all_rows_apart_are_left_out_and_named(tmp_path, name):
    table = frame()
    table.insert(0, name, np.random.default_rng(1).permutation(9000)[:N])
    table.to_csv(tmp_path / "t.csv", index=False)
    task = csv(tmp_path / "t.csv")
    assert task.shape == (2,)
    assert task.notes[0].startswith(f"`{name}` is a column of ids")
    table[name] = np.arange(N) % 7
    table.to_csv(tmp_path / "t.csv", index=False)
    assert csv(tmp_path / "t.csv").shape == (3,)


def test_a_named_column_that_counts_the_rows_is_used_with_a_note(column):
    task = column(range(10, 10 + N))
    assert task.shape == (2,)
    assert any(note.startswith("`a` counts the rows") for note in task.notes)
    assert not any("counts the rows" in note for note in column(range(0, 2 * N, 2)).notes)


# Missing values


def test_classes_called_like_missing_values_are_classes(tmp_path):
    rows = [f"{n * n},{['NA', 'None', 'null', 'nan', 'N/A', '?'][n % 6]}" for n in range(N)]
    (tmp_path / "t.csv").write_text("\n".join(["a,label", *rows, "7,", "8,  "]))
    task = csv(tmp_path / "t.csv")
    assert set(task.labels) == {"NA", "None", "null", "nan", "N/A", "?"}
    assert task.notes == ("2 samples without a label were left out",)


def test_words_are_missing_only_where_nothing_is_written(column):
    task = column([["NA", "EU", ""][n % 3] for n in range(N)])
    assert task.shape == (1 + 2,)
    assert "20 missing words count as no word: `a` 20" in task.notes


@pytest.mark.parametrize("mark", ["?", "NA", "nan", "N/A", "null", "None", "", "#N/A", "<NA>"])
def test_numbers_may_be_missing_in_many_ways(column, mark):
    task = column([mark if n % 10 == 3 else n * n for n in range(N)])
    assert task.shape == (2,)
    written = f" (written `{mark}`)" if mark else ""
    told = f"6 missing numbers got the training median of their column: `a` 6{written}"
    assert told in task.notes


def test_missing_labels_and_groups_of_a_parquet_file_may_be_nan(tmp_path):
    labels = [float("nan") if n == 5 else float(n % 3) for n in range(N)]
    table = {"a": np.arange(N) ** 2.0, "label": pa.array(labels, from_pandas=False)}
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    task = parquet(tmp_path / "t.parquet")
    assert task.labels == ("0", "1", "2")
    assert task.notes == ("1 samples without a label were left out",)


def test_columns_without_any_value_are_left_out_and_named(column):
    assert "columns without any value, left out: `a`" in column([""] * N).notes
    assert column([""] * N).shape == (1,)


# Numbers as people write them


def test_decimal_commas_are_read_and_said(column):
    task = column([f"{n},5" for n in range(N)])
    assert values(task) == [n + 0.5 for n in range(N)]
    assert any("decimal comma" in note and note.endswith("`a`") for note in task.notes)


def test_plus_signs_blanks_and_powers_are_numbers(column):
    task = column([["+1", " 2 ", "3e2", "-.5"][n % 4] for n in range(N)])
    assert values(task) == [-0.5, 1, 2, 300]


@pytest.mark.parametrize("decimal", [None, ".", ","])
def test_what_may_be_thousands_is_refused_until_the_mark_is_named(column, decimal):
    for mark in ",.":
        written = [f"{n + 1}{mark}234" for n in range(N)]
        if decimal == mark:
            assert values(column(written, decimal=decimal))[0] == 1.234
        else:
            with pytest.raises(RequestError, match=f"`a` has (numbers such as )?`1{mark}234`"):
                column(written, decimal=decimal)


def test_one_number_that_is_clear_makes_the_others_clear(column):
    assert values(column([*(f"{n + 1},234" for n in range(N)), "0,5"]))[:2] == [0.5, 1.234]
    assert values(column([*(f"{n + 1}.234" for n in range(N)), "0.5"]))[:2] == [0.5, 1.234]


def test_points_between_commas_are_decimal_points(column):
    task = column([f"{n + 1}.234" for n in range(N)], mark=",", header="a,b,label")
    assert values(task)[0] == 1.234


@pytest.mark.parametrize(
    "odd", ["12%", "$5", "1.234,5", "1 234", "1.234.567", "<5", "n.a.", "-", "7€", "abc"]
)
def test_a_column_of_numbers_with_something_else_is_refused_by_value_and_row(column, odd):
    with pytest.raises(RequestError, match="column `a` holds numbers, but") as refused:
        column([odd if n == 9 else n for n in range(N)])
    assert f"`{odd}` in row 10 of" in str(refused.value)


def test_rows_are_those_of_the_file_also_behind_ones_without_a_label(tmp_path):
    rows = [f"{'x' if n == 30 else n},{['', 'p', 'q'][n % 3]}" for n in range(N)]
    (tmp_path / "t.csv").write_text("\n".join(["a,label", *rows[:30], "x,p", *rows[30:]]))
    with pytest.raises(RequestError, match="`x` in row 31 of"):
        csv(tmp_path / "t.csv")


OTHER_SIGNS = ["−{}", "–{}.5", "{}-", "{}.0D+00", "{}٫5", "{}．5"]


@pytest.mark.parametrize("all_of", ["{}%", "${}", "{} 000", "1.{:03}.000", *OTHER_SIGNS])
def test_a_column_of_nothing_but_such_numbers_is_not_taken_for_words(column, all_of):
    with pytest.raises(RequestError, match="column `a` holds numbers, but"):
        column([all_of.format(n % 20 + 1) for n in range(N)])


def test_numbers_in_digits_of_other_scripts_are_not_taken_for_words(column):
    for zero in "٠०０":
        digits = {ord("0") + n: ord(zero) + n for n in range(10)}
        with pytest.raises(RequestError, match="column `a` holds numbers, but"):
            column([str(n % 20).translate(digits) for n in range(N)])


def test_words_with_signs_and_digits_stay_words(column):
    task = column([("m²", "①", "A−", "3D1", "5 kg")[n % 5] for n in range(N)])
    assert task.shape == (6,)


def test_commas_and_points_in_one_column_are_refused(column):
    with pytest.raises(RequestError, match=r"a comma \(`1,5`\) and with a point \(`2.5`\)"):
        column([["1,5", "2.5"][n % 2] for n in range(N)])


def test_words_with_some_numbers_among_them_stay_words_with_a_note(column):
    task = column([["1", "2", "A", "B", "C"][n % 5] for n in range(N)])
    assert task.shape == (1 + 5,)
    assert "columns with words and numbers: all are read as words: `a`" in task.notes


def test_types_that_a_parquet_file_declares_are_kept(tmp_path):
    table = frame()
    table["code"] = pd.Categorical(["1", "2"] * (N // 2))
    table["told"] = ["1", "2.5", "?"] * (N // 3)
    table["flag"] = [True, False] * (N // 2)
    table.to_parquet(tmp_path / "t.parquet")
    task = parquet(tmp_path / "t.parquet")
    assert task.shape == (2 + 1 + 2 + 2,)
    assert "columns stored as text, but read as numbers: `told`" in task.notes


def test_truth_values_are_two_words_however_they_are_written(column):
    assert column([["True", "false", "TRUE", "False"][n % 4] for n in range(N)]).shape == (3,)


# Labels


@pytest.mark.parametrize(
    ("train", "test", "labels"),
    [
        (["1", "2"], ["1.0", "2.0"], ("1", "2")),
        (["1.0", "2"], ["1", "2.0"], ("1", "2")),
        (["01", "02"], ["01", "02"], ("01", "02")),
        (["0.5", "1.5"], ["0.5", "1.5"], ("0.5", "1.5")),
        (["1", "x"], ["1", "x"], ("1", "x")),
    ],
)
def test_whole_numbers_are_one_label_in_any_spelling(tmp_path, train, test, labels):
    for name, names in (("train", train), ("test", test)):
        rows = [f"{n * n + (name == 'test') / 2},{names[n % 2]}" for n in range(N)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["a,label", *rows]))
    task = csv(tmp_path / "train.csv", test_path=str(tmp_path / "test.csv"))
    assert task.labels == labels
    assert [task.labels[i] for i in task.splits["test"].targets[:2]] == list(labels)


def labelled(path, names):
    rows = [f"{n * n},{names[n % len(names)]}" for n in range(N)]
    path.write_text("\n".join(["a,label", *rows]), encoding="utf-8")
    return csv(path)


def test_labels_that_differ_in_case_are_different_and_told(tmp_path):
    task = labelled(tmp_path / "t.csv", ["yes", "no", "Yes", "dark  red", "Dark red"])
    told = "labels that differ only in case or blanks are different: "
    assert len(task.labels) == 5
    assert task.notes == (f"{told}`Dark red` and `dark  red`, `Yes` and `yes`",)


def test_labels_that_look_the_same_are_refused(tmp_path):
    with pytest.raises(RequestError, match="look the same") as refused:
        labelled(tmp_path / "t.csv", ["caf\u00e9", "cafe\u0301", "bar"])
    assert r"'caf\xe9'" in str(refused.value)
    assert r"'cafe\u0301'" in str(refused.value)


def test_labels_of_more_digits_than_a_float_has_are_told_apart(tmp_path):
    long = ["9" * 400, "8" * 400, "9007199254740993", "9007199254740992"]
    (tmp_path / "t.csv").write_text(
        "\n".join(["a,label", *(f"{n * n},{long[n % 4]}" for n in range(N))])
    )
    assert len(csv(tmp_path / "t.csv").labels) == 4


def test_long_ids_are_told_apart_to_the_last_digit(tmp_path):
    table = frame()
    table.insert(0, "id", [1234567890123456000 + n for n in range(N)])
    table.to_csv(tmp_path / "t.csv", index=False)
    assert csv(tmp_path / "t.csv").notes[0].startswith("`id` is a column of ids")


@pytest.mark.parametrize(("one", "other"), [("01", "1"), ("0.5", ".5"), ("1e1", "10.0")])
def test_a_number_in_two_spellings_that_may_differ_is_refused(column, tmp_path, one, other):
    rows = [f"{n * n},{[one, other, 'x'][n % 3]}" for n in range(N)]
    (tmp_path / "t.csv").write_text("\n".join(["a,label", *rows]))
    with pytest.raises(
        RequestError, match=r"column `label` has .*, which are one number"
    ) as refused:
        csv(tmp_path / "t.csv")
    assert f"`{one}`" in str(refused.value)
    assert f"`{other}`" in str(refused.value)


def test_groups_are_matched_like_labels(tmp_path):
    rows = [f"{n * n},{n % 10}{'.0' if n % 20 < 10 else ''},{'xy'[n % 2]}" for n in range(N)]
    (tmp_path / "t.csv").write_text("\n".join(["a,who,label", *rows]))
    task = csv(tmp_path / "t.csv", group_column="who")
    assert sum(len(set(split.group)) for split in task.splits.values()) == 10


@pytest.mark.parametrize(
    "label", [lambda n: n, lambda n: n / 7, lambda n: f"u{n}", lambda n: n * 37 % 251]
)
def test_ids_and_numbers_are_no_classes(tmp_path, label):
    (tmp_path / "t.csv").write_text(
        "\n".join(["a,kind", *(f"{n * n},{label(n)}" for n in range(300))])
    )
    with pytest.raises(RequestError, match=r"column `kind` has .* in 300 rows.*can't be classes"):
        csv(tmp_path / "t.csv", label="kind")
    rows = [f'{{"text": "t {n}", "label": "{label(n)}"}}' for n in range(300)]
    (tmp_path / "t.jsonl").write_text("\n".join(rows))
    with pytest.raises(RequestError, match="`use: regression`"):
        find("tasks", "text")(path=str(tmp_path / "t.jsonl")).load("t")


@pytest.mark.parametrize("label", [lambda n: n % 100, lambda n: n % 12 / 2, lambda n: n * n % 20])
def test_many_honest_classes_are_no_ids(tmp_path, label):
    (tmp_path / "t.csv").write_text(
        "\n".join(["a,label", *(f"{n * n},{label(n)}" for n in range(300))])
    )
    assert len(csv(tmp_path / "t.csv", validation=0).labels) > 5


# Sides in files of their own


@pytest.mark.parametrize(
    ("header", "row", "said"),
    [
        ("a,label", "{n},x", "has no column `b`, which `.*train.csv` has"),
        ("a,b,c,label", "{n},1,2,x", "has a column `c`, which `.*train.csv` has not"),
        ("a,b,label", "w{n},1,x", "column `a` holds numbers in `.*`, but words in `.*`, such as"),
        ("a,b,label", "", "has a header, but no rows"),
    ],
)
def test_other_columns_on_a_side_are_refused_by_name(tmp_path, header, row, said):
    (tmp_path / "train.csv").write_text(
        "\n".join(["a,b,label", *(f"{n * n},{n % 3},{'xy'[n % 2]}" for n in range(N))])
    )
    rows = [row.format(n=n * n + 7) for n in range(N if row else 0)]
    (tmp_path / "test.csv").write_text("\n".join([header, *rows]) + "\n")
    with pytest.raises(RequestError, match=said) as refused:
        csv(tmp_path / "train.csv", test_path=str(tmp_path / "test.csv"))
    assert refused.value.problems[0].field == ("test_path",)


def test_an_index_in_one_file_only_is_no_other_column(tmp_path):
    frame().to_csv(tmp_path / "train.csv", index=False)
    (frame() * 1).assign(a=lambda d: d.a + 1).to_csv(tmp_path / "test.csv")
    task = csv(tmp_path / "train.csv", test_path=str(tmp_path / "test.csv"))
    assert task.shape == (2,)
    assert len(task.splits["test"]) == N


def test_one_file_for_two_sides_is_refused(tmp_path):
    frame().to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "link.csv").symlink_to(tmp_path / "t.csv")
    for other in ("link.csv", "x/../t.csv"):
        (tmp_path / "x").mkdir(exist_ok=True)
        task = find("tasks", "csv")(path=str(tmp_path / "t.csv"), test_path=str(tmp_path / other))
        (problem,) = task.check()
        assert problem.field == ("test_path",)
        assert "is the file of `path`, too" in problem.what
