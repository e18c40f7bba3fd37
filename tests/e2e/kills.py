"""Runs killed with SIGKILL at random moments and resumed: do they end with the same bits?

`kills.py --ends 200 --seed 1` prints, as JSON, how many runs of three recipes were killed (one of
texts among them), how often, and how many of them ended as one that nothing disturbed. Exit code 1
where one did not. Each attempt is a forked process, so that the moments fall into the work and not
into imports; `test_kill.py` kills whole commands.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "unit")]
os.environ |= {"TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}

from dying import CHAIN, command, contents  # noqa: E402 - found by the path above

import bequest  # noqa: E402

SEQUENCE = """
schema: 1
models: {student: {use: mlp, hidden: [12]}}
tasks: {turned: {use: rotations, of: {use: digits}, angles: [0, 60]}}
method: {use: replay, memory: 30}
fit: {epochs: 40, batch_size: 64, checkpoint_seconds: 0.05}
"""
TEXTS = """
schema: 1
models:
  teacher: {use: hf, path: FOLDER/model}
  student: {use: smaller, of: {use: hf, path: FOLDER/model}, layers: 1}
tasks:
  docs: {use: language, path: FOLDER/docs.jsonl, test: 0.3, purpose: retain}
  facts: {use: qa, path: FOLDER/facts.jsonl, generate: 4}
steps:
  - {name: teach, method: {use: finetune}, models: {student: teacher}}
  - {name: distil, method: {use: kd, temperature: 1, alpha: 0.5}, models: {teacher: teach.student}}
fit: {epochs: 16, batch_size: 4, checkpoint_seconds: 0.05}
"""
NAMES = ("chain", "sequence", "texts")


def written(name, folder):
    """The recipe of that name as a file in `folder`, with what it needs."""
    text = {"chain": CHAIN, "sequence": SEQUENCE, "texts": TEXTS}[name]
    if name == "texts":
        _texts(folder)
    recipe = folder / f"{name}.yaml"
    filled = {"FOLDER": str(folder), "EPOCHS": "60", "SECONDS": "0.05"}
    for word, value in filled.items():
        text = text.replace(word, value)
    recipe.write_text(text)
    return recipe


def _texts(folder):
    from language_models import SENTENCES, language_model

    language_model(folder / "model", layers=2)
    facts = [{"question": f"{n}?", "answer": f"it is {n}"} for n in range(6)]
    docs = [{"text": f"{SENTENCES[n % 4]} {'again ' * (n % 5)}{n}"} for n in range(16)]
    for name, records in (("facts", facts), ("docs", docs)):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, records)))


def end(folder):
    """All that must be the same: metrics, weights, what was written, and every recorded answer."""
    import pyarrow.parquet as pq

    found = contents(folder)
    if (texts := folder / "transcripts.parquet").exists():
        found["transcripts.parquet"] = texts.read_bytes()
    answers = pq.read_table(folder / "outcomes.parquet")
    # what a run cost stands in the metadata, and is never twice the same
    found["outcomes"] = repr(answers.replace_schema_metadata(None).to_pydict()).encode()
    return {name: hashlib.blake2b(told).hexdigest() for name, told in found.items()}


def attempt(recipe, folder, seconds):
    """Run or go on with it for so long; whether it was killed then, or had come to its end."""
    child = os.fork()
    if not child:
        code = 1
        try:
            bequest.run(recipe, out=folder, resume=(folder / "run.json").exists())
            code = 0
        finally:
            os._exit(code)
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0, f"{folder}: the run failed"
            return False
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


class Victim:
    """A recipe, the end of a run in a process of its own, and how long a forked one takes."""

    def __init__(self, name, folder):
        self.name, self.folder = name, folder
        self.recipe = written(name, folder)
        code, said = command("run", self.recipe, "--out", folder / "whole")
        assert code == 0, said
        self.end = end(folder / "whole")
        bequest.run(self.recipe, out=folder / "warm")  # what a run imports is imported once
        began = time.monotonic()
        assert not attempt(self.recipe, folder / "timed", 600)
        self.seconds = time.monotonic() - began

    def killed(self, draw):
        """A run killed once or twice and resumed: how often, and whether its end is the same."""
        place, kills = self.folder / "run", 0
        while not kills:
            shutil.rmtree(place, ignore_errors=True)
            kills = int(attempt(self.recipe, place, draw.uniform(0, 0.95) * self.seconds))
        if draw.random() < 0.5:
            kills += attempt(self.recipe, place, draw.uniform(0, 0.95) * self.seconds)
        attempt(self.recipe, place, 600)
        same = end(place) == self.end
        if not same:
            shutil.move(place, f"{place}-differs-{draw.random()}")
        return kills, same


def survey(name, folder, ends, seed):
    """The figures of one recipe."""
    draw = random.Random(f"{seed} {name}")
    victim = Victim(name, folder)
    began = time.monotonic()
    found = [victim.killed(draw) for _ in range(ends)]
    return {
        "recipe": name,
        "ends": ends,
        "identical": sum(same for _, same in found),
        "kills": sum(kills for kills, _ in found),
        "seconds of a run": round(victim.seconds, 2),
        "seconds": round(time.monotonic() - began),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ends", type=int, default=200)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--only", choices=NAMES)
    asked = parser.parse_args()
    names = [asked.only] if asked.only else NAMES
    whole, more = divmod(asked.ends, len(names))
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for number, name in enumerate(names):
            place = Path(folder) / name
            place.mkdir()
            rows.append(survey(name, place, whole + (number < more), asked.seed))
            print(json.dumps(rows[-1]), flush=True)
    sys.exit(any(row["identical"] != row["ends"] for row in rows))


if __name__ == "__main__":
    main()
