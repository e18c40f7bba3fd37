"""Delivered models prepare raw inputs as training did, in Python and on the command line."""

from __future__ import annotations

import csv
import io
import json

import language_models
import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import bequest
from bequest.build.delivering import Made, deliver
from bequest.build.exporting import export_folder, export_onnx
from bequest.build.models.saved import Saved
from bequest.build.predicting import delivered
from bequest.cli import app
from bequest.core.errors import RequestError
from bequest.core.find import find
from bequest.core.live import Texts
from bequest.store.tensors import save_tensors


def rows_of(count, seed):
    """Two classes by a length in thousands and a colour; some values are missing."""
    draw = np.random.default_rng(seed)
    kind = draw.integers(0, 2, count)
    length = draw.normal(5000 + 900 * kind, 500).round(1)
    told = {
        "length": np.where(draw.random(count) < 0.1, np.nan, length),
        "colour": np.where(kind ^ (draw.random(count) < 0.2), "red", "blue"),
        "depth": draw.normal(0.001, 0.0002, count),
        "label": np.where(kind, "long", "short"),
    }
    return pd.DataFrame(told)


def recipe(**models):
    return {
        "models": models or {"student": {"use": "mlp", "hidden": [8]}},
        "tasks": {"t": {"use": "csv", "path": "train.csv", "test_path": "test.csv"}},
        "method": {"use": "finetune"},
        "fit": {"epochs": 3, "batch_size": 16, "optimizer": {"use": "adamw", "lr": 1e-2}},
    }


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A run on a table, and the rows of its test."""
    place = tmp_path_factory.mktemp("table")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        rows_of(200, 0).to_csv("train.csv", index=False)
        rows_of(60, 1).to_csv("test.csv", index=False)
        run = bequest.run(recipe(), out=place / "run")
    return run, pd.read_csv(place / "test.csv")


def reported(run, task="t"):
    row = next(number for number, row in enumerate(run.matrix.rows) if row.step == "finetune")
    return run.matrix.value("accuracy", row, task).value


def test_raw_rows_are_told_as_was_reported(table):
    run, rows = table
    found = run.model("finetune").predict(rows)
    assert (found.labels == rows["label"]).mean() == pytest.approx(reported(run), abs=1e-12)
    assert found.names == ("long", "short")
    assert found.probabilities.shape == (60, 2)
    assert np.allclose(found.probabilities.sum(axis=1), 1, atol=1e-6)
    assert reported(run) > 0.7  # unprepared rows are told by chance


def test_columns_are_found_by_name_whatever_holds_them(table):
    run, rows = table
    model = run.model("finetune")
    first = model.predict(rows).probabilities
    turned = rows[["depth", "label", "colour", "length"]]
    records = rows.astype(object).where(rows.notna(), None).to_dict("records")
    by_place = [[one["length"], one["depth"], one["colour"]] for one in records]
    columns = {name: [one[name] for one in records] for name in rows}
    for same in (turned, records, columns, by_place):
        assert np.array_equal(model.predict(same).probabilities, first)
    assert not model.predict(rows[["depth", "label", "colour", "length"]].dropna()).notes
    (note,) = model.predict(rows.dropna().assign(extra=1)).notes
    assert note == "columns that the model doesn't read were passed over: `extra`"


def test_what_the_model_was_not_trained_on_is_said(table):
    run, rows = table
    model = run.model("finetune")
    odd = rows.assign(colour="mauve").drop(columns="label")
    notes = model.predict(odd).notes
    assert "`colour` holds words that training never saw: `mauve`" in notes
    with pytest.raises(RequestError, match=r"no column `length`.*did you mean `lenght`"):
        model.predict(rows.rename(columns={"length": "lenght"}))
    with pytest.raises(RequestError, match="`length` must hold numbers"):
        model.predict(rows.assign(length="far"))
    with pytest.raises(RequestError, match="row 0 is no list of 3 values"):
        model.predict([[1.0, 2.0]])
    with pytest.raises(RequestError, match="knows no task `u`"):
        model.predict(rows, task="u")


def invoke(*words, code=0):
    found = CliRunner().invoke(app, [str(word) for word in words])
    assert found.exit_code == code, found
    return found


def test_the_command_line_tells_the_same(table, tmp_path):
    run, rows = table
    rows.to_csv(tmp_path / "new.csv", index=False)
    rows.to_parquet(tmp_path / "new.parquet")
    expected = run.model("finetune").predict(rows)
    told = invoke("predict", run.path, "finetune", "--input", tmp_path / "new.csv").stdout
    lines = list(csv.DictReader(io.StringIO(told)))
    assert [line["label"] for line in lines] == list(expected)
    assert lines[0].keys() == {"row", "label", "probability"}
    asked = ("predict", run.path, "finetune", "--input", tmp_path / "new.parquet", "--out")
    for name in ("out.csv", "out.parquet", "out.jsonl"):
        invoke(*asked, tmp_path / name)
    read = [pd.read_csv(tmp_path / "out.csv"), pd.read_parquet(tmp_path / "out.parquet"),
            pd.read_json(tmp_path / "out.jsonl", lines=True)]  # fmt: skip
    for one in read:
        assert list(one["label"]) == list(expected)
        assert np.allclose(one["probability of short"], expected.probabilities[:, 1])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["finetun", "--input", "x"], "did you mean `finetune/student`"),
        (["finetune", "--input", "no.csv"], "doesn't exist"),
        (["finetune", "--input", "x.png"], "is no table"),
        (["finetune", "--input", "x.csv", "--out", "x.xls"], "ends in none of .csv"),
        (["finetune", "--input", "x.csv", "--out", "x.csv"], "is there already"),
    ],
)
def test_wrong_requests_are_told(table, words, said, workdir):
    (workdir / "x.png").write_bytes(b"")
    (workdir / "x.csv").write_text("a\n1\n")
    found = CliRunner().invoke(app, ["predict", str(table[0].path), *words])
    assert said in str(found.exception)
    assert isinstance(found.exception, RequestError)


def test_an_exported_folder_is_complete(table, tmp_path):
    run, rows = table
    expected = run.model("finetune").predict(rows)
    invoke("export", run.path, "finetune", "--to", tmp_path / "out")
    assert np.array_equal(delivered(tmp_path / "out").predict(rows).labels, expected.labels)
    with pytest.raises(RequestError, match="is there already"):
        app(["export", str(run.path), "finetune", "--to", str(tmp_path / "out")],
            standalone_mode=False)  # fmt: skip


def test_onnx_gives_the_same_answers(table, tmp_path):
    run, rows = table
    invoke("export", run.path, "finetune", "--to", tmp_path / "out", "--format", "onnx")
    told = json.loads((tmp_path / "out" / "onnx.json").read_text())
    done = json.loads((tmp_path / "out" / "preparation.json").read_text())["tasks"]["t"]["done"]
    assert (told["inputs"], told["labels"]) == (["inputs"], ["long", "short"])
    assert done["features"] == ["length", "depth", "colour"]
    numbers = rows[["length", "depth"]].fillna({"length": done["median"][0]})
    flags = [rows["colour"] == word for word in done["words"][0]]
    ready = (np.column_stack([numbers, *flags]) - done["mean"]) / done["std"]
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "model.onnx"))
    logits = session.run(["logits"], {"inputs": ready.astype(np.float32)})[0]
    expected = run.model("finetune").predict(rows)
    assert np.array_equal(np.array(told["labels"])[logits.argmax(axis=1)], expected.labels)


def test_a_folder_of_an_older_run_is_read_and_said_to_lack_its_preparation(table, tmp_path):
    run, rows = table
    live = run.model("finetune")
    old = {"use": "mlp", "spec": {"hidden": [8]}, "shape": [4], "kind": "features",
           "labels": ["long", "short"], "heads": [], "whole": True}  # fmt: skip
    (tmp_path / "model.json").write_text(json.dumps(old))
    save_tensors(tmp_path / "model.safetensors", live.module.state_dict())
    again, inputs = Saved(path=str(tmp_path)).restore(), torch.rand(3, 4)
    assert torch.equal(again.logits(inputs), live.logits(inputs))
    with pytest.raises(RequestError, match="without a word on how its inputs were prepared"):
        delivered(tmp_path).predict(rows)


def test_only_what_trained_of_an_older_run_is_read(workdir):
    language_models.language_model(workdir / "tiny")
    of = {"use": "hf", "path": "tiny", "longest": 32}
    old = {"use": "lora", "spec": {"of": of, "rank": 2}, "shape": [], "kind": "text",
           "labels": [], "heads": [], "whole": False}  # fmt: skip
    (workdir / "model.json").write_text(json.dumps(old))
    save_tensors(workdir / "model.safetensors", {})
    assert delivered(workdir).predict(["the cat"], longest=2) == delivered(workdir).predict(
        ["the cat"], longest=2
    )


def test_pictures_in_rows_are_told_as_was_reported(workdir):
    draw = np.random.default_rng(0)
    for name, count in (("train", 80), ("test", 30)):
        kind = draw.integers(0, 2, count)
        pixels = draw.integers(0, 156, (count, 4)) + 100 * kind[:, None]
        table = pd.DataFrame(pixels, columns=[f"p{place}" for place in range(4)])
        table.assign(label=np.where(kind, "light", "dark")).to_csv(f"{name}.csv", index=False)
    told = recipe()
    told["tasks"]["t"]["shape"] = [1, 2, 2]
    run = bequest.run(told, out="run")
    rows = pd.read_csv("test.csv")
    found = run.model("finetune").predict(rows[[*reversed(rows.columns)]])
    assert (found.labels == rows["label"]).mean() == pytest.approx(reported(run), abs=1e-12)
    with pytest.raises(RequestError, match="values of 0 to 900"):
        run.model("finetune").predict(rows.assign(p0=0, p1=900))


def test_numbers_are_told_in_their_own_unit(workdir):
    for name, count, seed in (("train", 120, 0), ("test", 40, 1)):
        rows = rows_of(count, seed).drop(columns="label")
        rows.assign(price=rows["length"].fillna(5000) * 3 + 7).to_csv(f"{name}.csv", index=False)
    told = recipe()
    told["tasks"]["t"] = {"use": "regression", "path": "train.csv", "test_path": "test.csv",
                          "target": "price"}  # fmt: skip
    run = bequest.run(told, out="run")
    rows = pd.read_csv("test.csv")
    found = run.model("finetune").predict(rows)
    row = next(number for number, row in enumerate(run.matrix.rows) if row.step == "finetune")
    expected = run.matrix.value("rmse", row, "t").value
    assert np.sqrt(((found - rows["price"]) ** 2).mean()) == pytest.approx(expected, rel=1e-6)
    shown = invoke("predict", "run", "finetune", "--input", "test.csv", "--json")
    assert [one["prediction"] for one in json.loads(shown.stdout)] == found.tolist()
    invoke("export", "run", "finetune", "--to", "out", "--format", "onnx")
    assert json.loads((workdir / "out" / "onnx.json").read_text())["output"] == "prediction"


@pytest.mark.parametrize(
    ("variant", "refused"),
    [
        ({"use": "part", "columns": [4, 3, 2, 1], "shares": 1}, True),
        ({"use": "part", "shares": 1}, False),
        ({"use": "long_tail", "ratio": 2}, False),
    ],
)
def test_rows_that_a_task_changed_further_are_not_told_as_they_are(workdir, variant, refused):
    rows_of(120, 0).to_csv("train.csv", index=False)
    rows_of(40, 1).to_csv("test.csv", index=False)
    told = recipe()
    told["fit"]["epochs"] = 1
    told["tasks"]["t"] = {**variant, "of": told["tasks"]["t"]}
    run = bequest.run(told, out="run")
    model, rows = run.model("finetune"), pd.read_csv("test.csv")
    if refused:
        with pytest.raises(RequestError, match="changed its inputs after reading them"):
            model.predict(rows)
        return
    right = (model.predict(rows).labels == rows["label"]).mean()
    assert right == pytest.approx(reported(run), abs=1e-12)


def test_tasks_of_their_own_preparation_must_be_named(workdir):
    rows_of(120, 0).to_csv("train.csv", index=False)
    rows_of(40, 1).to_csv("test.csv", index=False)
    other = rows_of(120, 2)
    other.assign(length=other["length"] / 1000).to_csv("small.csv", index=False)
    told = recipe()
    told["tasks"]["small"] = {"use": "csv", "path": "small.csv"}
    told["method"] = {"use": "sequential", "heads": "per_task"}
    run = bequest.run(told, out="run")
    step = "sequential"
    model, rows = run.model(step), pd.read_csv("test.csv")
    with pytest.raises(RequestError, match="name one with `task`: t, small"):
        model.predict(rows)
    found = model.predict(rows, task="t")
    row = [number for number, row in enumerate(run.matrix.rows) if row.step == step][-1]
    expected = run.matrix.value("accuracy", row, "t").value
    assert (found.labels == rows["label"]).mean() == pytest.approx(expected, abs=1e-12)


def test_pictures_are_cropped_and_resized_as_in_training(workdir):
    draw = np.random.default_rng(0)
    for side, count in (("train", 12), ("test", 6)):
        for place, label in enumerate(("dark", "light")):
            folder = workdir / "pictures" / side / label
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = draw.integers(90 * place, 90 * place + 130, (11, 17, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    told = recipe(student={"use": "cnn", "width": 2})
    told["tasks"] = {"t": {"use": "images", "path": "pictures", "size": 8, "channels": 3}}
    run = bequest.run(told, out="run")
    model, place = run.model("finetune"), workdir / "pictures" / "test"
    paths = sorted(place.rglob("*.png"))
    found = model.predict(paths)
    truth = [path.parent.name for path in paths]
    assert (found.labels == truth).mean() == pytest.approx(reported(run), abs=1e-12)
    opened = [Image.open(path) for path in paths]
    assert np.array_equal(model.predict(opened).probabilities, found.probabilities)
    (place / "notes.txt").write_text("none")
    shown = invoke("predict", "run", "finetune", "--input", place, "--json")
    assert [one["label"] for one in json.loads(shown.stdout)] == list(found)
    assert "1 files that are no pictures were left out: notes.txt" in shown.stderr
    with pytest.raises(RequestError, match=r"notes\.txt"):
        model.predict([place / "notes.txt"])


def test_texts_are_told_and_written_as_onnx(workdir):
    language_models.text_classifier(workdir / "given")
    texts = [{"text": f"{'cat' if row % 2 else 'dog'} number {row}", "label": ["a", "b"][row % 2]}
             for row in range(40)]  # fmt: skip
    (workdir / "texts.jsonl").write_text("".join(json.dumps(one) + "\n" for one in texts))
    told = recipe(student={"use": "hf", "path": "given", "new_head": True})
    told["tasks"] = {"t": {"use": "text", "path": "texts.jsonl"}}
    run = bequest.run(told, out="run")
    model, given = run.model("finetune"), [one["text"] for one in texts]
    found = model.predict(given)
    shown = invoke("predict", "run", "finetune", "--input", "texts.jsonl", "--json")
    assert [one["label"] for one in json.loads(shown.stdout)] == list(found)
    (workdir / "lines.txt").write_text("\n".join([*given, "", ""]))
    shown = invoke("predict", "run", "finetune", "--input", "lines.txt", "--json")
    assert [one["text"] for one in json.loads(shown.stdout)] == given
    assert "1 empty lines" in shown.stderr
    with pytest.raises(RequestError, match="input 0 is a int"):
        model.predict([3])
    invoke("export", "run", "finetune", "--to", "out", "--format", "onnx")
    session = onnxruntime.InferenceSession("out/model.onnx")
    tokens = model.tokenizer(given, padding=True, return_tensors="np")
    wanted = {each.name for each in session.get_inputs()}
    logits = session.run(None, {name: tokens[name] for name in wanted})[0]
    shares = torch.tensor(logits).softmax(dim=1).numpy()
    assert np.allclose(shares, found.probabilities, atol=1e-4)


def test_adapters_are_merged_when_asked(workdir):
    language_models.language_model(workdir / "tiny")
    (workdir / "lines.jsonl").write_text(
        "".join(f'{{"text": "{text[:20]} {row}"}}\n' for row in range(5)
                for text in language_models.SENTENCES)
    )  # fmt: skip
    told = recipe(student={"use": "lora", "of": {"use": "hf", "path": "tiny", "longest": 32}})
    told["tasks"] = {"lines": {"use": "language", "path": "lines.jsonl"}}
    run = bequest.run(told, out="run")
    invoke("export", "run", "finetune", "--to", "whole", "--merged")
    whole, model = delivered(workdir / "whole"), run.model("finetune")
    assert not list((workdir / "whole").glob("adapter*"))
    with torch.no_grad():
        ids = torch.tensor([[0, 5, 9]])
        one, other = (each.module(input_ids=ids).logits for each in (whole, model))
    assert torch.allclose(one, other, atol=1e-6)
    assert whole.predict(["the cat"], longest=3) == model.predict(["the cat"], longest=3)
    with pytest.raises(RequestError, match="has no adapters"):
        export_folder(workdir / "whole", workdir / "again", merge=True)


def test_an_embedder_gives_vectors_as_onnx_too(tmp_path):
    language_models.embedder(tmp_path / "given")
    spec = {"use": "hf", "path": str(tmp_path / "given")}
    model = find("models", "hf")(path=spec["path"]).build((), "text", ())
    deliver(tmp_path / "made", model, Made(spec, (), "text"))
    vectors = delivered(tmp_path / "made").predict(language_models.SENTENCES)
    assert vectors.shape == (4, 16)
    export_onnx(tmp_path / "made", tmp_path / "out")
    other = find("models", "onnx")(path=str(tmp_path / "out"), normalized=False, longest=32)
    found = other.build((), "text", ()).embed(Texts(tuple(language_models.SENTENCES)))
    assert np.allclose(found.numpy(), vectors, atol=1e-4)
