"""Of every task that divides data: a row that comes or goes moves no other one."""

import json

import numpy as np
import pytest
from PIL import Image

from bequest.core.find import find

COUNT = 60
GONE = (0, 17, 41)


def of(split, units=False):
    return set((split.unit if units else split.ids).tolist())


def sides(task, units=False):
    return {name: of(split, units) for name, split in task.splits.items()}


def task(name, **settings):
    return find("tasks", name)(**settings).load("t")


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def csv(place, rows):
    text = "".join(f"{n},{n * n % 17},c{n % 7},{'yes' if n % 2 else 'no'}\n" for n in rows)
    (place / "t.csv").write_text(f"a,b,who,label\n{text}")
    return str(place / "t.csv")


def table(place, rows, **settings):
    return sides(task("csv", path=csv(place, rows), features=("a", "b"), **settings))


def grouped(place, rows):
    return table(place, rows, group_column="who", split_seed=1)


def few(place, rows):
    of_table = {"use": "csv", "path": csv(place, rows), "features": ("a", "b")}
    found = task("few_labels", of=of_table, labelled=2, tested="unseen").splits
    return {"test": of(found["test"]), "given": of(found["train"]) | of(found["unlabelled"])}


def part(place, rows):
    return sides(task("part", of={"use": "csv", "path": csv(place, rows)}, number=2))


def texts(place, rows):
    found = [{"text": f"text number {n}", "label": n % 2} for n in rows]
    return sides(task("text", path=lines(place / "t.jsonl", found)))


def pictures(place, rows):
    rng = np.random.default_rng(0)
    every = [rng.integers(0, 255, (8, 8), np.uint8) for _ in range(COUNT + 1)]
    for number, row in enumerate(rows):
        folder = place / "p" / ("yes" if row % 2 else "no")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(every[row]).save(folder / f"{number}.png")
    return sides(task("images", path=str(place / "p"), size=8, channels=1))


def questions(place, rows):
    found = [{"question": f"{n}?", "answer": str(n)} for n in rows]
    return sides(task("qa", path=lines(place / "q.jsonl", found), held_out=True))


def documents(place, rows):
    found = [{"text": f"document {n} says this. It also says {n * n}."} for n in rows]
    path = lines(place / "d.jsonl", found)
    return sides(task("language", path=path, passage=20), units=True)


def files(place, rows):
    (place / "docs").mkdir()
    for row in rows:
        (place / "docs" / f"{row}.txt").write_text(f"document {row} says this and {row * row}.")
    return sides(task("language", path=str(place / "docs")), units=True)


def students(place, rows):
    rng = np.random.default_rng(0)
    answers = rng.integers(0, 2, (COUNT + 1, 6))
    text = "".join(f"6\n1,2,3,1,2,3\n{','.join(map(str, answers[n]))}\n" for n in rows)
    (place / "s.txt").write_text(text)
    return sides(task("trace", path=str(place / "s.txt"), split_seed=2), units=True)


def searched(place, rows):
    items = [{"id": f"i{n}", "text": f"thing number {n}"} for n in rows]
    queries = [{"text": f"looking for {n}", "item": f"i{n}"} for n in rows]
    paths = {"items": lines(place / "i.jsonl", items), "queries": lines(place / "q.jsonl", queries)}
    found = task("retrieve", **paths)
    return {name: set(split.inputs.texts) for name, split in found.splits.items()}


DIVIDED = (table, grouped, few, part, texts, pictures, questions, documents, files, students,
           searched)  # fmt: skip


@pytest.mark.parametrize("load", DIVIDED, ids=lambda load: load.__name__)
def test_no_other_sample_moves(load, tmp_path):
    some = [row for row in range(COUNT) if row not in GONE]
    every = {"whole": range(COUNT), "fewer": some, "turned": range(COUNT)[::-1],
             "more": [COUNT, *range(COUNT)]}  # fmt: skip
    found = {}
    for name, rows in every.items():
        (tmp_path / name).mkdir()
        found[name] = load(tmp_path / name, rows)
    whole = found["whole"]
    assert all(whole.values())
    assert found["turned"] == whole
    lost = sum(len(whole[side] - found["fewer"][side]) for side in whole)
    assert lost >= 1
    for side, samples in whole.items():
        assert found["fewer"][side] <= samples
        assert samples <= found["more"][side]


def chosen_questions(place, rows):
    found = [{"question": f"{n}?", "answer": str(n)} for n in rows]
    return of(task("qa", path=lines(place / "q.jsonl", found), samples=20).splits["test"])


def chosen_prompts(place, rows):
    path = lines(place / "p.jsonl", [{"prompt": f"prompt {n}"} for n in rows])
    return of(task("complete", path=path, samples=20).splits["test"])


def chosen_highlights(place, rows):
    found = [{"document": f"d{n}", "sentence": f"{what} {n}", "highlight": high}
             for n in rows for what, high in (("this", f"h{n}"), ("that", ""))]  # fmt: skip
    path = lines(place / "c.jsonl", found)
    return of(task("cite", path=path, samples=20).splits["test"])


def chosen_documents(place, rows):
    path = lines(place / "d.jsonl", [{"text": f"document {n} says this."} for n in rows])
    found = task("language", path=path, documents=20, passages=1).splits
    return set.union(*(of(split) for split in found.values()))


def chosen_items(place, rows):
    items = [{"id": f"i{n}", "text": f"thing number {n}"} for n in rows]
    queries = [{"text": f"looking for {n}", "item": f"i{n}"} for n in rows]
    paths = {"items": lines(place / "i.jsonl", items), "queries": lines(place / "q.jsonl", queries)}
    train = task("retrieve", **paths, train_items=20).splits["train"]
    return {text for text in train.inputs.texts if text.startswith("thing")}


CHOSEN = (chosen_questions, chosen_prompts, chosen_highlights, chosen_documents, chosen_items)


@pytest.mark.parametrize("load", CHOSEN, ids=lambda load: load.__name__)
def test_a_row_less_changes_one_of_those_chosen_at_most(load, tmp_path):
    found = []
    for name, rows in (("whole", range(COUNT)), ("fewer", range(1, COUNT))):
        (tmp_path / name).mkdir()
        found.append(load(tmp_path / name, rows))
    whole, fewer = found
    assert len(whole) == len(fewer) == 20
    assert len(whole - fewer) <= 1
