"""An upgrade of an embedder, from file to file, beside its bare matrix products."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.benchmarks._side_by_side import machine, side_by_side
from bequest.build.upgrade import KIND, ROWS, Upgrade, load_upgrade
from bequest.core.pack import Pack
from bequest.store.packs import write_pack

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

PROMISE = "at least 0.8 times the speed of the bare matrix products, from file to file"
LEAST = 0.8
VECTORS, WIDTH, OLD_WIDTH, EXTRA = 40_000, 384, 384, 32


def bench(vectors: int = VECTORS, rounds: int = 6) -> dict[str, Any]:
    """A pack of BT² between embedders of width 384, with 32 numbers beside.

    Both ways end with a file of the same shape, but only the pack's has the new vectors in it.

    vectors: how many are turned.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        pack = _drawn()
        write_pack(folder / "pack.safetensors", pack)
        upgrade = load_upgrade(folder / "pack.safetensors")
        source = np.random.default_rng(1).standard_normal((vectors, WIDTH), np.float32)
        np.save(folder / "source.npy", source)
        ways = {"products": _products(pack, folder), "pack": _applied(upgrade, folder)}
        row = side_by_side(f"{vectors} vectors", ways, _same, rounds=rounds)
    speed = 0.0 if "void" in row else 1 / row["cpu"]["pack"]["ratio"]
    return {
        "name": "apply_pack",
        "promise": PROMISE,
        "kept": speed >= LEAST,
        "rows": [row],
        "machine": machine(),
    }


def _drawn() -> Pack:
    draw = np.random.default_rng(0)
    hidden, whole = WIDTH + OLD_WIDTH, WIDTH + EXTRA
    shapes = {
        "trunk": (hidden, WIDTH),
        "trunk_bias": (hidden,),
        "gate": (EXTRA, hidden),
        "gate_bias": (EXTRA,),
        "basis": (whole, whole),
    }
    tensors = {name: draw.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    return Pack(KIND, tensors, {"old_width": OLD_WIDTH, "given": WIDTH})


def _applied(upgrade: Upgrade, folder: Path) -> Callable[[], Any]:
    def work() -> tuple[int, ...]:
        upgrade.apply_file(folder / "source.npy", folder / "pack.npy")
        return tuple(np.load(folder / "pack.npy", mmap_mode="r").shape)

    return work


def _products(pack: Pack, folder: Path) -> Callable[[], Any]:
    """The same products in the same blocks and nothing between them, memory map to memory map."""
    trunk, gate, basis = (np.array(pack.tensors[name]) for name in ("trunk", "gate", "basis"))
    hidden = np.empty((ROWS, len(trunk)), np.float32)
    beside = np.empty((ROWS, EXTRA), np.float32)

    def work() -> tuple[int, ...]:
        source = np.load(folder / "source.npy", mmap_mode="r")
        shape = (len(source), len(basis))
        found = np.lib.format.open_memmap(folder / "bare.npy", "w+", np.float32, shape)
        joined = np.ones((ROWS, len(basis)), np.float32)
        for start in range(0, len(source), ROWS):
            part = source[start : start + ROWS]
            rows = len(part)
            np.matmul(part, trunk.T, out=hidden[:rows])
            np.matmul(hidden[:rows], gate.T, out=beside[:rows])
            np.matmul(joined[:rows], basis.T, out=found[start : start + ROWS])
        found.flush()
        return shape

    return work


def _same(one: Any, other: Any) -> bool:
    return bool(one == other)
