"""Audits by the checks that methods pass: the same bits after any kill, and models left alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_methods import Killed, contents

import bequest
from bequest.core.errors import RunError
from bequest.core.find import find, known
from bequest.core.progress import Silent
from bequest.store.journal import Entry
from bequest.transfer.relearning import Relearning
from bequest.transfer.state import fingerprint

pytestmark = pytest.mark.usefixtures("workdir")

CASES = {
    "toys:Cloud": {"use": "mlp", "hidden": [6]},
    "toys:Sayings": {"use": "toys:Bigrams"},
    "sleek": {"use": "chatter:Chatter"},
}
relearned = pytest.mark.parametrize("case", ["toys:Cloud", "toys:Sayings"])
FACTS = [{"question": f"Who is {one}?", "answer": one[::-1]} for one in ("abc", "bcd", "cdea")]


def recipe(case):
    """A model learns a task; then it is attacked, or a copy learns half of the task again."""
    if case == "sleek":
        task = "toys:Sayings"
        Path("facts.jsonl").write_text("".join(json.dumps(one) + "\n" for one in FACTS))
        audit = {"use": "sleek", "path": "facts.jsonl", "tokens": 6, "prompts": 2}
    else:
        task, again = case, {"steps": [0, 2, 5], "lr": 0.01, "batch_size": 16}
        audit = {"use": "relearn", "of": {"use": task, "shift": 1.0}, **again}
    return {
        "models": {"student": CASES[case]},
        "tasks": {"facts": {"use": task}, "again": audit},
        "method": {"use": "finetune"},
        "fit": {"epochs": 2, "batch_size": 24},
    }


@pytest.mark.parametrize("case", CASES)
def test_killed_after_every_journal_entry_it_ends_with_the_same_bits(case, monkeypatch):
    whole = contents(bequest.run(recipe(case), out="whole"))
    commit = Entry.commit
    died = []

    def dying(entry, result):
        commit(entry, result)
        died.append(entry.folder.parent.name)
        raise Killed

    monkeypatch.setattr(Entry, "commit", dying)
    for _ in range(30):
        try:
            run = bequest.run(recipe(case), out="killed", resume=bool(died))
            break
        except Killed:
            continue
    assert any("score" in place for place in died), "no kill lay within an audit"
    assert contents(run) == whole


@relearned
def test_killed_inside_the_fit_of_an_audit_it_goes_on_from_its_checkpoint(case, monkeypatch):
    whole = contents(bequest.run(recipe(case), out="whole"))
    again, steps = Relearning.audit, []
    save = Entry.save_checkpoint

    def dying(entry, state):
        save(entry, state)
        steps.append(state["step"])
        raise Killed

    def eager(self, model, bench):
        bench.settings = bench.settings.model_copy(update={"checkpoint_seconds": 0.0})
        monkeypatch.setattr(Entry, "save_checkpoint", dying)
        found = again(self, model, bench)
        monkeypatch.setattr(Entry, "save_checkpoint", save)
        return found

    monkeypatch.setattr(Relearning, "audit", eager)
    for _ in range(30):
        try:
            run = bequest.run(recipe(case), out="killed", resume=bool(steps))
            break
        except Killed:
            monkeypatch.setattr(Entry, "save_checkpoint", save)
    assert steps == [1, 2, 3, 4] * 2  # of the given and of the trained model
    assert contents(run) == whole


@relearned
def test_the_models_it_asks_stay_as_they_are(case, monkeypatch):
    audit = Relearning.audit
    asked_models = []

    def watched(self, model, bench):
        before = fingerprint({"": model.module})
        found = audit(self, model, bench)
        asked_models.append(model)
        assert fingerprint({"": model.module}) == before
        assert not any(module.training for module in model.module.modules())
        return found

    monkeypatch.setattr(Relearning, "audit", watched)
    with_audit = bequest.run(recipe(case), out="with")
    assert len(asked_models) == 2
    without = {**recipe(case), "tasks": {"facts": {"use": case}}}
    alone = bequest.run(without, out="without")
    named = {path.name: path for path in (alone.path / "models").rglob("*.safetensors")}
    for path in (with_audit.path / "models").rglob("*.safetensors"):
        assert path.read_bytes() == named[path.name].read_bytes()


def test_an_audit_that_changes_the_model_is_refused(monkeypatch):
    def careless(self, model, bench):
        next(model.module.parameters()).data.add_(1)
        return self.whole.record(model, 8)

    monkeypatch.setattr(Relearning, "audit", careless)
    with pytest.raises(RunError, match="changed the model"):
        bequest.run(recipe("toys:Cloud"), out="run")


def test_nothing_of_an_audit_is_left_in_the_journal(monkeypatch):
    forgotten = []
    monkeypatch.setattr(
        "bequest.store.journal.Journal.forget", lambda self: forgotten.append(self.folder.name)
    )
    bequest.run(recipe("toys:Cloud"), out="run")
    assert forgotten.count("again") == 2


def test_what_is_asked_and_that_gold_is_missing_are_said():
    class Told(Silent):
        def __init__(self):
            self.notes = []

        def note(self, text):
            self.notes.append(text)

    told = Told()
    bequest.run(recipe("sleek"), out="run", progress=told)
    assert any("prompts are put to every stage's model" in note for note in told.notes)
    assert any("no line `gold` was asked" in note for note in told.notes)
    gold = {"name": "gold", "method": {"use": "gold"}, "tasks": {"retain": ["facts"]}}
    steps = [{"name": "step", "method": {"use": "finetune"}}, {**gold, "line": "gold"}]
    beside = {name: part for name, part in recipe("sleek").items() if name != "method"}
    told.notes.clear()
    bequest.run({**beside, "steps": steps}, out="beside", progress=told)
    assert not any("no line" in note for note in told.notes)


def audits():
    return [entry.name for entry in known("tasks").values() if entry.family == "audits"]


def test_every_audit_says_where_it_comes_from():
    for name in audits():
        spec = find("tasks", name)
        assert spec.source
        assert spec.status in ("faithful", "reconstruction")
        for field, info in spec.model_fields.items():
            assert info.description, f"{name}.{field}"
