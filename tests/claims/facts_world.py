"""A world of facts that a small language model learns by heart, so that forgetting can be seen.

Each subject stands in four relations to one of eight objects; a relation has two words, so that
every fact is told in two wordings: `s3 r1a` and `s3 r1b`. A fact is asked by its subject and
relation; its answer is the object. The world of the card on knowledge unlearning has
32 subjects, of which the first four are to be forgotten.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from _claim import Demand
from pydantic import Field

import bequest
from bequest import ModelSpec, TaskSpec
from bequest.build.language import LanguageModel
from bequest.build.questions import Asked, Questions, asking, ids_of
from bequest.core.find import find
from bequest.lazy import transformers
from bequest.measure.address import find_row
from bequest.store.tensors import load_tensors

SUBJECTS, RELATIONS, OBJECTS = 40, 4, 8
WORDINGS = ("a", "b")
FORGOTTEN, KNOWN = 4, 32
CHANCE = 100 / OBJECTS


class Facts(TaskSpec):
    """What is known of some subjects; trained on and tested as it stands, in all its wordings."""

    asks: ClassVar[str] = "logprob"
    kind: ClassVar[str] = "text"

    draw: int = Field(0, ge=0, description="Which object each fact has.")
    subjects: tuple[int, int] = Field((0, KNOWN), description="The first, and one past the last.")
    wordings: tuple[Literal["a", "b"], ...] = WORDINGS
    wrong: bool = Field(False, description="Whether the other objects are known as wrong answers.")
    generate: int = Field(0, ge=0, description="Most tokens of a model's own answer.")

    def load(self, name: str) -> Questions:
        """The facts, subject by subject."""
        objects = np.random.default_rng([self.draw, 5]).integers(0, OBJECTS, (SUBJECTS, RELATIONS))
        found = [
            self._asked(f"s{subject} r{relation}{wording} is", int(objects[subject, relation]))
            for subject in range(*self.subjects)
            for relation in range(RELATIONS)
            for wording in self.wordings
        ]
        everything = np.arange(len(found))
        sides = {"train": everything, "test": everything}
        return asking(found, ids_of(found), sides, (), name, self, closed=False)

    def _asked(self, prompt: str, answer: int) -> Asked:
        others = [f" o{number}" for number in range(OBJECTS) if self.wrong and number != answer]
        return Asked(prompt, f" o{answer}", f" o{answer}", tuple(others))


class Speaker(ModelSpec):
    """A transformer of two layers, 48 wide, that reads the world's words."""

    answers: ClassVar = frozenset({"logprob", "complete"})
    takes: ClassVar = frozenset({"text"})

    width: int = 48
    layers: int = 2
    weights: str = Field("", description="A file of weights; none: they are drawn.")

    def build(self, shape, kind, labels) -> LanguageModel:
        """With the weights it is to have."""
        words = _tokenizer()
        config = transformers.LlamaConfig(
            vocab_size=len(words),
            hidden_size=self.width,
            intermediate_size=4 * self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=4,
            max_position_embeddings=16,
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
        )
        net = transformers.LlamaForCausalLM(config).eval()
        if self.weights:
            net.load_state_dict(load_tensors(Path(self.weights), net.state_dict()))
        return LanguageModel(net, words, longest=16)


def _tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers

    named = [f"s{number}" for number in range(SUBJECTS)]
    named += [f"r{number}{wording}" for number in range(RELATIONS) for wording in WORDINGS]
    named += [f"o{number}" for number in range(OBJECTS)]
    known = ["<start>", "<end>", "<unknown>", "is", "nothing", *named]
    words = {word: number for number, word in enumerate(known)}
    made = Tokenizer(models.WordLevel(words, unk_token="<unknown>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<start>", eos_token="<end>", pad_token="<end>"
    )


LEARNING = {
    "steps": 200,
    "batch_size": 2 * SUBJECTS * RELATIONS,  # all facts at once
    "optimizer": {"use": "adamw", "lr": 5.0e-3, "weight_decay": 0.01},
    "schedule": "cosine",
}
UNLEARNING = {
    "steps": 60,
    "batch_size": FORGOTTEN * RELATIONS,  # all that is to be forgotten, in one wording
    "optimizer": {"use": "adamw", "lr": 1.0e-3, "weight_decay": 0.01},
    "clip_norm": 1.0,
}


def world(seed, *, known=KNOWN, **settings):
    """The tasks of the world: all facts, those to forget in one wording and in the other, the rest.

    settings: of every task.
    """
    facts = {"use": "facts_world:Facts", "draw": seed, **settings}
    rest = {**facts, "subjects": [FORGOTTEN, known]}
    few = {**facts, "subjects": [0, FORGOTTEN]}
    return {
        "all": {**facts, "subjects": [0, known]},
        "forgotten": {**few, "wordings": ["a"], "purpose": "forget"},
        "reworded": {**few, "wordings": ["b"], "purpose": "probe"},
        "retained": {**rest, "purpose": "retain"},
    }


@cache
def trained(seed, on="all", known=KNOWN):
    """The file of a model that learnt one of the world's tasks; `retained` gives a gold model.

    Trained once in a process, as all claims begin with it.
    """
    recipe = {
        "models": {"student": {"use": "facts_world:Speaker"}},
        "tasks": {on: {**world(seed, known=known)[on], "purpose": "learn"}},
        "method": {"use": "finetune"},
        "fit": LEARNING,
        "seeds": [seed],
    }
    folder = tempfile.mkdtemp(prefix="facts-world-")
    atexit.register(shutil.rmtree, folder)
    run = bequest.run(recipe, out=f"{folder}/run")
    return str(run.path / f"models/finetune/student/seed-{seed}/model.safetensors")


def recipe(seed, *steps, known=KNOWN, gold=False, **settings):
    """Steps that go on from the model `taught`, which knows all.

    gold: whether a model `gold`, which never saw what is to be forgotten, stands beside it.
    settings: of every task.
    """
    learnt = {"taught": "all", **({"gold": "retained"} if gold else {})}
    models = {
        name: {"use": "facts_world:Speaker", "weights": trained(seed, task, known)}
        for name, task in learnt.items()
    }
    return {
        "models": models,
        "tasks": world(seed, known=known, **settings),
        "steps": list(steps),
        "seeds": [seed],
    }


def forgetting(name, method, *, retain=True, **fit):
    """A step that makes the taught model forget, by name; other fit settings than UNLEARNING."""
    return {
        "name": name,
        "method": method,
        "line": name,
        "models": {"student": "taught"},
        "tasks": ["forgotten", "retained"] if retain else ["forgotten"],
        "fit": {**UNLEARNING, **fit},
    }


def right(run, step, task):
    """Answers that are right after a step, or by the model of that name, in percent."""
    row = find_row(run.matrix.rows, step)
    return round(100 * run.matrix.value("exact_memorisation", row, task).value, 2)


METHODS = (
    "grad_ascent", "grad_diff", "kl_min", "npo", "simnpo", "idk_dpo", "undial", "ce_u", "wga",
    "satimp",
)  # fmt: skip
SETTINGS = {
    "idk_dpo": {"refusals": [" nothing"]},  # answers are of one word
    "ce_u": {"skipped": 0},
    # By default a token hardly counts once it is below 0.8, and stays the likeliest all the same.
    "satimp": {"gamma": 1.0, "beta1": 1.0},
}


@cache
def forgot(seed):
    """What is left, in percent, after each method, by `method on task`; one run for all claims.

    Those that need what is to be retained draw 32 samples of it.
    """
    steps = [_step(name) for name in METHODS]
    with tempfile.TemporaryDirectory() as folder:
        run = bequest.run(recipe(seed, *steps), out=f"{folder}/run")
        return {
            name: {f"{name} on {task}": right(run, name, task)
                   for task in ("forgotten", "reworded", "retained")}
            for name in METHODS
        }  # fmt: skip


def _step(name):
    retains = "retain" in find("methods", name).requires.purposes
    beside = {"retain_per_item": 2} if retains else {}
    method = {"use": name, **beside, **SETTINGS.get(name, {})}
    return forgetting(name, method, retain=retains)


def measured(seed, *methods):
    """Answers still right, in percent, after these methods, and what they are compared with."""
    found = forgot(seed)
    return {**{key: value for name in methods for key, value in found[name].items()}, **POINTS}


POINTS = {"20 points": 20.0, "25 points": 25.0, "30 points": 30.0, "65 points": 65.0}


def forgets(name):
    """The card's demand on a method that forgets; one of the sixteen facts is six points."""
    return (Demand("30 points", f"{name} on forgotten", by=0.0, on_average=True),)


def forgets_and_retains(name):
    """And on one that holds on to the rest."""
    return (*forgets(name), Demand(f"{name} on retained", "65 points", by=0.0))
