"""The doctor finds each disease in a run that has it, and none in one that hasn't."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import bequest
from bequest.build.splitting import content_ids
from bequest.cli import main
from bequest.core.errors import RequestError, RunError
from bequest.core.live import Split, Texts
from bequest.core.outcomes import Outcomes
from bequest.measure.matrix import Matrix
from bequest.measure.power import power
from bequest.measure.rows import Row
from bequest.measure.rules import parse
from bequest.measure.table import Cells
from bequest.runner.doctor import leaks
from bequest.store.journal import Journal

BLOCKED = "import sys; sys.modules['torch'] = None; from bequest.cli import main; main()"
WELL = {
    "models": {"student": {"use": "mlp", "hidden": [16]}},
    "tasks": {"wine": {"use": "wine"}},
    "method": {"use": "finetune"},
    "fit": {"epochs": 8, "batch_size": 16, "optimizer": {"use": "adamw", "lr": 0.01}},
}
REBUILDING = ("leaking data", "dead units, exploding activations")
FILES = ("drowned term", "teacher in training mode", "vanishing gradient", "too few samples")


pytestmark = pytest.mark.usefixtures("workdir")


def recipe(**changes):
    return {**WELL, **changes}


def sick(of, **changes):
    return recipe(models={"student": {"use": f"sick:{of}"}}, **changes)


def examined(what, out="run", **options):
    bequest.run(what, out=out)
    return bequest.doctor(out, **options)


def named(found, name):
    return [one for one in found.findings if one.name == name]


@pytest.fixture(scope="module")
def well(tmp_path_factory):
    """The folder of a finished run of a well student."""
    folder = tmp_path_factory.mktemp("doctor") / "well"
    bequest.run(WELL | {"gate": ["accuracy(wine) >= 0.5"]}, out=folder)
    return folder


def said(capsys, *words):
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr("sys.argv", ["bequest", *map(str, words)])
        main()
    shown = capsys.readouterr()
    return ended.value.code, shown.out + shown.err


def test_a_well_run_gets_no_finding(well):
    found = bequest.doctor(well)
    assert (found.findings, found.left_out, found.serious) == ((), (), False)
    assert found.checked == FILES + REBUILDING


def test_only_files_are_read_where_that_is_asked_for(well):
    found = bequest.doctor(well, files_only=True)
    assert found.checked == FILES
    assert tuple(one.check for one in found.left_out) == REBUILDING


def test_what_is_no_run_is_refused(workdir, capsys):
    with pytest.raises(RequestError, match="holds no run"):
        bequest.doctor(workdir)
    assert said(capsys, "doctor", workdir)[0] == 2


def test_the_command_says_it_by_its_exit_code(well, capsys):
    code, text = said(capsys, "doctor", well)
    assert (code, "nothing was found" in text) == (0, True)
    bequest.run(sick("dead"), out="dead")
    code, text = said(capsys, "doctor", "dead")
    assert code == 1
    assert "SERIOUS  dead units: step one, model one.student" in text.replace("finetune", "one")
    code, text = said(capsys, "doctor", "dead", "--json")
    assert (code, json.loads(text)["serious"]) == (1, True)


def test_dead_rectifiers_are_found_before_and_after_learning():
    found = named(examined(sick("dead")), "dead units")
    assert [one.severity for one in found] == ["serious", "serious"]
    assert {one.where["model"] for one in found} == {"student", "finetune.student"}
    assert all(one.numbers == {"share": 1.0, "units": 16.0} for one in found)
    assert all(one.where["layer"] == "4" for one in found)


def test_dead_units_of_a_function_are_found_too():
    given, _ = named(examined(sick("Functional")), "dead units")
    assert (given.severity, given.numbers["share"] >= 0.6) == ("minor", True)
    assert given.where["layer"] == "the model"


def test_an_exploding_start_is_found_though_the_run_may_fail():
    found = examined(sick("exploding"))
    (given, *_) = named(found, "exploding activations")
    assert (given.severity, given.where["step"]) == ("serious", "given")
    assert given.numbers["growth"] > 1e4


def test_a_run_that_ended_in_nan_is_examined():
    with pytest.raises(RunError, match="became"):
        bequest.run(sick("exploding", fit={"epochs": 3, "optimizer": {"use": "sgd", "lr": 1e9}}),
                    out="run")  # fmt: skip
    found = bequest.doctor("run")
    assert (found.status, "became" in found.reason) == ("stopped", True)
    assert named(found, "exploding activations")
    why = {one.check: one.why for one in found.left_out}
    assert "no fit has finished" in why["drowned term"]
    assert "no gate rules" in why["too few samples"]
    assert "delivered nothing yet" in why["dead units, exploding activations"]


def test_gradients_vanish_in_twelve_sigmoids():
    (found,) = named(examined(sick("sigmoids")), "vanishing gradient")
    assert found.severity == "serious"
    assert (found.where["layer"], found.numbers["ratio"] < 1e-5) == ("1.weight", True)


def distilling(alpha, beta):
    """A teacher that learns, and a student that learns from it."""
    kd = {"use": "kd", "alpha": alpha, "beta": beta}
    steps = [
        {"name": "teach", "method": {"use": "finetune"}, "models": {"student": "teacher"}},
        {"name": "distil", "method": kd, "models": {"teacher": "teach.student"}},
    ]
    models = {"teacher": {"use": "mlp", "hidden": [16]}, "student": {"use": "mlp"}}
    return {**recipe(models=models, steps=steps), "method": None}


def test_a_term_a_thousand_times_heavier_drowns_the_other():
    (found,) = named(examined(distilling(0.001, 1)), "drowned term")
    assert (found.severity, found.where) == ("serious", {"step": "distil", "term": "hard"})
    assert found.numbers["share"] < 0.001
    assert "`soft` (weight 16)" in found.seen
    assert not named(examined(distilling(0.1, 0.9), "even"), "drowned term")


def test_terms_of_an_interrupted_run_are_read_from_its_journal(monkeypatch):
    whole = Journal.forget

    def stop(self):
        if self.folder.name == "distil":
            raise KeyboardInterrupt
        whole(self)

    monkeypatch.setattr(Journal, "forget", stop)
    with pytest.raises(KeyboardInterrupt):
        bequest.run(distilling(0.001, 1), out="run")
    found = bequest.doctor("run")
    assert (found.status, "interrupted" in found.reason) == ("stopped", True)
    assert [one.where["step"] for one in named(found, "drowned term")] == ["distil"]
    assert {one.check for one in found.left_out} == {"too few samples"}


def waking(wakes, student="dropping"):
    return recipe(
        models={"teacher": {"use": f"sick:{student}"}, "student": {"use": "mlp"}},
        method={"use": "sick:Wakes", "wakes": wakes},
    )


class Told:
    """Keeps notes; see `core.progress`."""

    def __init__(self):
        self.notes = []

    def begin(self, work, steps): ...
    def advance(self, step, steps, values): ...
    def doing(self, what): ...
    def end(self): ...
    def note(self, text):
        self.notes.append(text)


def test_a_teacher_in_training_mode_is_noticed_while_running():
    told = Told()
    bequest.run(waking(True), out="run", progress=told)
    assert [note for note in told.notes if "bequest doctor run" in note and "teacher" in note]
    (found,) = named(bequest.doctor("run"), "teacher in training mode")
    assert (found.severity, found.where["model"]) == ("serious", "teacher")
    assert "Dropout may answer otherwise" in found.means
    assert found.numbers["in_training_mode"] == found.numbers["looks"] > 5


def test_a_teacher_that_stays_frozen_is_not():
    told = Told()
    bequest.run(waking(False), out="run", progress=told)
    assert not [note for note in told.notes if "doctor" in note]
    assert not bequest.doctor("run").serious


def test_training_mode_that_changes_no_answer_is_minor():
    (found,) = named(examined(waking(True, "sigmoids")), "teacher in training mode")
    assert found.severity == "minor"


def table(path, rows):
    lines = [",".join(f"{value:.6f}" for value in row) + f",{label}" for row, label in rows]
    path.write_text("a,b,c,d,e,label\n" + "\n".join(lines) + "\n")


def rows_of(seed, count):
    rng = np.random.default_rng(seed)
    return [(rng.standard_normal(5), "xy"[number % 2]) for number in range(count)]


def from_csv(path, **more):
    return {"use": "csv", "path": path, "label": "label", **more}


def test_test_rows_that_nearly_repeat_training_rows_leak(workdir):
    trained, others = rows_of(0, 80), rows_of(1, 30)
    table(workdir / "train.csv", trained)
    table(workdir / "clean.csv", others)
    table(workdir / "leaky.csv", [(row + 1e-4, label) for row, label in trained[:10]] + others)
    leaky = recipe(tasks={"t": from_csv("train.csv", test_path="leaky.csv")})
    (found,) = named(examined(leaky), "leaking data")
    assert (found.severity, found.numbers["shared"]) == ("serious", 10)
    clean = recipe(tasks={"t": from_csv("train.csv", test_path="clean.csv")})
    assert not examined(clean, "clean").findings


def test_training_rows_of_one_task_that_another_tests_leak(workdir):
    trained, others = rows_of(0, 80), rows_of(1, 30)
    table(workdir / "one.csv", trained)
    table(workdir / "two.csv", [*trained[:6], *others])
    both = {"one": from_csv("one.csv"), "two": from_csv("two.csv", purpose="probe", test=0.5)}
    found = named(examined(recipe(tasks=both)), "leaking data")
    assert found
    assert {one.where["task"] for one in found} == {"two"}
    assert any("`one`" in one.seen for one in found)


def test_few_test_samples_don_t_bear_a_small_difference(workdir):
    table(workdir / "train.csv", rows_of(0, 60))
    table(workdir / "test.csv", rows_of(1, 20))
    small = {"t": from_csv("train.csv", test_path="test.csv")}
    rules = ["gain(t) vs given.student >= 1%", "accuracy(t) >= 0"]
    (found,) = named(examined(recipe(tasks=small, gate=rules)), "too few samples")
    assert (found.severity, found.where["rule"]) == ("serious", rules[0])
    assert found.numbers["least"] > 0.1
    assert found.numbers["enough"] > 1000
    assert "20 units and 1 seed" in found.seen


def test_what_is_not_at_hand_any_more_is_said(workdir):
    table(workdir / "data.csv", rows_of(0, 80))
    bequest.run(recipe(tasks={"t": from_csv("data.csv")}), out="run")
    table(workdir / "data.csv", rows_of(1, 80))
    changed = bequest.doctor("run")
    assert {one.check for one in changed.left_out} == {*REBUILDING, "too few samples"}
    assert all("not those of the run" in one.why for one in changed.left_out[1:])
    Path("data.csv").unlink()
    assert any("doesn't exist" in one.why for one in bequest.doctor("run").left_out)


def test_a_folder_without_its_log_and_outcomes_is_examined_as_far_as_it_goes(well, workdir):
    place = workdir / "copy"
    shutil.copytree(well, place)
    for name in ("log.jsonl", "outcomes.parquet", "curves.parquet"):
        (place / name).unlink()
    found = bequest.doctor(place)
    assert {one.check for one in found.left_out} == set(FILES)
    assert not found.findings


def test_files_are_read_without_torch(well):
    command = [sys.executable, "-c", BLOCKED, "doctor", str(well), "--files"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "left out: leaking data" in done.stdout) == (0, True), done.stderr


def of_texts(name, train, test, purpose="learn"):
    """A task of texts, as far as the doctor looks at one."""
    splits = {
        side: Split(Texts(tuple(texts)), None, content_ids(text.encode() for text in texts))
        for side, texts in (("train", train), ("test", test))
    }
    return SimpleNamespace(name=name, purpose=purpose, kind="text", shape=(), splits=splits)


def leaking(*tasks, held_out=True):
    """What is found in tasks that one step learns together."""
    names = [task.name for task in tasks]
    chart = SimpleNamespace(
        missing_tasks=lambda check: iter(()),
        at_hand={task.name: task for task in tasks},
        plan=SimpleNamespace(
            steps=[SimpleNamespace(tasks=names)],
            entries={name: name for name in names},
            tasks=dict.fromkeys(names, SimpleNamespace(held_out=held_out)),
        ),
    )
    return [(one.severity, one.where["task"], one.numbers["shared"]) for one in leaks.look(chart)]


FACTS = [f"Fact number {number} is known." for number in range(20)]
OTHERS = [f"Something else, the {number}th." for number in range(20)]


def test_texts_leak_whatever_their_case_and_signs():
    shouted = [text.upper().replace(" ", "  ") + "!" for text in FACTS[:3]]
    assert leaking(of_texts("t", FACTS, OTHERS)) == []
    assert leaking(of_texts("t", FACTS, shouted + OTHERS)) == [("serious", "t", 3.0)]


def test_facts_that_are_tested_on_themselves_are_no_leak():
    facts = of_texts("facts", FACTS, FACTS)
    assert leaking(facts, held_out=False) == [("note", "facts", 20.0)]
    assert leaking(facts) == [("serious", "facts", 20.0)]


def test_what_shall_be_forgotten_must_not_be_retained():
    forget = of_texts("forget", FACTS, FACTS, "forget")
    assert leaking(of_texts("retain", OTHERS, [], "retain"), forget, held_out=False) == []
    mixed = of_texts("retain", OTHERS + FACTS[:2], [], "retain")
    assert leaking(mixed, forget, held_out=False) == [("serious", "forget", 2.0)]


def test_a_probe_must_not_hold_what_is_learned():
    probe = of_texts("probe", [], FACTS[:5] + OTHERS, "probe")
    assert leaking(of_texts("t", FACTS, []), probe) == [("serious", "probe", 5.0)]


@pytest.mark.parametrize(("limit", "asked"), [("0.99", 0.01), ("0.5", 0.5)])
def test_a_share_is_about_its_distance_to_the_nearest_bound(limit, asked, well):
    found = power(parse(f"accuracy(wine) >= {limit}"), bequest.Run(well).matrix)
    assert found.asked == pytest.approx(asked)


def test_enough_samples_show_what_is_asked_and_fewer_don_t():
    def of(count):
        right = np.arange(count) % 10 < 8
        outcomes = Outcomes(np.arange(count), {"correct": right.astype(np.uint8)})
        return Matrix(Cells((Row("s", "t", "m"),), ("t",), (0,), {(0, "t", 0): outcomes}))

    rule = parse("accuracy(t) >= 0.9")
    few = power(rule, of(100))
    assert few.least > few.asked == pytest.approx(0.1)
    assert few.enough > 100
    assert power(rule, of(2 * few.enough)).least < 0.1
    # 2.8 standard errors of a share of 0.8
    assert few.least == pytest.approx(2.8 * (0.8 * 0.2 / 100) ** 0.5, rel=0.15)


def test_damaged_files_are_told_and_the_rest_is_examined(well, workdir):
    place = workdir / "copy"
    shutil.copytree(well, place)
    (place / "curves.parquet").write_bytes(b"PAR1 and nothing else")
    with (place / "log.jsonl").open("ab") as log:
        log.write(b'{"event": "health", "step": \n')
    found = bequest.doctor(place)
    assert [one.check for one in found.left_out] == ["drowned term"]
    assert "can't be read" in found.left_out[0].why
    assert not found.findings
