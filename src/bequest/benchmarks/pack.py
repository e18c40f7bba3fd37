"""Packs put on, taken off and checked, and merges, on files: beside a copy, and mergekit if there.

Three checkpoints in float32, warm in the cache. The floor is a plain copy of one of them, synced to
disk as everything that is written here. Memory is what a process of its own adds to its anonymous
memory after its imports; Linux only.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.benchmarks import _mergekit
from bequest.benchmarks._side_by_side import Unit, machine, side_by_side
from bequest.core.progress import Silent
from bequest.methods.graft._making import made
from bequest.ops.deltas import cut, kept_entries
from bequest.store.checkpoints import checkpoint, floats
from bequest.store.packs import write_pack
from bequest.store.tensor_header import laid_out
from bequest.transfer.merge_files import arithmetic_rule, linear_rule, merged, ties_rule
from bequest.transfer.skill_files import applied, removed, verified

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from bequest.store.checkpoints import Place

PROMISE = (
    "elementwise packs at 0.8 times the speed of a file copy or more, 64 MB beyond imports at the "
    "most, and elementwise merges from a command's start to its end 8 times as fast as mergekit's"
)
LEAST_SPEED, MOST_MEMORY, LEAST_FASTER = 0.8, 64e6, 8.0
WIDTH, INNER, LAYERS, WORDS = 512, 1408, 12, 16_000
DENSITY, BUDGET = 0.5, 0.1
_CLOSE = {"linear": 0.0, "task_arithmetic": 1e-6, "ties": 1e-6}


def bench(rounds: int = 4, layers: int = LAYERS) -> dict[str, Any]:
    """Seconds of each way, and memory; layers: of the checkpoints, 13 MB each."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        _specimens(folder, layers)
        rows = [_packs(folder, rounds), *(_merge(folder, name, rounds) for name in _rules())]
        memory = _memory(folder)
    copies = [name for name in ("apply", "remove", "verify")
              if "void" in rows[0] or rows[0]["wall"][name]["ratio"] > 1 / LEAST_SPEED]  # fmt: skip
    fast = all(row.get("times_faster", LEAST_FASTER) >= LEAST_FASTER for row in rows[1:3])
    return {
        "name": "pack",
        "promise": PROMISE,
        "kept": not copies and fast and max(memory.values()) <= MOST_MEMORY,
        "rows": [*rows, {"what": "bytes that each adds beyond imports", **memory}],
        "machine": machine() | {"mergekit": _mergekit.version() or "not installed"},
    }


def _specimens(folder: Path, layers: int) -> None:
    """A base, two tuned models, and a pack of the largest entries of the first."""
    shapes = {"model.embed_tokens.weight": (WORDS, WIDTH), "model.norm.weight": (WIDTH,)}
    for number in range(layers):
        head = f"model.layers.{number}."
        shapes |= {f"{head}self_attn.{each}_proj.weight": (WIDTH, WIDTH) for each in "qkvo"}
        shapes |= {f"{head}mlp.{each}_proj.weight": (INNER, WIDTH) for each in ("gate", "up")}
        shapes |= {f"{head}mlp.down_proj.weight": (WIDTH, INNER)}
        shapes |= {f"{head}{each}_layernorm.weight": (WIDTH,)
                   for each in ("input", "post_attention")}  # fmt: skip
    own = {name: _drawn(0, name, shape) for name, shape in shapes.items()}
    for number, name in enumerate(("base", "one", "two")):
        moved = {key: value + _drawn(number, key, value.shape) / 100 if number else value
                 for key, value in own.items()}  # fmt: skip
        _write(folder / name, moved)
    pack = made(folder / "base", folder / "one", "magnitude", BUDGET, Silent())
    write_pack(folder / "skill.safetensors", pack)
    applied(folder / "base", [folder / "skill.safetensors"], folder / "with")


def _drawn(seed: int, name: str, shape: tuple[int, ...]) -> Any:
    draw = np.random.default_rng([seed, *name.encode()])
    return draw.standard_normal(shape, np.float32) / np.float32(WIDTH**0.5)


def _write(folder: Path, tensors: dict[str, Any]) -> None:
    folder.mkdir()
    head, order = laid_out({name: ("F32", each.shape) for name, each in tensors.items()}, {})
    with (folder / "model.safetensors").open("wb") as file:
        file.write(head)
        for name in order:
            file.write(tensors[name].data)
    heads = WIDTH // 64
    told = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "float32",
        "hidden_size": WIDTH, "intermediate_size": INNER, "vocab_size": WORDS,
        "num_hidden_layers": sum(name.endswith("q_proj.weight") for name in tensors),
        "num_attention_heads": heads, "num_key_value_heads": heads, "tie_word_embeddings": True,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(told))


def _packs(folder: Path, rounds: int) -> dict[str, Any]:
    base, skill, model, out = (folder / name for name in
                               ("base", "skill.safetensors", "with", "out"))  # fmt: skip

    def fresh(work: Callable[[], Any]) -> Callable[[], bool]:
        def timed() -> bool:
            shutil.rmtree(out, ignore_errors=True)
            work()
            return True

        return timed

    ways = {
        "copy": fresh(lambda: _copied(base, out)),
        "apply": fresh(lambda: applied(base, [skill], out)),
        "remove": fresh(lambda: removed(model, "skill", out)),
        "verify": fresh(lambda: verified(model, base)),
    }
    size = checkpoint(base).size
    found = side_by_side(f"a pack on {size / 1e6:.0f} MB", ways, lambda one, other: one == other,
                         rounds=rounds, unit=Unit("s", 1.0))  # fmt: skip
    removed(model, "skill", folder / "back")
    same = (folder / "back" / "model.safetensors").read_bytes()
    whole = same == (base / "model.safetensors").read_bytes()
    return found if whole else {"what": found["what"], "void": "remove did not give the base"}


def _copied(base: Path, out: Path) -> None:
    out.mkdir()
    shutil.copyfile(base / "model.safetensors", out / "model.safetensors")
    with (out / "model.safetensors").open("rb") as file:
        os.fsync(file.fileno())


def _rules() -> dict[str, Any]:
    shares = [1.0, 1.0]
    return {
        "linear": linear_rule(shares),
        "task_arithmetic": arithmetic_rule(shares),
        "ties": ties_rule(shares, DENSITY),
    }


def _merge(folder: Path, name: str, rounds: int) -> dict[str, Any]:
    base = folder / "base"

    def ours() -> Path:
        shutil.rmtree(folder / "ours", ignore_errors=True)
        merged(base, _tuned(folder), folder / "ours", _rules()[name])
        return folder / "ours"

    def copied() -> Path:
        shutil.rmtree(folder / "copy", ignore_errors=True)
        _copied(base, folder / "copy")
        return folder / "copy"

    def peers() -> Path:
        shutil.rmtree(folder / "peers", ignore_errors=True)
        _mergekit.merge(_peers_settings(folder, name), folder / "peers")
        return folder / "peers"

    ways: dict[str, Callable[[], Path]] = {"copy": copied, "bequest": ours}
    if _mergekit.version():
        ways["mergekit"] = peers
    row = side_by_side(f"{name} of two models", ways, lambda one, other: True, rounds=rounds)
    if "mergekit" in ways:
        row["largest_difference"] = apart = _apart(folder, name)
        if apart > _CLOSE[name]:
            return {"what": row["what"], "void": f"mergekit differs by {apart:.2g}"}
        least = {way: row["cpu"][way]["min"] for way in ways}
        row["without_imports"] = round(least["mergekit"] / least["bequest"], 2)
        row["times_faster"] = _times_faster(folder, name, rounds)
    return row


def _peers_settings(folder: Path, name: str) -> dict[str, Any]:
    density = DENSITY if name == "ties" else None
    return _mergekit.settings(name, folder / "base", _tuned(folder), density)


def _tuned(folder: Path) -> list[Path]:
    return [folder / "one", folder / "two"]


def _apart(folder: Path, name: str) -> float:
    """The largest difference between both merges.

    Trimming keeps some of the entries whose magnitude is that of the smallest kept, each program
    others: these are left out.
    """
    ours, peers = checkpoint(folder / "ours").tensors, checkpoint(folder / "peers").tensors
    base = checkpoint(folder / "base").tensors
    tuned = [checkpoint(path).tensors for path in _tuned(folder)]
    most = 0.0
    for tensor in ours:
        before = _floats(base[tensor])
        apart = np.abs(_floats(ours[tensor]) - _floats(peers[tensor]))
        for each in tuned if name == "ties" else ():
            delta = np.abs(_floats(each[tensor]) - before)
            found = cut(lambda delta=delta: [delta], kept_entries(DENSITY, delta.size))  # type: ignore[misc]
            apart[delta == np.float32(found.least)] = 0
        most = max(most, float(apart.max()))
    return most


def _floats(place: Place) -> NDArray[np.float32]:
    return floats(place.bytes(), "F32")


def _times_faster(folder: Path, name: str, rounds: int) -> float:
    """CPU time of mergekit's process over ours, from start to end, the smallest of each."""
    settings = folder / f"{name}.json"
    settings.write_text(json.dumps(_peers_settings(folder, name)))
    ours = [sys.executable, "-c", _MERGE, str(folder), name, str(DENSITY)]
    peers = [*_mergekit.command(), str(settings), str(folder / "watched-peers")]
    spent = [(_cpu_of(ours, folder), _cpu_of(peers, folder)) for _ in range(rounds)]
    return round(min(other for _, other in spent) / min(own for own, _ in spent), 2)


def _cpu_of(command: list[str], folder: Path) -> float:
    """Seconds of CPU that a process takes; what such a process wrote before is taken away."""
    for old in folder.glob("watched-*"):
        shutil.rmtree(old)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - these very programs
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


# Not `work`, as this file imports what merging has no use for, and imports are counted here.
_MERGE = """
import sys
from pathlib import Path
from bequest.transfer import merge_files as files
folder, name, density = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
rules = {"linear": files.linear_rule, "task_arithmetic": files.arithmetic_rule}
rule = rules[name]([1.0, 1.0]) if name in rules else files.ties_rule([1.0, 1.0], density)
files.merged(folder / "base", [folder / "one", folder / "two"], folder / "watched-ours", rule)
"""


_PROGRAM = """
import sys, threading, time
from pathlib import Path
from bequest.benchmarks import pack
from bequest.transfer import merge_files, skill_files
folder, what = Path(sys.argv[1]), sys.argv[2]
def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024
before, most, going = anonymous(), 0, True
def watch():
    global most
    while going:
        most = max(most, anonymous()); time.sleep(0.005)
watcher = threading.Thread(target=watch); watcher.start()
pack.work(folder, what)
going = False; watcher.join()
print(most - before)
"""


def work(folder: Path, what: str) -> None:
    """One kind of work on the specimens, once; for a process whose memory is watched."""
    out = folder / f"watched-{what}"
    if what == "apply":
        applied(folder / "base", [folder / "skill.safetensors"], out)
    elif what == "remove":
        removed(folder / "with", "skill", out)
    elif what == "verify":
        verified(folder / "with", folder / "base")
    else:
        merged(folder / "base", _tuned(folder), out, _rules()[what])


def _memory(folder: Path) -> dict[str, int]:
    """Bytes that each kind of work adds at its peak."""
    found = {}
    for what in ("apply", "remove", "verify", *_rules()):
        done = subprocess.run(  # noqa: S603 - this very program
            [sys.executable, "-c", _PROGRAM, str(folder), what],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        found[what] = int(done.stdout)
    return found
