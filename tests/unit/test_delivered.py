"""What steps deliver: no weight twice that comes with the model anyway."""

from __future__ import annotations

import language_models
import pytest
from safetensors.torch import load_file

import bequest
from bequest.build.models.saved import Saved
from bequest.core.errors import RequestError
from bequest.core.live import Texts
from bequest.lazy import torch
from bequest.recipe.names import known_recipe
from bequest.store.tensors import load_tensors

TEXTS = Texts(tuple(language_models.SENTENCES))


@pytest.fixture
def recipe(workdir):
    language_models.language_model(workdir / "tiny")
    (workdir / "lines.jsonl").write_text(
        "\n".join(f'{{"text": "{text[:20]} {row}"}}' for row in range(5) for text in TEXTS.texts),
        encoding="utf-8",
    )
    tiny = {"use": "hf", "path": "tiny", "longest": 32}
    return {
        "models": {"student": {"use": "lora", "of": tiny, "rank": 2}},
        "tasks": {"lines": {"use": "language", "path": "lines.jsonl"}},
        "steps": [
            {"name": "first", "method": {"use": "finetune"}},
            {"name": "second", "method": {"use": "finetune"},
             "models": {"student": "first.student"}},
        ],
        "fit": {"steps": 3, "batch_size": 4},
    }  # fmt: skip


def likelihood(model):
    with torch.no_grad():
        return float(model.logprob(TEXTS).values.sum())


def perplexity(run, step):
    row = next(number for number, row in enumerate(run.matrix.rows) if row.step == step)
    return run.matrix.value("log_perplexity", row, "lines").value


def test_of_a_model_with_adapters_only_these_are_kept(recipe):
    run = bequest.run(recipe, out="run")
    files = sorted(run.path.glob("models/**/*.safetensors"))
    kept = [load_file(file) for file in files]
    assert all("lora_" in name for tensors in kept for name in tensors)
    assert all(tensors for tensors in kept)
    again = [Saved(path=str(file.parent)).restore() for file in files]
    assert likelihood(again[0]) != likelihood(again[1])


def test_what_was_kept_is_what_was_measured(recipe):
    run = bequest.run(recipe, out="run")
    folder = next(run.path.glob("models/second*/**/model.json")).parent
    saved = {**recipe, "models": {"student": {"use": "saved", "path": str(folder)}},
             "steps": recipe["steps"][:1]}  # fmt: skip
    other = bequest.run(saved, out="other")
    assert perplexity(other, "given") == pytest.approx(perplexity(run, "second"), abs=1e-6)


def test_adapters_that_no_step_moved_are_kept_too(recipe):
    # The first step of Adam leaves one of two matrices as it was drawn, which the next build isn't.
    recipe["fit"] = {"steps": 1, "optimizer": {"use": "adam"}}
    run = bequest.run(recipe, out="run")
    kept = load_file(next(run.path.glob("models/first*/**/*.safetensors")))
    matrices = {"lora_A": 0, "lora_B": 0}
    for name in kept:
        matrices[next(part for part in matrices if part in name)] += 1
    assert matrices["lora_A"] == matrices["lora_B"] > 0


def test_numbers_per_token_of_other_tokens_are_not_compared(recipe, workdir):
    language_models.language_model(workdir / "other", vocabulary=270)
    recipe["models"]["stranger"] = {"use": "hf", "path": "other", "longest": 32}
    run = bequest.run({**recipe, "steps": recipe["steps"][:1]}, out="run")
    rows = {row.name: number for number, row in enumerate(run.matrix.rows)}
    mine, its = rows["student"], rows["stranger"]
    assert run.matrix.value("log_perplexity", its, "lines").value > 0
    with pytest.raises(RequestError, match="read the texts as other tokens"):
        run.matrix.value("log_perplexity", its, "lines", against=mine)
    assert run.matrix.value("bits_per_byte", its, "lines", against=mine) is not None


def test_a_model_with_drawn_weights_is_kept_whole(workdir):
    recipe = {
        "models": {"student": {"use": "mlp", "hidden": [4]}},
        "tasks": {"wine": {"use": "wine"}},
        "method": {"use": "finetune"},
        "fit": {"steps": 2},
    }
    run = bequest.run(recipe, out="run")
    (file,) = run.path.glob("models/**/*.safetensors")
    assert len(load_tensors(file)) == 4


def test_recipes_are_found_with_either_dash():
    assert (
        known_recipe("general-transfer") == "general_transfer" == known_recipe("general_transfer")
    )
    assert known_recipe("quickstart_llm") == "quickstart-llm"
    assert known_recipe("nothing") is None
