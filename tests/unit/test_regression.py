"""Numbers predicted from end to end: in the user's unit, by which methods, kept how."""

import json
import re
from dataclasses import replace
from html import unescape

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

import bequest
from bequest.cli import app
from bequest.core.errors import RequestError
from bequest.core.find import find
from bequest.core.live import Batch, Target
from bequest.runner.preparing import inspect, prepare
from bequest.store.journal import Entry
from bequest.transfer.learning import own_loss
from bequest.transfer.pool import Pool, chosen, together
from bequest.transfer.sharing import cut
from bequest.transfer.streams import Rows

pytestmark = pytest.mark.usefixtures("workdir")
NOISE = 2.0
LINE = {"use": "mlp", "hidden": []}
NET = {"use": "mlp", "hidden": [8]}
FIT = {"epochs": 60, "batch_size": 32, "optimizer": {"use": "adamw", "lr": 0.02}}
PRICE = {"use": "regression", "path": "homes.csv", "target": "price"}
LABELS = {"use": "csv", "path": "homes.csv", "label": "town", "features": ["size", "age"]}
TWO = {"north": {**PRICE, "path": "north.csv"}, "south": {**PRICE, "path": "south.csv"}}


@pytest.fixture(autouse=True)
def homes(workdir):
    """A town in one file, and two of other prices in files of their own."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame(rng.standard_normal((300, 2)), columns=["size", "age"])
    table["price"] = 1e6 + 30 * table["size"] - 20 * table["age"] + NOISE * rng.standard_normal(300)
    table.assign(town=np.where(table.index % 2, "a", "b")).to_csv("homes.csv", index=False)
    table[:150].to_csv("north.csv", index=False)
    table[150:].assign(price=lambda t: t["price"] + 50).to_csv("south.csv", index=False)
    return table


def recipe(method="finetune", tasks=None, models=None, **more):
    return {
        "models": models or {"student": LINE},
        "tasks": tasks or {"homes": {**PRICE, "features": ["size", "age"]}},
        "method": {"use": method} if isinstance(method, str) else method,
        "fit": FIT,
        "seeds": [0],
        **more,
    }


def refused(**fields):
    with pytest.raises(RequestError) as caught:
        bequest.run(recipe(**fields), out="never")
    return str(caught.value)


def last(run, metric, task="homes"):
    return run.matrix.value(metric, len(run.matrix.rows) - 1, task).value


def words(page):
    body = re.sub(r"<(style|script)[^>]*>.*?</\1>", " ", page, flags=re.DOTALL)
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)))


def test_a_straight_line_is_found_to_the_noise_in_the_users_unit():
    run = bequest.run(recipe(), out="run")
    assert last(run, "rmse") == pytest.approx(NOISE, rel=0.25)
    assert last(run, "mae") == pytest.approx(NOISE * np.sqrt(2 / np.pi), rel=0.25)
    assert last(run, "r2") > 0.99
    (cell,) = (out for (row, *_), out in run.matrix.cells.outcomes.items() if row == 1)
    assert np.abs(cell.columns["prediction"] - 1e6).max() < 200
    away = cell.columns["prediction"].astype(float) - cell.columns["target"]
    assert cell.columns["error"] == pytest.approx(away, abs=0.1)  # both are kept as float32


def test_the_loss_is_squared_and_in_standard_units():
    target = Target("price", 1e6, 40.0)
    model = find("models", "mlp")(hidden=()).predictor((2,), "features", target)
    inputs, values = torch.rand(5, 2), torch.tensor([1e6, 1e6, 1e6 + 40, 1e6 - 40, 1e6 + 80])
    batch = Batch(torch.arange(5), inputs, None, values.double())
    standard = torch.tensor([0.0, 0, 1, -1, 2])
    expected = torch.nn.functional.mse_loss(model.module.body(inputs)[:, 0], standard)
    assert own_loss(model, batch).item() == pytest.approx(expected.item(), rel=1e-5)
    assert model.predict(inputs).shape == (5,)
    assert model.predict(inputs).dtype == torch.float64


def test_numbers_go_with_their_samples_wherever_batches_are_made():
    tasks = [find("tasks", "regression")(**rest).load(name) for name, rest in parts().items()]
    rows = [Rows(task.splits["train"]) for task in tasks]
    known = {
        i: v for one in rows for i, v in zip(one.ids.tolist(), one.values.tolist(), strict=True)
    }

    class Two:
        rank, count = 1, 2

    mixed = next(Pool(dict(enumerate(rows))).epoch(0, 16)).batch
    few = chosen(rows[0], np.array([5, 2]))
    views = [type("View", (), {"train": one})() for one in rows]
    for batch in (mixed, few.all(), together(views).all(), cut(mixed, Two())[0]):
        assert [known[i] for i in batch.ids.tolist()] == batch.values.tolist()
        assert batch.targets is None


def parts():
    return {name: {k: v for k, v in task.items() if k != "use"} for name, task in TWO.items()}


@pytest.mark.parametrize("method", ["sequential", "joint", "single", "replay", "finetune"])
def test_methods_that_learn_what_a_task_asks_learn_numbers(method):
    run = bequest.run(recipe(method, TWO), out="run")
    rows = [i for i, row in enumerate(run.matrix.rows) if row.line != "given"]
    best = {
        name: min(run.matrix.value("rmse", i, name).value
                  for i in rows if run.matrix.has("rmse", i, name))
        for name in TWO
    }  # fmt: skip
    # A home costs 50 more in one of the files, so one answer for both lies half of that away.
    assert max(best.values()) < (30 if method in ("joint", "finetune", "replay") else 4)
    (sequence, *_) = run.matrix.sequences or (None,)
    if method == "sequential":
        assert sequence.score.name == "rmse"
        assert sequence.value("forgetting").value == pytest.approx(50, abs=5)


@pytest.mark.parametrize(
    ("method", "models"),
    [
        ("kd", {"teacher": NET, "student": LINE}),
        ("ewc", {"student": LINE}),
        ("lwf", {"student": LINE}),
        ("linear", {"base": LINE, "donors": LINE}),
    ],
)
def test_methods_that_need_labels_say_so_before_anything_runs(method, models):
    said = refused(method=method, models=models, tasks=TWO)
    assert f"`{method}` is for labels or texts, but `north` asks for numbers" in said
    assert "numbers are learned by `finetune`" in said


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"method": {"use": "sequential", "heads": "per_task"}, "tasks": TWO},
            "a model that predicts a number can't have one head per task; write `heads: shared`",
        ),
        (
            {"method": {"use": "finetune", "label_smoothing": 0.1}},
            "`homes` asks for numbers, which have no labels to smooth",
        ),
        (
            {"tasks": {"homes": PRICE, "town": LABELS}},
            "it asks `logits`, but `homes` asks `predict`",
        ),
        (
            {"tasks": {"homes": PRICE, "ages": {**PRICE, "target": "age"}}},
            "its labels differ from those of `homes` (age, price)",
        ),
        (
            {"models": {"student": {"use": "cnn"}}},
            "task `homes` asks `predict`, but model `student`",
        ),
        ({"gate": ["accuracy(homes) >= 0.9"]}, "accuracy needs correct"),
    ],
)
def test_what_does_not_fit_numbers_is_refused(fields, said):
    assert said in refused(**fields)


def test_tasks_made_of_labels_take_no_numbers():
    noisy = {"use": "noise", "levels": [1.0], "of": {**PRICE, "features": ["size", "age"]}}
    assert "only tasks that ask `logits`" in refused(tasks={"homes": noisy})


def test_a_method_of_the_users_own_says_by_its_role_that_it_learns_numbers(workdir, monkeypatch):
    (workdir / "own_methods.py").write_text(
        "from bequest import Method, Role, Stage\n"
        "from bequest.transfer.learning import own_loss\n"
        "class Labels(Method):\n"
        "    def transfer(self, bench):\n"
        "        student = bench.model('student')\n"
        "        bench.fit(student, bench.task('learn').train,\n"
        "                  lambda model, batch, rng: {'hard': own_loss(model, batch)})\n"
        "        yield Stage('trained', student)\n"
        "class Numbers(Labels):\n"
        "    roles = {'student': Role('learns', answers=('predict',), learns=True)}\n"
    )
    monkeypatch.syspath_prepend(workdir)
    run = bequest.run(recipe("own_methods:Numbers"), out="run")
    assert last(run, "rmse") == pytest.approx(NOISE, rel=0.25)
    assert "is for labels or texts, but `homes`" in refused(method="own_methods:Labels")


def test_a_device_without_float64_is_refused():
    draft, plan = inspect(recipe())
    prepared = replace(prepare(draft, plan, "cpu"), device=torch.device("mps"))
    with pytest.raises(RequestError, match="which device `mps` does not have; use `--device cpu`"):
        prepared.build("student", 0)


def test_a_module_of_the_users_own(workdir, monkeypatch):
    (workdir / "own_numbers.py").write_text(
        "import torch\n"
        "def flat(shape, labels):\n"
        "    assert labels == ('price',)\n"
        "    return torch.nn.Sequential(torch.nn.Linear(shape[0], 1), torch.nn.Flatten(0))\n"
        "def wide(shape):\n"
        "    return torch.nn.Linear(shape[0], 2)\n"
    )
    monkeypatch.syspath_prepend(workdir)
    run = bequest.run(recipe(models={"student": {"use": "own_numbers:flat"}}), out="run")
    assert last(run, "rmse") == pytest.approx(NOISE, rel=0.25)
    said = refused(models={"student": {"use": "own_numbers:wide"}})
    assert "doesn't answer with one number for each input" in said
    assert "[batch, 1] for `price`" in said


def test_a_delivered_model_predicts_as_it_was_measured():
    run = bequest.run(recipe(models={"student": NET}), out="first")
    folder = "first/models/finetune/student/seed-0"
    # Other rows to learn from have another mean; the model's own must stay.
    task = {**PRICE, "features": ["size", "age"]}
    again = bequest.run(recipe(models={"student": {"use": "saved", "path": folder}}), out="again")
    assert again.matrix.value("rmse", 0, "homes").value == last(run, "rmse")
    moved = {"student": {"use": "saved", "path": folder}}
    pd.read_csv("homes.csv").assign(price=lambda t: t["price"] + 500).to_csv(
        "homes.csv", index=False
    )
    other = bequest.run(recipe(models=moved, tasks={"homes": task}), out="other")
    assert other.matrix.value("rmse", 0, "homes").value == pytest.approx(500, abs=10)
    said = refused(
        models=moved, tasks={"homes": {**PRICE, "target": "age", "features": ["size", "price"]}}
    )
    assert "answers price, not `age`; targets are compared by name" in said
    said = refused(models=moved, tasks={"town": LABELS})
    assert "asks `logits`, but model `student` (saved) answers predict" in said


def test_a_classifier_is_no_predictor():
    bequest.run(recipe(tasks={"town": LABELS}), out="first")
    saved = {"student": {"use": "saved", "path": "first/models/finetune/student/seed-0"}}
    assert "asks `predict`, but model `student` (saved) answers logits" in refused(models=saved)


def test_a_run_that_was_killed_ends_with_the_same_bits(monkeypatch):
    asked = recipe("replay", TWO, {"student": NET}, fit={**FIT, "epochs": 3})
    whole = bequest.run(asked, out="whole")
    commit, deaths = Entry.commit, 0

    class Killed(BaseException):
        pass

    def dying(entry, result):
        commit(entry, result)
        raise Killed

    monkeypatch.setattr(Entry, "commit", dying)
    while True:
        try:
            run = bequest.run(asked, out="killed", resume=deaths > 0)
            break
        except Killed:
            deaths += 1
    assert deaths >= 3
    for name in ("metrics.json", "models/replay/student/seed-0/model.safetensors"):
        assert (run.path / name).read_bytes() == (whole.path / name).read_bytes()


def test_the_page_shows_the_largest_errors_and_no_empty_parts():
    run = bequest.run(recipe(seeds=[0, 1]), out="run")
    said = words((run.path / "report.html").read_text())
    part = said.rpartition("Largest errors")[2]
    assert re.match(r" finetune.trained on homes feature value size [−0-9.]+ .* is 1,000,", part)
    for absent in ("Answers that flipped", "How sure the answers are"):
        assert absent not in said
    held = json.loads((run.path / "exhibits/exhibits.json").read_text())["largest_errors"]
    shown = [abs(one["prediction"] - one["target"]) for one in held[0]["samples"]]
    outcomes = [run.matrix.cells.outcomes[1, "homes", seed] for seed in (0, 1)]
    worst = np.abs(np.mean([one.columns["error"] for one in outcomes], axis=0))
    assert shown == pytest.approx(sorted(worst, reverse=True)[:4])


def test_runs_are_compared_sample_by_sample():
    first, other = (bequest.run(recipe(fit={**FIT, "epochs": n}), out=f"r{n}") for n in (60, 1))
    found = CliRunner().invoke(app, ["compare", str(first.path), str(other.path), "--json"])
    cell = json.loads(found.stdout)[1]["tasks"]["homes"]
    assert cell["metric"] == "rmse"
    assert cell["difference"]["value"] == pytest.approx(last(other, "rmse") - last(first, "rmse"))
    assert cell["difference"]["low"] > 0


def test_the_shipped_recipe_holds_its_gate():
    run = bequest.run("regression", out="run")
    assert run.verdict.passed
