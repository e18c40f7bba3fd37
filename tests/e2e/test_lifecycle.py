"""One life of a model, from teaching to the audit, in one matrix."""

from __future__ import annotations

import bequest


def test_what_was_grafted_is_forgotten_and_a_part_comes_back(workdir):
    run = bequest.run("lifecycle-digits", out="life")
    assert run.verdict.passed
    matrix = run.matrix
    at = {row.step: number for number, row in enumerate(matrix.rows)}

    def score(metric, step, task):
        return matrix.value(metric, at[step], task).value

    assert score("accuracy", "graft", "digits-3") > score("accuracy", "read", "digits-3") + 0.3
    assert score("accuracy", "forget", "digits-3") < score("accuracy", "gold", "digits-3")
    assert score("relearned", "forget", "again") > score("accuracy", "forget", "digits-3") + 0.1
    assert [pack.name for pack in (run.path / "packs").rglob("*.safetensors")]
