"""TRLM: the question's likelihood given the answer finds right answers among likely ones.

Exactly, where tables are known: the generator answers for its neighbours too, and asking back tells
them apart. And with learned models, whose generator prefers answers that fit every question.
"""

from __future__ import annotations

import tempfile
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
from _claim import Demand, checked
from two_ways import ASK, QUESTIONS, TELL, answers

import bequest
from bequest.lazy import torch
from bequest.methods.reason._choosing import Choosing, Generator
from bequest.methods.reason.trlm import Trlm

TRLMS = ("fo", "ba", "foba-reverse")
DEMANDS = (
    *(Demand(name, "ninety_five", by=0.0) for name in TRLMS),
    *(Demand(name, "self", by=10.0) for name in TRLMS),
    Demand("exact_reverse", "exact_theory", by=-2.0),
    Demand("exact_theory", "exact_reverse", by=-2.0),
    Demand("exact_reverse", "exact_single", by=70.0),
    Demand("exact_forward", "exact_single", by=-2.0),
    Demand("exact_single", "exact_forward", by=-2.0),
)
ADAM = {"use": "adam", "lr": 8.0e-3}
SIZE, ASKED = 16, 200
POOLS = 4  # of answers to each question, so that one pool without a right answer is not a sixteenth
PROMPTS = [question + " " * number for question in QUESTIONS for number in range(POOLS)]


def measure(seed):
    """Shares of right answers chosen, in percent."""
    return _learned(seed) | _exact(seed) | {"ninety_five": 95.0}


def _learned(seed):
    right, _ = answers(seed)
    with tempfile.TemporaryDirectory() as folder:
        run = bequest.run(_recipe(seed), out=f"{folder}/run")
        said = pq.read_table(run.path / "transcripts.parquet").to_pylist()
    found = {}
    for line in said:
        hits = [answer in right[line["prompt"].strip()] for answer in line["answer"].split("\n")]
        found.setdefault(line["stage"].removeprefix("ask."), []).append(any(hits))
    return {name: 100 * float(np.mean(hits)) for name, hits in found.items()
            if "." not in name}  # fmt: skip


def _recipe(seed):
    def taught(name, task):
        return {"name": f"teach_{name}", "method": {"use": "finetune"},
                "models": {"student": name}, "tasks": [task]}  # fmt: skip

    wordings = {"conditioning": f"{ASK} "}, {"conditioning": f" {TELL}"}
    choose = {"use": "trlm", "samples": SIZE, "template": "{question} " + ASK, "until": "",
              "rerank_backward": wordings[0], "rerank_forward": wordings[1]}  # fmt: skip
    roles = {
        "generator": "teach_forward.student",
        "scorer": [f"teach_{name}.student" for name in ("forward", "backward", "both")],
    }
    return {
        "models": {
            name: {"use": "two_ways:Reader", "order": name}
            for name in ("forward", "backward", "both")
        },
        "tasks": {
            "pairs": {"use": "two_ways:Pairs", "seed": seed},
            "turned": {"use": "two_ways:Pairs", "seed": seed, "both": True},
            "asked": {"use": "complete", "prompts": PROMPTS, "tokens": 4},
        },
        "steps": [
            taught("forward", "turned"),
            taught("backward", "pairs"),
            taught("both", "pairs"),
            {"name": "ask", "method": choose, "models": roles, "tasks": ["asked"]},
        ],
        "fit": {"steps": 500, "batch_size": 128, "optimizer": ADAM},
        "seeds": [seed],
    }


class Table:
    """Answers with any answer to a question or its neighbours, each as likely as the others."""

    module = torch.nn.Linear(1, 1)

    def __init__(self, near, rng):
        self.near, self.rng = near, rng

    def complete(self, prompts, longest, temperature):
        places = self.rng.random(len(prompts))
        pools = [self.near[prompt] for prompt in prompts]
        return [pool[int(at * len(pool))] for pool, at in zip(pools, places, strict=True)]


def _exact(seed):
    """The theorem of the card: 27 questions, two answers each, any two answers far apart."""
    rng = np.random.default_rng(seed)
    questions = [a + b + c for a in "abc" for b in "abc" for c in "abc"]
    codes = _far_apart(2 * len(questions), rng)
    own = {question: codes[2 * n : 2 * n + 2] for n, question in enumerate(questions)}
    near = {
        one: [code for other in questions if _apart(one, other) <= 1 for code in own[other]]
        for one in questions
    }
    back = {
        code: [one for one in questions if any(_apart(code, mine) <= 1 for mine in own[one])]
        for code in codes
    }

    def reverse(asked, given):
        pairs = zip(asked, given, strict=True)
        return np.array([1 / len(back[g]) if q in back[g] else 0.0 for q, g in pairs])

    def forward(asked, given):
        return np.array([1 / len(near[q]) for q in asked])

    def share(judge):
        method = Trlm(samples=SIZE, template="{question}")
        bench = SimpleNamespace(
            answered=lambda name, asked, models, make: make(), told=lambda part, parts: None
        )
        asked = questions * ASKED
        said = Choosing(Generator(bench, Table(near, rng), method), judge).complete(asked)
        return 100 * float(np.mean([a in own[q] for q, a in zip(asked, said, strict=True)]))

    return {
        "exact_single": share(None),
        "exact_forward": share(forward),
        "exact_reverse": share(reverse),
        "exact_theory": 100 * (1 - (1 - 1 / 7) ** SIZE),
    }


def _far_apart(count, rng):
    found: list[str] = []
    while len(found) < count:
        code = "".join(rng.choice(list("uvwxyz"), 5))
        if all(_apart(code, other) > 1 for other in found):
            found.append(code)
    return found


def _apart(one, other):
    return sum(a != b for a, b in zip(one, other, strict=True))


test_demands = checked(measure, DEMANDS)
