"""A small recipe for every method there is: built in by asking the house, toys by hand.

A method joins by existing: its recipe is made from the roles and purposes it declares.
"""

from __future__ import annotations

from bequest.core.find import find, known

FIT = {"epochs": 2, "batch_size": 24, "optimizer": {"use": "adamw", "lr": 0.01}}
MODELS = {
    "logits": {"use": "mlp", "hidden": [6]},
    "logprob": {"use": "toys:Bigrams"},
    "embed": {"use": "toys:Embedder"},
    "dkt": {"use": "dkt", "width": 6},  # own networks of methods, in a small size
    "sakt": {"use": "sakt", "width": 6, "heads": 2},
    "cakt": {"use": "cakt", "side": 2, "kept": 2},
    "shda_ktf": {"use": "shda_ktf", "width": 4},  # as wide as the toys that are its source
    "stn": {"use": "stn", "width": 4},
    "nnt": {"use": "nnt", "width": 4},
    "independent": {"use": "embedder", "width": 4, "of": {"use": "mlp", "hidden": [6]}},
    "bct": {"use": "embedder", "width": 4, "of": {"use": "mlp", "hidden": [6]}},
    "bt2": {"use": "bt2", "extra": 2, "of": {"use": "toys:Embedder"}, "frozen": True},
    "extra_dimensions": {
        "use": "extra_dimensions",
        "old_width": 4,
        "extra": 2,
        "of": {"use": "mlp", "hidden": [6]},
    },
}
TASKS = {
    "logits": "toys:Cloud",
    "logprob": "toys:Sayings",
    "embed": "same_label",
    "trace": "toys:Pupils",
    "project": "toys:Cloud",
}


def recipe_for(name: str) -> dict:
    """The smallest recipe that shows the method at work."""
    method = find("methods", name)
    asks = next(iter(method.roles.values())).answers[0]
    models, mapped = {}, {}
    for role, about in method.roles.items():
        if about.optional:
            continue
        names = [f"{role}{number}" for number in range(2)] if about.many else [role]
        own = MODELS.get(name) or ({"use": name} if name in known("models") else None)
        models |= dict.fromkeys(names, (about.learns and own) or MODELS[about.answers[0]])
        mapped[role] = names if about.many else role
    tasks = {
        f"{purpose}_task": {"use": TASKS[asks], "purpose": purpose}
        | ({"of": {"use": "toys:Cloud"}} if asks == "embed" else {"shift": float(number)})
        for number, purpose in enumerate(method.requires.purposes)
    }
    first = f"{next(iter(method.requires.purposes))}_task"
    for number in range(2, method.requires.least_tasks + 1):
        tasks[f"{first}_{number}"] = {**tasks[first], "shift": float(number)}
    steps = {"steps": 6} if "steps" in method.fit_defaults else {}  # few, where it has many
    # A few steps an epoch, whatever the task: checkpoints are looked for in between.
    size = {"batch_size": 10} if asks == "logprob" else {}
    fit = {
        **FIT,
        **steps,
        **size,
        "optimizer": {"use": method.requires.optimizer or "adamw", "lr": 0.01},
    }
    return {
        "models": models,
        "tasks": tasks,
        "steps": [{"name": "step", "method": {"use": name}, "models": mapped}],
        "fit": fit,
        "seeds": [0],
    }


def toy_meta_dmoe() -> dict:
    """Two expert steps, then the method on their results."""
    sources = {f"source{i}": {"use": "toys:Cloud", "purpose": "source", "shift": i} for i in (0, 1)}
    experts = [
        {
            "name": f"expert{i}",
            "method": {"use": "finetune"},
            "models": {"student": f"base{i}"},
            "tasks": [f"learn{i}"],
        }
        for i in (0, 1)
    ]
    learn = {f"learn{i}": {"use": "toys:Cloud", "shift": i} for i in (0, 1)}
    return {
        "models": {name: {"use": "toys:net"} for name in ("base0", "base1", "student")},
        "tasks": sources
        | learn
        | {"unseen": {"use": "toys:Cloud", "purpose": "target", "shift": 2}},
        "steps": [
            *experts,
            {
                "name": "meta",
                "method": {"use": "toys:ToyMetaDmoe"},
                "models": {"donors": ["expert0.student", "expert1.student"], "student": "student"},
            },
        ],
        "fit": FIT,
    }


def choosing(name: str) -> dict:
    """A method at work while its model is asked: answers are chosen, and sentences found."""
    return {
        "models": {"generator": {"use": "toys:Scribe"}, "scorer": {"use": "toys:Scribe"}},
        "tasks": {
            "asked": {"use": "complete", "prompts": [f"what {n}?" for n in range(8)], "tokens": 4},
            "cited": {"use": "toys:Quotes"},
        },
        "steps": [
            {
                "name": "step",
                "method": {"use": name, "samples": 3},
                "models": {"generator": "generator", "scorer": ["scorer", "generator"]},
            }
        ],
        "fit": FIT,
        "seeds": [0],
    }


CASES = {
    **dict.fromkeys(known("methods"), recipe_for),
    "trlm": choosing,
    "toys:ToyUnlearn": recipe_for,
    "toys:ToyUpgrade": recipe_for,
    "toys:ToyMetaDmoe": lambda name: toy_meta_dmoe(),
}


def case(name: str) -> dict:
    """The recipe of a case."""
    return CASES[name](name)
