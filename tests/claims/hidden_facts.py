"""Two worlds of facts that a small language model learns by heart, and ways to make it forget.

*Chains*: 40 subjects; a subject leads over one of 16 bridges to one of 8 answers. It is told in five
forms: the answer directly, the way with the answer, each of the two hops, and an attribute that has
nothing to do with it. *Facts*: 32 subjects in four relations to one of 8 objects.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from bequest import Method, ModelSpec, Requires, Role, Stage
from bequest.build.language import LanguageModel
from bequest.build.likelihood import summed_nll
from bequest.core.live import Texts
from bequest.lazy import functional, torch, transformers
from bequest.transfer.pool import together
from bequest.transfer.streams import pair

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
            hidden_size=48,
            intermediate_size=192,
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


class Forgetting(Method):
    """Make a model forget by one of several losses; a second term holds on to the rest."""

    roles: ClassVar = {"student": Role("the model that forgets", answers=("logprob",), learns=True)}
    requires: ClassVar = Requires(purposes=("forget", "retain"))

    by: Literal["grad_diff", "npo", "simnpo", "idk_dpo", "rmu"] = Field(description="The loss.")

    def transfer(self, bench):
        """One stage: the student after forgetting."""
        student, before = bench.model(), bench.copy(bench.model(), frozen=True)
        forget, retain = together(bench.tasks("forget")), together(bench.tasks("retain"))
        away = getattr(self, f"_{self.by}") if self.by != "rmu" else _Rmu(student, before)

        def loss(model, batch, rng):
            forgotten, kept = away(model, before, batch["forget"].inputs), batch["retain"].inputs
            if self.by == "rmu":
                return {"forget": forgotten, "retain": (5.0, away.still(model, kept))}
            total, tokens = summed_nll(model, kept)
            weight = 0.125 if self.by == "simnpo" else 1.0
            return {"forget": (weight, forgotten), "retain": total / tokens}

        bench.fit(student, pair(forget=forget, retain=retain), loss)
        yield Stage("forgot", student)

    def _grad_diff(self, model, before, texts):
        total, tokens = summed_nll(model, texts)
        return -total / tokens

    def _npo(self, model, before, texts, beta=0.1):
        moved = each_nll(model, texts)[0] - _unmoved(before, texts)
        return 2 / beta * functional.softplus(-beta * moved).mean()

    def _simnpo(self, model, before, texts, beta=4.5):
        nll, tokens = each_nll(model, texts)
        return -2 / beta * functional.logsigmoid(beta * nll / tokens).mean()

    def _idk_dpo(self, model, before, texts, beta=0.1):
        idle = Texts((" nothing",) * len(texts), texts.prompts, closed=True)
        towards = _unmoved(before, idle) - each_nll(model, idle)[0]
        moved = each_nll(model, texts)[0] - _unmoved(before, texts)
        return -2 / beta * functional.logsigmoid(beta * (towards + moved)).mean()


class _Rmu:
    """Hidden states behind the first block are driven to a random direction; RMU with s = 5."""

    def __init__(self, student, before):
        self._before = before
        draw = torch.rand(48)
        self._aim = 5 * draw / draw.norm()
        for name, weight in student.module.named_parameters():
            weight.requires_grad_(name == "model.layers.0.mlp.down_proj.weight")

    def __call__(self, model, before, texts):
        return (self._states(model, texts) - self._aim).square().mean()

    def still(self, model, texts):
        with torch.no_grad():
            there = self._states(self._before, texts)
        return (self._states(model, texts) - there).square().mean()

    def _states(self, model, texts):
        encoded = model.encoded(texts)
        asked = {"input_ids": encoded.ids, "attention_mask": encoded.mask}
        held = model.module.base_model(**asked, output_hidden_states=True).hidden_states[1]
        return held.flatten(0, 1)[encoded.places + 1]  # of the answer's tokens themselves


def each_nll(model, texts):
    """Negative log-probability of each text, in nats, and its number of tokens."""
    found = model.logprob(texts)
    parts = found.values.split(found.lengths.tolist())
    return -torch.stack([part.sum() for part in parts]), found.lengths


def _unmoved(before, texts):
    with torch.no_grad():
        return each_nll(before, texts)[0]


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
        return [{"question": f"s{s} q{relation}{wording} A", "answer": f"o{objects[s, relation]}"}
                for s in subjects for relation in range(RELATIONS) for wording in wordings]  # fmt: skip

    sides = {
        "all": told(range(KNOWN)),
        "kept": told(range(FORGOTTEN, KNOWN)),
        "forgotten": told(range(FORGOTTEN), "a"),
    }
    purposes = {"kept": "retain", "forgotten": "forget"}
    tasks = {name: _qa(_written(folder, name, rows), purposes.get(name, "learn"))
             for name, rows in sides.items()}  # fmt: skip
    again = {**tasks["forgotten"], "generate": 2}
    tasks["again"] = {"use": "relearn", "of": again, "steps": list(range(0, 31, 3)), "lr": 1.0e-3}
    return tasks


LEARNING = {"batch_size": 1000, "optimizer": {"use": "adamw", "lr": 5.0e-3, "weight_decay": 0.01},
            "schedule": "cosine"}  # fmt: skip
UNLEARNING = {"steps": 60, "batch_size": 32, "clip_norm": 1.0,
              "optimizer": {"use": "adamw", "lr": 1.0e-3, "weight_decay": 0.01}}  # fmt: skip


def recipe(seed, tasks, gold, steps, *forgetting):
    """A model learns all, another never sees a part, and each way of forgetting goes on.

    gold: the task that the other one learns; steps: of learning; forgetting: pairs of a loss and
        the tasks of its step.
    """
    learn = {**LEARNING, "steps": steps}
    taught = {"name": "taught", "method": {"use": "finetune"}, "tasks": ["all"], "fit": learn}
    never = {"name": "gold", "method": {"use": "gold"}, "line": "gold", "tasks": [gold],
             "fit": learn}  # fmt: skip
    ways = [
        {"name": f"{by}-{names[0]}", "method": {"use": "hidden_facts:Forgetting", "by": by},
         "line": f"{by}-{names[0]}", "models": {"student": "taught.student"}, "tasks": list(names),
         "fit": UNLEARNING}
        for by, names in forgetting
    ]  # fmt: skip
    return {"models": {"student": {"use": "hidden_facts:Speaker"}}, "tasks": tasks,
            "steps": [taught, never, *ways], "seeds": [seed]}  # fmt: skip


def percent(run, metric, step, task):
    """A metric after a step, in percent."""
    row = next(number for number, row in enumerate(run.matrix.rows) if row.step == step)
    return round(100 * run.matrix.value(metric, row, task).value, 2)
