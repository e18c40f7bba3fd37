"""Every method through the same checks, without being told of it."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
from cases import CASES, case

import bequest
from bequest.core.errors import RequestError
from bequest.core.find import find, known
from bequest.core.parts import STATUSES
from bequest.core.progress import Silent
from bequest.runner import roster
from bequest.store.journal import Entry
from bequest.transfer.fit import Fit
from bequest.transfer.state import fingerprint

pytestmark = pytest.mark.usefixtures("workdir")
methods = pytest.mark.parametrize("name", CASES)


def learns(name):
    """Whether the method changes a model; others work while theirs is asked."""
    return any(role.learns for role in find("methods", name).roles.values())


learning = pytest.mark.parametrize("name", [name for name in CASES if learns(name)])


class Killed(BaseException):
    """Stands for a process that ends at once."""


def contents(run):
    """What must be the same bit for bit: the metrics and the models."""
    files = [run.path / "metrics.json", *sorted((run.path / "models").rglob("*.safetensors"))]
    assert files
    return {file.relative_to(run.path).as_posix(): file.read_bytes() for file in files}


@methods
def test_runs_and_measures_every_stage(name):
    run = bequest.run(case(name), out="run")
    assert (len(contents(run)) > 1) == learns(name)
    assert any(row.line != "given" for row in run.matrix.rows)
    matrix = run.matrix
    asked = [(metric, task) for task in matrix.tasks if (metric := matrix.primary(task))]
    for row in range(len(matrix.rows)):
        assert any(matrix.has(metric, row, task) for metric, task in asked)


@methods
def test_same_seed_same_bits(name):
    assert contents(bequest.run(case(name), out="a")) == contents(bequest.run(case(name), out="b"))


@methods
def test_another_seed_gives_other_models(name):
    first = contents(bequest.run(case(name), out="a", seeds=[0]))
    other = contents(bequest.run(case(name), out="b", seeds=[1]))
    assert set(first.values()).isdisjoint(other.values())


@methods
def test_killed_after_every_journal_entry_it_ends_with_the_same_bits(name, monkeypatch):
    whole = contents(bequest.run(case(name), out="whole"))
    commit = Entry.commit

    def dying(entry, result):
        commit(entry, result)
        raise Killed

    deaths = 0
    while deaths < 200:
        monkeypatch.setattr(Entry, "commit", dying)
        try:
            run = bequest.run(case(name), out="killed", resume=deaths > 0)
            break
        except Killed:
            deaths += 1
    assert deaths >= 3
    assert contents(run) == whole


@learning
def test_killed_inside_a_fit_it_goes_on_from_its_checkpoint(name, monkeypatch):
    recipe = case(name)
    recipe["fit"] = {**recipe["fit"], "checkpoint_seconds": 0}
    fits, run_fit = [], Fit.run
    monkeypatch.setattr(Fit, "run", lambda fit: fits.append(fit) or run_fit(fit))
    whole = contents(bequest.run(recipe, out="whole"))
    if not fits:
        pytest.skip("it fits nothing, so that nothing can be killed inside")
    save = Entry.save_checkpoint
    saved = []

    def dying(entry, state):
        save(entry, state)
        saved.append(state["step"])
        if len(saved) % 3 == 2:
            raise Killed

    monkeypatch.setattr(Entry, "save_checkpoint", dying)
    for _ in range(200):
        try:
            run = bequest.run(recipe, out="killed", resume=bool(saved))
            break
        except Killed:
            continue
    assert len(saved) > 3
    assert contents(run) == whole


@methods
def test_models_that_do_not_learn_stay_untouched(name, monkeypatch):
    frozen = []
    freeze = roster.freeze

    def watched(model):
        frozen.append((model, fingerprint({"": model.module})))
        return freeze(model)

    monkeypatch.setattr(roster, "freeze", watched)
    bequest.run(case(name), out="run")
    for model, before in frozen:
        assert fingerprint({"": model.module}) == before
        assert not any(module.training for module in model.module.modules())


@methods
def test_renaming_all_stages_changes_no_metric(name, monkeypatch):
    def numbers(run):
        found = run.matrix.to_json()
        return [found[part] for part in ("cells", "contrasts", "changes", "costs")]

    before = numbers(bequest.run(case(name), out="before"))
    method = find("methods", name)
    transfer = method.transfer

    def renamed(self, bench):
        for number, stage in enumerate(transfer(self, bench)):
            yield dataclasses.replace(stage, name=f"other{number}")

    monkeypatch.setattr(method, "transfer", renamed)
    assert numbers(bequest.run(case(name), out="after")) == before


@methods
def test_a_missing_role_and_a_misspelt_field_are_said_clearly(name):
    recipe = case(name)
    last = recipe["steps"][-1]
    method = find("methods", name)
    role = next(iter(method.roles))
    broken = {
        **recipe,
        "models": {"unrelated": {"use": "mlp"}},
        "steps": [{**last, "models": {}, "method": {"use": name, "nonsense": 1}}],
    }
    with pytest.raises(RequestError) as caught:
        bequest.run(broken, out="never")
    said = str(caught.value)
    assert role in said
    assert "nonsense" in said


def test_every_method_imports_with_torch_blocked():
    program = (
        "import sys; sys.modules['torch'] = None; sys.modules['transformers'] = None\n"
        "from bequest.core.find import find, known\n"
        "for kind in ('methods', 'models', 'tasks'):\n"
        "    for name in known(kind): find(kind, name)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_method_says_where_it_comes_from():
    for name, entry in known("methods").items():
        method = find("methods", name)
        assert entry.summary.endswith("."), name
        assert method.source, name
        assert method.status in STATUSES, name
        for field, info in method.model_fields.items():
            assert info.description, f"{name}.{field}"


def test_progress_is_told_of_every_step():
    class Told(Silent):
        def __init__(self):
            self.works, self.last = [], ()

        def begin(self, work, steps):
            self.works.append((work, steps))

        def advance(self, step, steps, values):
            if values:  # of a fit
                self.last = (step, steps)

    told = Told()
    bequest.run(case("kd"), out="run", progress=told)
    assert [work for work, _ in told.works] == ["given · seed 0", "step · seed 0"]
    assert told.last[0] == told.last[1] == told.works[-1][1]
