"""The workbench: what a method may ask for, and that asking again gives the same."""

from __future__ import annotations

import random

import numpy as np
import pytest
from workbench import bench, fit_settings, hard, model, same, task, weights

from bequest.core.errors import ReplayDiverged, RequestError
from bequest.lazy import functional, torch
from bequest.transfer.bench import freeze
from bequest.transfer.streams import episodes, pair


class Killed(BaseException):
    """Stands for a process that ends at once."""


class Average:
    """Something that changes along with a fit and is no module."""

    def __init__(self):
        self.value, self.count = torch.zeros(()), 0

    def add(self, value):
        self.value, self.count = self.value + value, self.count + 1

    def state_dict(self):
        return {"value": self.value, "count": self.count}

    def load_state_dict(self, state):
        self.value, self.count = state["value"], state["count"]


def test_models_by_role(tmp_path):
    student, first, second = model(), model(1), model(2)
    work = bench(tmp_path, models={"student": student, "donors": [first, second]})
    assert work.model() is student
    assert work.models("donors") == [first, second]
    assert work.models("student") == [student]
    with pytest.raises(RequestError, match="holds 2 models"):
        work.model("donors")
    with pytest.raises(RequestError, match="did you mean `student`") as caught:
        work.model("studnet")
    assert "donors" in str(caught.value)


def test_tasks_by_purpose(tmp_path):
    given = [task("a", "learn"), task("b", "forget"), task("c", "learn")]
    work = bench(tmp_path, tasks=given)
    assert [one.name for one in work.tasks()] == ["a", "b", "c"]
    assert [one.name for one in work.tasks("learn")] == ["a", "c"]
    assert work.task("forget").name == "b"
    with pytest.raises(RequestError, match="there are 2: a, c"):
        work.task("learn")
    with pytest.raises(RequestError, match="there are 0: none"):
        work.task("retain")


def test_a_method_never_gets_at_the_test_split(tmp_path):
    given = task()
    given.splits["test"] = given.splits["validation"]
    view = bench(tmp_path, tasks=[given]).task()
    public = {name for name in dir(view) if not name.startswith("_")}
    sides = {"train", "validation", "unlabelled"}
    assert public == {"name", "purpose", "labels", "asks"} | sides
    assert view.validation.split is given.splits["validation"]


def test_a_copy_is_a_model_of_its_own(tmp_path):
    work = bench(tmp_path)
    twin = work.copy(work.model())
    assert same(weights(twin), weights(work.model()))
    with torch.no_grad():
        twin.module[0].weight.zero_()
    assert not same(weights(twin), weights(work.model()))
    assert all(one.requires_grad for one in twin.module.parameters())


def test_a_frozen_copy_takes_no_gradient_and_leaves_the_original_alone(tmp_path):
    work = bench(tmp_path)
    work.model().module.train()
    twin = work.copy(work.model(), frozen=True)
    assert not twin.module.training
    assert not any(one.requires_grad for one in twin.module.parameters())
    assert work.model().module.training
    assert all(one.requires_grad for one in work.model().module.parameters())
    assert freeze(twin) is twin


def test_a_module_depends_on_its_name_and_the_seed_only(tmp_path):
    def make(work, name="head"):
        return weights(work.module(name, lambda: torch.nn.Linear(3, 3)))

    first = make(bench(tmp_path))
    later = bench(tmp_path)
    later.rng("other")
    torch.rand(7)
    assert same(make(later), first)
    assert not same(make(bench(tmp_path), "tail"), first)
    assert not same(make(bench(tmp_path, seed=1)), first)


def test_random_numbers_of_a_name_are_the_same_in_every_process(tmp_path):
    def drawn(seed=0, name="noise"):
        return torch.rand(4, generator=bench(tmp_path, seed=seed).rng(name)).tolist()

    assert drawn() == drawn()
    assert len({tuple(each) for each in (drawn(), drawn(1), drawn(name="other"))}) == 3


def global_draws():
    return torch.rand(()).item(), np.random.rand(), random.random()


def test_the_global_generators_stay_as_they_are(tmp_path):
    def noisy(student, batch, rng):
        global_draws()
        return hard(student, batch, rng)

    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    expected = global_draws()
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    work = bench(tmp_path, models={"student": model(dropout=0.5), "teacher": model(1)})
    work.module("head", lambda: torch.nn.Linear(3, 3))
    work.remember("draws", global_draws)
    work.fit(work.model(), work.task().train, noisy, select=lambda: global_draws()[0])
    work.recall(work.model("teacher"), work.task().train)
    with pytest.raises(KeyError):
        work.remember("fails", lambda: {}[global_draws()])
    assert global_draws() == expected


def test_what_is_drawn_inside_is_decided_by_the_position(tmp_path):
    first, second = bench(tmp_path / "a"), bench(tmp_path / "b")
    torch.rand(3)
    assert first.remember("draws", global_draws) == second.remember("draws", global_draws)
    assert first.remember("draws", global_draws) != first.remember("draws", global_draws)


def test_what_is_remembered_is_made_once(tmp_path):
    made = []

    def make():
        made.append(1)
        return {"basis": torch.rand(3), "rank": 2, "names": ("a", None)}

    first = bench(tmp_path).remember("basis", make)
    second = bench(tmp_path).remember("basis", make)
    assert len(made) == 1
    assert torch.equal(first["basis"], second["basis"])
    assert (second["rank"], second["names"]) == (2, ("a", None))


def test_what_can_not_be_kept_is_said_at_once(tmp_path):
    with pytest.raises(TypeError, match="can't be kept in the journal"):
        bench(tmp_path).remember("thing", object)


def train(work, kept=None, **options):
    """A fit of the student with noise, an average beside it, and one more module."""
    kept = kept or Average()
    head = work.module("head", lambda: torch.nn.Linear(3, 3))
    parts = {"student": work.model(), "head": head}

    def loss(modules, batch, rng):
        logits = modules["head"](modules["student"].logits(batch.inputs))
        noise = 1 + 0.1 * torch.rand((), generator=rng)
        value = noise * functional.cross_entropy(logits, batch.targets)
        kept.add(value.detach())
        return {"hard": value}

    fitted = work.fit(parts, work.task().train, loss, keep=[kept], **options)
    return fitted, head, kept


def test_a_fit_met_again_puts_everything_back_without_training(tmp_path):
    def student():
        return {"student": model(dropout=0.3)}

    first = bench(tmp_path, models=student())
    fitted, head, kept = train(first, select=lambda: -float(len(first.fits)))

    second = bench(tmp_path, models=student(), progress=lambda *said: pytest.fail("it trained"))
    again, other_head, other_kept = train(second, select=lambda: pytest.fail("it was asked"))
    assert same(weights(second.model()), weights(first.model()))
    assert same(weights(other_head), weights(head))
    assert (other_kept.count, float(other_kept.value)) == (10, float(kept.value))
    assert again == fitted
    assert not second.model().module.training
    assert not other_head.training
    assert len(second.fits) == 1


def test_a_fit_killed_inside_ends_with_the_same_bits(tmp_path):
    def begin(folder):
        settings = fit_settings(checkpoint_seconds=0)
        return bench(folder, settings=settings, models={"student": model(dropout=0.3)})

    def dying(modules, step):
        if step == 6:
            raise Killed

    whole, killed, resumed = (begin(tmp_path / name) for name in ("a", "b", "b"))
    expected = train(whole)
    with pytest.raises(Killed):
        train(killed, on_step=dying)
    found = train(resumed)
    assert same(weights(resumed.model()), weights(whole.model()))
    assert same(weights(found[1]), weights(expected[1]))
    assert torch.equal(found[2].value, expected[2].value)
    assert found[2].count == expected[2].count == 10
    assert found[0].curves == expected[0].curves


@pytest.mark.parametrize("changed", ["weights", "settings"])
def test_a_fit_met_again_with_something_else_is_refused(tmp_path, changed):
    train(bench(tmp_path))
    other = {
        "weights": {"models": {"student": model(5)}},
        "settings": {"settings": fit_settings(epochs=3)},
    }[changed]
    with pytest.raises(ReplayDiverged, match=f"{changed}: .* then"):
        train(bench(tmp_path, **other))


def test_modules_beside_a_model_are_left_out_of_it(tmp_path):
    work = bench(tmp_path)
    before = weights(work.model())
    _, head, _ = train(work)
    assert weights(work.model()).keys() == before.keys()
    assert set(map(id, head.parameters())).isdisjoint(map(id, work.model().module.parameters()))
    untrained = bench(tmp_path).module("head", lambda: torch.nn.Linear(3, 3))
    assert not same(weights(head), weights(untrained))


def test_data_made_while_training_need_a_number_of_steps(tmp_path):
    def made(step, modules, rng):
        told.append(step)
        return torch.rand(8, 4, generator=rng)

    def loss(student, inputs, rng):
        return {"size": student.logits(inputs).square().mean()}

    told = []
    with pytest.raises(RequestError, match=r"fit\.steps.*steps: 1000"):
        bench(tmp_path).fit(model(), made, loss)
    work = bench(tmp_path, settings=fit_settings(steps=7))
    assert work.fit(model(), made, loss).steps == 7
    assert told == list(range(7))


@pytest.mark.parametrize("kind", ["live", "pair", "episodes"])
def test_every_kind_of_stream_resumes_in_its_middle(tmp_path, kind):
    def stream(work):
        rows = work.task().train
        if kind == "pair":
            return pair(a=rows, b=work.task("retain").train)
        if kind == "episodes":
            return episodes([rows, work.task("retain").train], support=3, query=4)
        return lambda step, modules, rng: rows.batch(torch.randint(40, (6,), generator=rng))

    def loss(student, batch, rng):
        sides = {"pair": lambda: batch.values(), "episodes": lambda: batch[1:]}
        sides = sides.get(kind, lambda: [batch])()
        seen.append([side.ids.tolist() for side in sides])
        return {str(n): hard(student, side, rng)["hard"] for n, side in enumerate(sides)}

    def dying(modules, step):
        if step == 4:
            raise Killed

    def train_on(folder, **options):
        given = [task(), task("kept", "retain", seed=1, count=12)]
        settings = fit_settings(checkpoint_seconds=0, steps=9)
        work = bench(folder, tasks=given, settings=settings)
        work.fit(work.model(), stream(work), loss, **options)
        return weights(work.model())

    seen = []
    whole = train_on(tmp_path / "a")
    expected, seen = seen, []
    with pytest.raises(Killed):
        train_on(tmp_path / "b", on_step=dying)
    del seen[4:]  # the step that was under way is done again
    assert same(train_on(tmp_path / "b"), whole)
    assert seen == expected


def test_selecting_uses_what_the_method_asks_and_reports_the_best(tmp_path):
    work = bench(tmp_path, settings=fit_settings(epochs=4))
    validation = work.task().validation

    def score():
        logits = work.model().logits(validation.all().inputs)
        scores.append(float((logits.argmax(1) == validation.targets).float().mean()))
        return scores[-1]

    scores = []
    fitted = work.fit(work.model(), work.task().train, hard, select=score)
    assert fitted.best == max(scores)
    with torch.no_grad():
        assert score() == fitted.best


def test_two_fits_in_a_row_draw_other_orders(tmp_path):
    def noting(student, batch, rng):
        order.extend(batch.ids.tolist())
        return hard(student, batch, rng)

    order = []
    work = bench(tmp_path, settings=fit_settings(epochs=1))
    for _ in range(2):
        work.fit(work.model(), work.task().train, noting)
    assert sorted(order[:40]) == sorted(order[40:])
    assert order[:40] != order[40:]
    assert len(work.fits) == 2


def test_a_fresh_model_comes_from_who_builds_models(tmp_path):
    assert same(weights(bench(tmp_path).fresh()), weights(model(99)))


def test_a_fit_reports_what_it_cost(tmp_path):
    cost = bench(tmp_path).fit(model(), bench(tmp_path).task().train, hard).cost
    assert 0 < cost["seconds"] < 60
    assert cost["peak_memory"] > 1 << 20
