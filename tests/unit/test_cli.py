"""What the command line says: seeds, devices, defaults, data."""

import json
from pathlib import Path

import pytest
from language_models import embedder
from typer.testing import CliRunner

import bequest
from bequest.cli import app
from bequest.cli.run import _chosen
from bequest.core.errors import RequestError
from bequest.recipe.check import load
from bequest.runner.preparing import choose_device


@pytest.mark.parametrize(
    ("seeds", "named", "chosen"),
    [
        (None, [], None),
        ("3", [], [0, 1, 2]),
        ("0,7", [], [0, 7]),
        ("[7]", [], [7]),
        (None, [7], [7]),
        (None, [3, 1], [3, 1]),
    ],
)
def test_seeds_are_counted_or_named(seeds, named, chosen):
    assert _chosen(seeds, named) == chosen


@pytest.mark.parametrize(
    ("seeds", "named", "said"),
    [
        ("0", [], "for the seed 0 alone write `--seed 0`"),
        ("-2", [], "must be at least 1"),
        ("many", [], "is no list of seeds"),
        ("2", [7], "can't be given together"),
    ],
)
def test_seeds_that_mean_nothing_are_refused(seeds, named, said):
    with pytest.raises(RequestError, match=said):
        _chosen(seeds, named)


@pytest.mark.parametrize("name", ["gpu", "tpu", "cuda:99", "mps:7"])
def test_a_device_that_is_not_here_is_refused_with_those_that_are(name):
    with pytest.raises(RequestError, match=f"has no device `{name}`; it has cpu"):
        choose_device(name)


def test_a_part_that_is_only_named_is_told_how_to_write_it():
    recipe = {"models": {"student": "mlp"}, "tasks": {"d": {"use": "digits"}}, "method": "finetune"}
    with pytest.raises(RequestError) as caught:
        load(recipe)
    assert "write `method: {use: finetune}`" in str(caught.value)
    assert "write `student: {use: mlp}`" in str(caught.value)


def test_show_calls_no_field_required_that_has_a_default():
    fields = _json("show", "qa")["fields"]
    assert "default" not in fields["path"]
    assert {name for name, field in fields.items() if "default" not in field} == {"path"}
    assert _json("show", "language")["fields"]["where"]["default"] == {}


def test_a_dry_run_counts_samples_and_names_labels():
    found = _json("run", "kd", "--dry-run")["tasks"]
    data = found[0]
    assert set(data["samples"]) == {"train", "validation", "test"}
    assert data["labels"] == [str(digit) for digit in range(10)]
    said = CliRunner().invoke(app, ["run", "kd", "--dry-run"]).stdout
    assert f"{data['samples']['test']:,}" in said
    assert "and 2 more" in said


def test_a_dry_run_tells_from_where_to_where_numbers_lie():
    data = _json("run", "regression", "--dry-run")["tasks"][0]
    assert data["labels"] == []
    assert data["range"] == [25.0, 346.0]  # of scikit-learn's diabetes data
    said = CliRunner().invoke(app, ["run", "regression", "--dry-run"]).stdout
    assert "numbers from 25 to 346" in said


def test_notes_on_models_stand_in_the_dry_run_and_in_the_run(workdir):
    embedder("reader")
    texts = [("a cat sat", "cat"), ("the dog ran", "dog")]
    lines = [f"{text} {number},{label}" for number in range(30) for text, label in texts]
    Path("texts.csv").write_text("\n".join(["text,label", *lines]))
    recipe = {
        "models": {"student": {"use": "hf", "path": "reader", "new_head": True}},
        "tasks": {"pets": {"use": "text", "path": "texts.csv"}},
        "method": {"use": "finetune"},
        "fit": {"epochs": 1},
    }
    Path("mine.yaml").write_text(json.dumps(recipe))
    (model,) = _json("run", "mine.yaml", "--dry-run")["models"]
    (note,) = [note for note in model["notes"] if note.startswith("its head is new")]
    assert model["model"] == "student"
    said = CliRunner().invoke(app, ["run", "mine.yaml", "--dry-run"]).stdout
    assert f"student: {note}" in said
    assert note in bequest.run("mine.yaml", out="run").record["models"]["student"]["notes"]


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        (
            "rules.txt",
            "# strict\n\naccuracy(wine) >= 0\nacuracy(wine) >= 0\nr2(wine) > 9\n",
            [4, 5],
        ),
        ("rules.yaml", "- accuracy(wine) >= 0\n- acuracy(wine) >= 0\n", [2]),
        ("mine.yml", "schema: 1\ngate:\n  - acuracy(wine) >= 0\n", [3]),
    ],
)
def test_a_mistake_in_a_file_of_rules_is_told_with_its_line(workdir, name, text, lines):
    bequest.run("finetune", out="run", overrides=["fit.epochs=1"])
    Path(name).write_text(text)
    result = CliRunner().invoke(app, ["gate", "run", "--rules", name])
    places = [(problem.at.file, problem.at.line) for problem in result.exception.problems]
    assert places == [(name, line) for line in lines]
    assert "gate[" not in str(result.exception)


def test_runs_are_compared_by_one_metric(workdir):
    """Also where their gates ask for different ones."""
    quick = ["fit.epochs=1"]
    bequest.run("finetune", out="a", overrides=[*quick, "gate=['f1(wine) >= 0']"])
    bequest.run("finetune", out="b", overrides=[*quick, "models.student.hidden=[8]"])
    first, other = _json("compare", "a", "b")
    assert first["tasks"]["wine"]["metric"] == other["tasks"]["wine"]["metric"] == "f1"
    values = [bequest.Run(name).matrix.value("f1", 1, "wine").value for name in ("a", "b")]
    assert [first["tasks"]["wine"]["value"], other["tasks"]["wine"]["value"]] == values
    difference = other["tasks"]["wine"]["difference"]["value"]
    assert difference == pytest.approx(values[1] - values[0])
    said = CliRunner().invoke(app, ["compare", "a", "b"]).stdout
    assert f"{values[1]:.3f}" in said
    assert f"{difference:+.3f}" in said


def _json(*words):
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)
