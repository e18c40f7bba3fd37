"""Two worlds of facts that a small language model learns by heart, and ways to make it forget.

*Chains*: 40 subjects; each leads over one of 16 bridges to one of 8 answers. It is told in five
forms: the answer directly, the way with the answer, each of the two hops, and an attribute that has
nothing to do with it. *Facts*: 32 subjects in four relations to one of 8 objects.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import numpy as np

from bequest import Method, ModelSpec, Requires, Role, Stage
from bequest.build.language import LanguageModel
from bequest.lazy import torch, transformers
from bequest.transfer.pool import together
from bequest.transfer.streams import pair

WIDTH = 48
SUBJECTS, BRIDGES, ANSWERS, RELATIONS = 40, 16, 8, 4
MARKS = ("<start>", "<end>", "<unknown>", "A", "THINK", "R", "r1", "r2", "x", "nothing")
KINDS = {"s": SUBJECTS, "b": BRIDGES, "o": ANSWERS, "v": ANSWERS}
ASKED = "{question}"
IN_EVERY_FORM = 8  # chains to forget
FORGOTTEN, KNOWN = 4, 32  # subjects of the other world


class Speaker(ModelSpec):
    """A transformer of two layers, 48 wide, that reads the words of both worlds."""

    answers: ClassVar = frozenset({"logprob", "complete"})
    takes: ClassVar = frozenset({"text"})

    def build(self, shape, kind, labels) -> LanguageModel:
        """An untrained one."""
        words = _tokenizer()
        config = transformers.LlamaConfig(
            vocab_size=len(words),
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=16,
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
        )
        net = transformers.LlamaForCausalLM(config).eval()
        return LanguageModel(net, words, longest=16)


def _tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers

    named = [f"{kind}{number}" for kind, count in KINDS.items() for number in range(count)]
    named += [f"q{number}{wording}" for number in range(RELATIONS) for wording in "ab"]
    words = {word: number for number, word in enumerate([*MARKS, *named])}
    made = Tokenizer(models.WordLevel(words, unk_token="<unknown>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<start>", eos_token="<end>", pad_token="<end>"
    )


class Rmu(Method):
    """Hidden states behind the first block are driven to a random direction; s = 5, alpha = 5."""

    roles: ClassVar = {"student": Role("the model that forgets", answers=("logprob",), learns=True)}
    requires: ClassVar = Requires(purposes=("forget", "retain"))

    def transfer(self, bench):
        """One stage: the student after forgetting."""
        student, before = bench.model(), bench.copy(bench.model(), frozen=True)
        forget, retain = together(bench.tasks("forget")), together(bench.tasks("retain"))
        draw = torch.rand(WIDTH, generator=bench.rng("direction"))
        aim = 5 * draw / draw.norm()
        for name, weight in student.module.named_parameters():
            weight.requires_grad_(name == "model.layers.0.mlp.down_proj.weight")

        def loss(model, batch, rng):
            kept = batch["retain"].inputs
            with torch.no_grad():
                there = _states(before, kept)
            away = (_states(model, batch["forget"].inputs) - aim).square().mean()
            return {"forget": away, "retain": (5.0, (_states(model, kept) - there).square().mean())}

        bench.fit(student, pair(forget=forget, retain=retain), loss)
        student.module.requires_grad_(True)
        yield Stage("forgot", student)


def _states(model, texts):
    """What stands behind the first block at the tokens of the answers: [tokens, width]."""
    encoded = model.encoded(texts)
    asked = {"input_ids": encoded.ids, "attention_mask": encoded.mask}
    held = model.module.base_model(**asked, output_hidden_states=True).hidden_states[1]
    return held.flatten(0, 1)[encoded.places + 1]


def _written(folder, name, rows):
    path = Path(folder) / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def _qa(path, purpose, generate=0):
    return {"use": "qa", "path": path, "template": ASKED, "generate": generate,
            "purpose": purpose}  # fmt: skip


def chains(folder, seed):
    """The tasks of the world of chains, and the audit of those to forget."""
    rng = np.random.default_rng([seed, 7])
    first = rng.integers(0, BRIDGES, SUBJECTS)
    second = np.concatenate([np.arange(ANSWERS), rng.integers(0, ANSWERS, BRIDGES - ANSWERS)])
    attribute = rng.integers(0, ANSWERS, SUBJECTS)
    forms = {
        "direct": [(f"s{s} R A", f"o{second[first[s]]}") for s in range(SUBJECTS)],
        "reasoning": [(f"s{s} R THINK", f"b{first[s]} o{second[first[s]]}")
                      for s in range(SUBJECTS)],
        "hop": [(f"s{s} r1 A", f"b{first[s]}") for s in range(SUBJECTS)],
        "way": [(f"b{b} r2 A", f"o{second[b]}") for b in range(BRIDGES)],
        "attribute": [(f"s{s} x A", f"v{attribute[s]}") for s in range(SUBJECTS)],
    }  # fmt: skip
    told = {form: [{"question": q, "answer": a} for q, a in rows] for form, rows in forms.items()}
    few = slice(0, IN_EVERY_FORM)
    rest = slice(IN_EVERY_FORM, None)
    others = [row for form in ("direct", "reasoning", "hop") for row in told[form][rest]]
    everything = {
        "all": [row for rows in told.values() for row in rows],
        "untold": [*others, *told["way"], *told["attribute"]],
        "kept": [*others, *told["way"], *told["attribute"][rest]],
        "direct": told["direct"][few],
        "forms": [row for form in ("direct", "reasoning", "hop") for row in told[form][few]],
    }
    purposes = {"direct": "forget", "forms": "forget", "kept": "retain", "untold": "retain"}
    tasks = {name: _qa(_written(folder, name, rows), purposes.get(name, "learn"))
             for name, rows in everything.items()}  # fmt: skip
    facts = [
        {"question": f"s{s} R", "answer": f"o{second[first[s]]}", "prompts": [
            {"category": "indirect", "prompt": f"s{s} r1"},
            {"category": "implied", "prompt": "{own} r2"},
            {"category": "control", "prompt": f"s{s} x", "answer": f"v{attribute[s]}"}]}
        for s in range(IN_EVERY_FORM)
    ]  # fmt: skip
    tasks["attacked"] = {
        "use": "sleek", "path": _written(folder, "attacked", facts), "prompts": 1, "tokens": 3,
        "template": "{question} A", "reasoning": "{question} THINK", "refusals": ["nothing"],
        "modes": ["reasoned"],
    }  # fmt: skip
    return tasks


def facts(folder, seed):
    """The tasks of the world of facts, and the audit that learns half of the forgotten again."""
    objects = np.random.default_rng([seed, 5]).integers(0, ANSWERS, (KNOWN, RELATIONS))

    def told(subjects, wordings="ab"):
        return [
            {"question": f"s{s} q{number}{wording} A", "answer": f"o{objects[s, number]}"}
            for s in subjects
            for number in range(RELATIONS)
            for wording in wordings
        ]

    sides = {
        "all": told(range(KNOWN)),
        "kept": told(range(FORGOTTEN, KNOWN)),
        "forgotten": told(range(FORGOTTEN), "a"),
    }
    purposes = {"kept": "retain", "forgotten": "forget"}
    tasks = {name: _qa(_written(folder, name, rows), purposes.get(name, "learn"))
             for name, rows in sides.items()}  # fmt: skip
    again = {**tasks["forgotten"], "generate": 2}
    tasks["again"] = {"use": "relearn", "of": again, "steps": [0, 2, 5, 10, 20, 30], "lr": 1.0e-3}
    return tasks


LEARNING = {"batch_size": 1000, "optimizer": {"use": "adamw", "lr": 5.0e-3, "weight_decay": 0.01},
            "schedule": "cosine"}  # fmt: skip
UNLEARNING = {"steps": 60, "batch_size": 32, "clip_norm": 1.0,
              "optimizer": {"use": "adamw", "lr": 1.0e-3, "weight_decay": 0.01}}  # fmt: skip


WAYS = {
    "simnpo": {"use": "simnpo"},
    "idk_dpo": {"use": "idk_dpo", "refusals": [" nothing"]},
    "npo": {"use": "npo"},
    "grad_diff": {"use": "grad_diff"},
    "rmu": {"use": "hidden_facts:Rmu"},
}


def forgetting(way, forget, retain_per_item):
    """A step in which the taught model forgets a task in one of the ways."""
    beside = {} if way == "rmu" else {"retain_per_item": retain_per_item}
    return {
        "name": f"{way}-{forget}",
        "method": {**WAYS[way], **beside},
        "line": f"{way}-{forget}",
        "models": {"student": "taught.student"},
        "tasks": [forget, "kept"],
        "fit": UNLEARNING,
    }


def recipe(seed, tasks, gold, steps, *forgotten):
    """A model learns all, another never sees a part, and each way of forgetting goes on.

    gold: the task that the other one learns; steps: of learning; forgotten: steps of forgetting.
    """
    learn = {**LEARNING, "steps": steps}
    taught = {"name": "taught", "method": {"use": "finetune"}, "tasks": ["all"], "fit": learn}
    never = {"name": "gold", "method": {"use": "gold"}, "line": "gold", "tasks": [gold],
             "fit": learn}  # fmt: skip
    return {"models": {"student": {"use": "hidden_facts:Speaker"}}, "tasks": tasks,
            "steps": [taught, never, *forgotten], "seeds": [seed]}  # fmt: skip


def percent(run, metric, step, task):
    """A metric after a step, in percent."""
    row = next(number for number, row in enumerate(run.matrix.rows) if row.step == step)
    return round(100 * run.matrix.value(metric, row, task).value, 2)
