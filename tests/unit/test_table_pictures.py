"""Tables whose rows are pictures."""

import base64
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bequest.core.errors import RequestError
from bequest.core.find import find

N = 40
PIXELS = np.random.default_rng(0).integers(0, 256, (N, 16))
PIXELS[0, 0] = 255


def table(values=PIXELS, names="pixel{}"):
    found = pd.DataFrame(values, columns=[names.format(n) for n in range(values.shape[1])])
    found["label"] = ["x", "y"] * (N // 2)
    return found


def loaded(folder, held, shape=(1, 4, 4), **fields):
    held.to_csv(folder / "t.csv", index=False)
    task = find("tasks", "csv")(path=str(folder / "t.csv"), shape=shape, **fields)
    assert task.gives() == "image"
    return task.load("t")


def first(task):
    """The picture whose first pixel is 255."""
    inputs = np.concatenate([split.inputs[:] for split in task.splits.values()])
    return next(one for one in inputs if (one.astype(int).ravel() == PIXELS[0]).all())


def test_whole_numbers_become_bytes_in_the_order_of_names(tmp_path):
    task = loaded(tmp_path, table())
    assert (task.kind, task.shape) == ("image", (1, 4, 4))
    assert first(task).dtype == np.uint8
    assert (first(task)[0] == PIXELS[0].reshape(4, 4)).all()
    shuffled = table().sample(frac=1, axis=1, random_state=1)
    assert loaded(tmp_path, shuffled).fingerprint == task.fingerprint
    assert task.notes == ()


def test_channels_come_first(tmp_path):
    task = loaded(tmp_path, table(), (4, 2, 2))
    assert (first(task) == PIXELS[0].reshape(4, 2, 2)).all()


def test_shares_of_white_stay_floats(tmp_path):
    task = loaded(tmp_path, table(PIXELS / 255))
    pixels = task.splits["train"].inputs
    assert pixels.dtype == np.float32
    assert 0 <= pixels.min() < 0.1 < 0.9 < pixels.max() <= 1


def test_a_parquet_file_of_pictures_with_an_index(tmp_path):
    table().drop(3).to_parquet(tmp_path / "t.parquet")
    task = find("tasks", "parquet")(path=str(tmp_path / "t.parquet"), shape=(1, 4, 4)).load("t")
    assert task.shape == (1, 4, 4)
    assert "`__index_level_0__`" in task.notes[0]


def test_features_say_the_order_where_names_dont(tmp_path):
    held = table(names="p{}").rename(columns={"p0": "zero"})
    with pytest.raises(RequestError, match="stand in another order than their names"):
        loaded(tmp_path, held)
    order = [name for name in held if name != "label"]
    assert (first(loaded(tmp_path, held, features=order))[0] == PIXELS[0].reshape(4, 4)).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda held: held.drop(columns="pixel3"), "15 columns, but pictures of 1 x 4 x 4 have 16"),
        (lambda held: held.assign(who="a"), "column `who` holds words, such as `a`, not pixels"),
        (lambda held: held.replace({"pixel3": {held.pixel3[5]: None}}), "`pixel3` lacks numbers"),
        (lambda held: held.assign(pixel3=-1), "the pixels have values of -1 to 255"),
        (lambda held: held.assign(pixel3=300), "values of 0 to 300; they must be whole numbers"),
        (lambda held: held.assign(pixel3=2.5), "values of 0 to 255; they must be whole numbers"),
        (lambda held: held.assign(**{f"pixel{n}": n for n in range(16)}), "values of 0 to 15"),
    ],
)
def test_what_is_no_picture_is_refused(tmp_path, change, said):
    with pytest.raises(RequestError, match=said) as refused:
        loaded(tmp_path, change(table()))
    assert refused.value.problems[0].field == ("shape",)


@pytest.mark.parametrize("shape", [(4, 4), (1, 0, 4), (1, 4, 4, 1)])
def test_a_shape_has_three_sides(shape):
    with pytest.raises(ValueError, match="shape"):
        find("tasks", "csv")(path="t.csv", shape=shape)


@pytest.mark.parametrize(
    ("use", "fields"),
    [
        ("cnn", {"width": 2}),
        ("resnet", {"widths": (2,), "depths": (1,)}),
        ("vit", {"hidden_size": 8, "layers": 1}),
        ("mlp", {"hidden": (4,)}),
    ],
)
def test_models_of_images_take_them(tmp_path, use, fields):
    task = loaded(tmp_path, table(np.tile(PIXELS, (1, 4)) % 256), (1, 8, 8))
    model = find("models", use)(**fields).build(task.shape, task.kind, task.labels)
    assert len(task.record(model, 8).columns["correct"]) == len(task.splits["test"])
    assert task.splits["test"].inputs.dtype == np.uint8


def test_they_are_shown_as_pictures(tmp_path):
    task = loaded(tmp_path, table())
    (shown,) = task.exhibit(task.splits["test"].ids[:1])
    pixels = np.asarray(Image.open(BytesIO(base64.b64decode(shown["png"]))))
    assert (pixels == task.splits["test"].inputs[0, 0]).all()


def test_variants_of_images_can_be_made_of_them(tmp_path):
    table().to_csv(tmp_path / "t.csv", index=False)
    of = {"use": "csv", "path": str(tmp_path / "t.csv"), "shape": [1, 4, 4]}
    parts = find("tasks", "rotations")(angles=(0, 90), of=of).load_parts("t")
    turned = parts["t-2"].splits["test"].inputs[:]
    straight = parts["t-1"].splits["test"].inputs[:]
    np.testing.assert_allclose(turned, np.rot90(straight, axes=(2, 3)), atol=1e-5)
