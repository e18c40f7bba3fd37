"""Folders of pictures and Hugging Face data sets."""

import datasets
import numpy as np
import pytest
from PIL import Image

from bequest.build import decoding, pictures
from bequest.core.errors import RequestError
from bequest.core.find import find


def draw(path, value, size=(8, 8), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(value).integers(0, 255, (*size, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


@pytest.fixture
def folder(tmp_path):
    for n in range(12):
        draw(tmp_path / "cat" / f"{n}.png", n)
        draw(tmp_path / "dog" / f"{n}.jpg", 100 + n, (8, 12))
    (tmp_path / "cat" / ".hidden.png").write_text("not a picture")
    (tmp_path / "cat" / "notes.txt").write_text("not a picture")
    (tmp_path / ".cache").mkdir()
    return tmp_path


def images(path, **fields):
    return find("tasks", "images")(path=str(path), **({"size": 8} | fields))


def test_folders_are_labels(folder):
    task = images(folder).load("pets")
    assert (task.kind, task.shape, task.labels) == ("image", (3, 8, 8), ("cat", "dog"))
    assert sum(map(len, task.splits.values())) == 24
    split = task.splits["test"]
    assert split.inputs.dtype == np.uint8
    first = np.asarray(Image.open(folder / "cat" / "0.png")).transpose(2, 0, 1)
    everything = np.concatenate([side.inputs for side in task.splits.values()])
    assert any(np.array_equal(picture, first) for picture in everything)


def test_grey_and_resized(folder):
    assert images(folder, channels=1, size=16).load("pets").shape == (1, 16, 16)


def test_named_sides_and_their_overlap(folder):
    for n in range(12):
        draw(folder / "train" / "cat" / f"{n}.png", n)
        draw(folder / "train" / "dog" / f"{n}.bmp", 50 + n)
        draw(folder / "val" / ("dog" if n else "cat") / f"{n}.webp", 150 + n)
    for n in range(3):
        draw(folder / "test" / "cat" / f"{n}.png", n)
        draw(folder / "test" / "dog" / f"{n}.gif", 200 + n, mode="P")
    task = images(folder).load("pets")
    assert {name: len(split) for name, split in task.splits.items()} == {
        "train": 21,
        "validation": 12,
        "test": 6,
    }
    assert task.notes == (
        "folders beside `train` were left out: `cat`, `dog`",
        "3 samples of test also stood in train; they were left out of train",
    )


def test_pictures_on_demand_are_the_same(folder, monkeypatch):
    whole = images(folder).load("pets")
    monkeypatch.setattr(pictures, "_MEMORY", 100)
    lazy = images(folder).load("pets")
    assert lazy.fingerprint == whole.fingerprint
    for name, split in lazy.splits.items():
        inputs, wanted = split.inputs, whole.splits[name].inputs
        assert isinstance(inputs, pictures.ImageFiles)
        assert inputs.shape == wanted.shape
        assert np.array_equal(inputs[:], wanted)
        assert np.array_equal(inputs[np.array([1, 0])], wanted[[1, 0]])
        assert np.array_equal(inputs[1], wanted[1])
        assert len(inputs[5:5]) == 0


def test_all_unreadable_pictures_are_named(folder):
    for n in range(11):
        (folder / "dog" / f"broken{n:02}.png").write_text("nothing")
    with pytest.raises(RequestError, match="11 pictures can't be read") as caught:
        images(folder).load("pets")
    said = str(caught.value)
    assert "broken00.png" in said
    assert "broken09.png" in said
    assert "and 1 more" in said


def test_huge_pictures_are_refused(folder, monkeypatch):
    monkeypatch.setattr(decoding, "_MOST_PIXELS", 70)
    with pytest.raises(RequestError, match="over 70 pixels"):
        images(folder).load("pets")


def test_folders_are_checked_before_reading(folder):
    assert images(folder).check() == []
    near = images(folder.parent / (folder.name + "s")).check()[0]
    assert near.meant == str(folder)
    assert "holds no picture in a folder of a class" in images(folder / "cat").check()[0].what
    assert "not a folder" in images(folder / "cat" / "0.png").check()[0].what


def dataset(path, **fields):
    return find("tasks", "dataset")(path=str(path), **fields)


def test_a_saved_data_set_of_images(tmp_path):
    features = datasets.Features(
        {"picture": datasets.Image(), "label": datasets.ClassLabel(names=["dog", "cat"])}
    )
    noise = np.random.default_rng(0).integers(0, 255, (40, 8, 8, 3), np.uint8)
    rows = {"picture": [Image.fromarray(each) for each in noise], "label": [0, 1] * 19 + [0, -1]}
    whole = datasets.Dataset.from_dict(rows, features=features)
    with_test = datasets.DatasetDict(
        {"train": whole.select(range(30)), "test": whole.select(range(25, 40))}
    )
    with_test.save_to_disk(tmp_path / "pets")
    task = dataset(tmp_path / "pets", size=8).load("pets")
    assert (task.kind, task.shape, task.labels) == ("image", (3, 8, 8), ("cat", "dog"))
    assert len(task.splits["test"]) == 14
    assert task.splits["test"].targets.tolist()[:2] == [0, 1]
    assert task.notes == (
        "1 samples without a label were left out",
        "5 samples of test also stood in train; they were left out of train",
    )


def numeric(count=40):
    return {"a": list(range(count)), "b": [n / 3 for n in range(count)], "label": ["x", "y"] * 20}


def test_a_saved_data_set_of_numbers(tmp_path):
    datasets.Dataset.from_dict(numeric()).save_to_disk(tmp_path / "numbers")
    task = dataset(tmp_path / "numbers").load("t")
    assert (task.kind, task.shape, task.labels) == ("features", (2,), ("x", "y"))


def test_a_column_of_many_strings_is_read_as_texts(tmp_path):
    rows = numeric(60) | {"text": [f"say {n}" for n in range(60)], "label": ["x", "y"] * 30}
    datasets.Dataset.from_dict(rows).save_to_disk(tmp_path / "texts")
    task = dataset(tmp_path / "texts").load("t")
    assert (task.kind, task.shape, task.labels) == ("text", (), ("x", "y"))
    assert task.splits["train"].inputs.texts[0].startswith("say ")
    assert task.notes == ("only the texts in `text` were used, not a, b",)
    assert dataset(tmp_path / "texts", features=["a", "b"]).load("t").shape == (2,)


def test_of_several_columns_of_texts_one_must_be_named(tmp_path):
    said = [f"say {n}" for n in range(60)]
    rows = {"title": said, "body": [*said[:-1], None], "label": ["x", "y"] * 30}
    datasets.Dataset.from_dict(rows).save_to_disk(tmp_path / "texts")
    with pytest.raises(RequestError, match="several columns of texts: title, body; name one"):
        dataset(tmp_path / "texts").load("t")
    task = dataset(tmp_path / "texts", text="body", group_column="title").load("t")
    assert sum(len(split) for split in task.splits.values()) == 59
    assert "1 samples without a text or a label were left out" in task.notes
    with pytest.raises(RequestError, match="no column `boddy`; did you mean `body`"):
        dataset(tmp_path / "texts", text="boddy").load("t")


def test_mistakes_in_columns_are_told(tmp_path):
    datasets.Dataset.from_dict(numeric()).save_to_disk(tmp_path / "numbers")
    with pytest.raises(RequestError, match=r"no column `lable`.*did you mean `label`"):
        dataset(tmp_path / "numbers", label="lable").load("t")
    with pytest.raises(RequestError, match="no column `pic`"):
        dataset(tmp_path / "numbers", image="pic").load("t")


def test_a_folder_of_nothing_is_told(tmp_path):
    (tmp_path / "void").mkdir()
    with pytest.raises(RequestError, match="can't be loaded"):
        dataset(tmp_path / "void").load("t")
    assert dataset(tmp_path / "gone" / "far" / "away").check()
