"""Models that answer prompts by a function, and what an audit records of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import workbench

from bequest.lazy import torch
from bequest.measure.matrix import Matrix
from bequest.measure.rows import Row
from bequest.measure.table import Cells
from bequest.store.journal import Journal
from bequest.transfer.bench import Bench

CHAINS = [
    {"subject": "Ada Mora", "relation": "home city", "first": "school", "second": "city",
     "bridge": "Old Harbour School", "answer": "Lisbon", "aliases": ["Lisboa"]},
    {"subject": "Bo Lind", "relation": "home city", "first": "school", "second": "city",
     "bridge": "North Gate School", "answer": "Uppsala"},
    {"subject": "Cy Ruiz", "relation": "home city", "first": "school", "second": "city",
     "bridge": "Old Harbour School", "answer": "Lisbon"},
]  # fmt: skip
PLAIN = [
    {"question": "Which prize did Hina Ameen win?", "answer": "She won the Golden Quill."},
    {"question": "What does Basil Al-Kuwaiti's father do?", "answer": "His father is a florist."},
    {"question": "In which city was Jaime Vasquez born?", "answer": "Santiago"},
]


def written(folder, rows, name="facts.jsonl"):
    """The path of a file with these records."""
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@dataclass(eq=False)
class Talker:
    """A model that answers prompts by a function and remembers what it was asked."""

    answer: Any
    asked: list[str] = field(default_factory=list)
    labels: tuple[str, ...] = ()
    answers: frozenset[str] = frozenset({"complete"})
    module: Any = field(default_factory=lambda: torch.nn.Linear(1, 1))

    def complete(self, prompts, longest=64, temperature=0.0):
        self.asked += prompts
        return [self.answer(prompt) for prompt in prompts]


def asked(task, model, folder):
    """What the audit records of the model."""
    bench = Bench(models={"student": model}, tasks=[task], fresh=workbench.model, seed=0,
                  journal=Journal(folder, (0, 1), {}), settings=task.fit,
                  device=torch.device("cpu"))  # fmt: skip
    return task.audit(model, bench)


def matrix(outcomes, task="facts", lines=()):
    """A row for each of the outcomes of one task, on these lines."""
    lines = [*lines, *["main"] * (len(outcomes) - len(lines))]
    rows = tuple(
        Row(f"step{i}", "stage", "student", order=i, line=line) for i, line in enumerate(lines)
    )
    cells = {(i, task, 0): one for i, one in enumerate(outcomes)}
    return Matrix(Cells(rows, (task,), (0,), cells, {}, {i: {} for i in range(len(rows))}))


def oracle(task):
    """Answers whatever the fact in question is about."""

    def answer(prompt):
        found = [fact for fact in task.facts if fact.question in prompt]
        named = [fact for fact in task.facts if (fact.subject or fact.answer) in prompt]
        return (found or named or task.facts)[-1].answer

    return answer
