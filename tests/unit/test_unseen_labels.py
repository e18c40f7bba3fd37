"""Labels that are asked for and no training sample has: refused by name, or said to be withheld."""

import json

import datasets
import numpy as np
import pytest
from PIL import Image

import bequest
from bequest.core.errors import RequestError
from bequest.core.find import find


def loaded(name, **settings):
    return find("tasks", name)(**settings).load("t")


def csv(path, rows):
    path.write_text("a,b,label\n" + "".join(f"{n},{n * n % 17},{label}\n" for n, label in rows))
    return str(path)


@pytest.fixture
def train(tmp_path):
    return csv(tmp_path / "train.csv", [(n, "cat" if n % 2 else "dog") for n in range(60)])


def refused(**settings):
    with pytest.raises(RequestError) as error:
        loaded("csv", **settings)
    (problem,) = error.value.problems
    return problem


def test_labels_of_a_test_file_that_training_never_has_are_named_and_counted(train, tmp_path):
    rows = [(100 + n, ["cat", "Dog", "owl"][n % 3]) for n in range(30)]
    problem = refused(path=train, test_path=csv(tmp_path / "test.csv", rows))
    assert problem.field == ("test_path",)
    assert problem.what.startswith("20 of 30 samples of test have labels that no training sample")
    assert problem.what.endswith("`Dog` (10), `owl` (10)")
    assert problem.meant == "dog"


def test_another_number_is_not_taken_for_a_misspelt_one(tmp_path):
    numbered = csv(tmp_path / "train.csv", [(n, n % 2) for n in range(60)])
    test = csv(tmp_path / "test.csv", [(100 + n, (-1, 0, 1)[n % 3]) for n in range(30)])
    problem = refused(path=numbered, test_path=test)
    assert "`-1` (10)" in problem.what
    assert problem.meant == ""


@pytest.mark.parametrize("hidden", ["-1", "?", "unknown"])
def test_a_single_unknown_label_looks_withheld(train, tmp_path, hidden):
    rows = [(100 + n, hidden) for n in range(30)]
    problem = refused(path=train, test_path=csv(tmp_path / "test.csv", rows))
    assert f"`{hidden}`" in problem.what
    assert "looks withheld: leave the test data out" in problem.fix


def test_one_known_label_for_a_whole_test_file_is_told(train, tmp_path):
    told = "every sample of test has the label `cat`: if it stands for withheld labels"
    for rows, notes in ((30, 1), (9, 0)):
        test = csv(tmp_path / "test.csv", [(100 + n, "cat") for n in range(rows)])
        task = loaded("csv", path=train, test_path=test)
        assert len([note for note in task.notes if note.startswith(told)]) == notes


def test_a_validation_file_is_looked_at_too(train, tmp_path):
    rows = [(100 + n, "owl" if n else "cat") for n in range(9)]
    problem = refused(path=train, validation_path=csv(tmp_path / "v.csv", rows))
    assert problem.field == ("validation_path",)
    assert "8 of 9 samples of validation" in problem.what


@pytest.mark.parametrize(("known", "written"), [("cat", "CAT"), ("New York", "new york")])
def test_the_way_of_writing_that_training_has_is_named(known, written, tmp_path):
    path = csv(tmp_path / "train.csv", [(n, known if n % 2 else "other") for n in range(60)])
    rows = [(100 + n, written if n % 2 else "other") for n in range(9)]
    problem = refused(path=path, test_path=csv(tmp_path / "test.csv", rows))
    assert problem.meant == known


def test_a_test_file_without_any_label_is_not_replaced(train, tmp_path):
    problem = refused(path=train, test_path=csv(tmp_path / "t.csv", [(100, ""), (101, "")]))
    assert problem.field == ("test_path",)
    assert "has a label" in problem.what


def test_it_is_found_by_a_dry_run(train, tmp_path):
    test = csv(tmp_path / "test.csv", [(100 + n, -1) for n in range(9)])
    recipe = {
        "models": {"student": {"use": "mlp", "hidden": [4]}},
        "tasks": {"t": {"use": "csv", "path": train, "test_path": test}},
        "method": {"use": "finetune"},
    }
    with pytest.raises(RequestError, match="looks withheld"):
        bequest.run(recipe, out=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_rare_label_on_the_wrong_side_names_a_seed_that_helps(tmp_path):
    path = csv(tmp_path / "t.csv", [(n, "rare" if n == 7 else n % 2) for n in range(80)])
    problems = []
    for seed in range(20):
        try:
            task = loaded("csv", path=path, split_seed=seed)
        except RequestError as error:
            problems += error.problems
            continue
        assert task.labels.index("rare") in task.splits["train"].targets
    assert problems
    assert all("have labels that no training sample has: `rare` (1)" in one.what
               for one in problems)  # fmt: skip
    seed = int(problems[0].fix.partition("`split_seed: ")[2].partition("`")[0])
    assert loaded("csv", path=path, split_seed=seed)


def test_as_many_labels_as_rows_can_not_be_learned(tmp_path):
    path = csv(tmp_path / "t.csv", [(n, f"id{n}") for n in range(300)])
    with pytest.raises(RequestError, match="300 different values in 300 rows"):
        loaded("csv", path=path)


def test_many_rare_labels_are_to_be_left_out(tmp_path):
    path = csv(tmp_path / "t.csv", [(n, f"id{n}" if n < 18 else n % 2) for n in range(300)])
    with pytest.raises(RequestError, match="give more samples of these labels, or leave them out"):
        loaded("csv", path=path)


def test_too_few_training_samples_for_the_labels(tmp_path):
    path = csv(tmp_path / "t.csv", [(n, n % 8) for n in range(200)])
    with pytest.raises(RequestError, match="`train_samples` must be 8 or more"):
        loaded("csv", path=path, train_samples=5)
    few = loaded("csv", path=path, train_samples=8)
    assert sorted(few.splits["train"].targets) == list(range(8))


def test_folders_of_pictures_and_texts_are_looked_at(tmp_path):
    rng = np.random.default_rng(0)
    for side, label, count in (("train", "a", 20), ("train", "b", 20), ("test", "a", 3),
                               ("test", "B", 2)):  # fmt: skip
        folder = tmp_path / "p" / side / label
        folder.mkdir(parents=True)
        for number in range(count):
            Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).save(
                folder / f"{number}.png"
            )
    with pytest.raises(RequestError, match=r"2 of 5 samples of test .* `B` \(2\); write labels as"):
        loaded("images", path=str(tmp_path / "p"), size=8)
    for name, labels in (("train", ("x", "y")), ("test", ("x", "Y"))):
        rows = [{"text": f"{name} {n}", "label": labels[n % 2]} for n in range(40)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(RequestError, match=r"20 of 40 samples of test .* `Y` \(20\)"):
        loaded("text", path=str(tmp_path / "train.jsonl"), test_path=str(tmp_path / "test.jsonl"))


WITHHELD = (
    "the labels of the test split are withheld (all -1, or no column `label`): it was left out, "
    "and such a side is drawn from training"
)


def saved(place, test_labels, kind=None, train_labels=(0, 1)):
    def side(count, labels):
        rng = np.random.default_rng(count)
        rows = {"a": rng.normal(size=count), "b": rng.normal(size=count)}
        if labels:
            rows["label"] = [labels[n % len(labels)] for n in range(count)]
        made = datasets.Dataset.from_dict(rows)
        return made.cast_column("label", kind) if kind and labels else made

    sides = {"test": side(30, test_labels), "train": side(100, train_labels)}
    datasets.DatasetDict(sides).save_to_disk(str(place))
    return str(place)


@pytest.mark.parametrize("kind", [None, datasets.ClassLabel(names=["no", "yes"])])
def test_withheld_labels_of_a_data_set_are_no_label(kind, tmp_path):
    task = loaded("dataset", path=saved(tmp_path / "d", (-1,), kind))
    assert task.labels == (("no", "yes") if kind else ("0", "1"))
    assert task.notes == (WITHHELD,)
    assert sum(len(split) for split in task.splits.values()) == 100


def test_a_split_without_the_column_of_labels_is_left_out(tmp_path):
    task = loaded("dataset", path=saved(tmp_path / "d", ()))
    assert task.notes == (WITHHELD,)


def test_minus_one_is_a_label_where_training_has_it(tmp_path):
    path = saved(tmp_path / "d", (-1,), train_labels=(-1, 1))
    task = loaded("dataset", path=path)
    assert (task.labels, len(task.splits["test"])) == (("-1", "1"), 30)


def test_some_that_are_minus_one_are_refused(tmp_path):
    with pytest.raises(RequestError, match=r"10 of 30 samples of test .* `-1` \(10\)"):
        loaded("dataset", path=saved(tmp_path / "d", (0, 1, -1)))
