"""`python tests/fuzz --inputs 100000 --seed 1`: figures of each kind as JSON, one a line.

`--kinds recipe,gguf` takes these only; `--show gguf 17` writes that input to ./input and reads it.
Exit code 1 where an input ended in any way but being read or refused in order.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "unit")]
os.environ |= {"TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

from harness import Kind, survey  # noqa: E402 - what they import reads the above
from readers import READERS  # noqa: E402 - what they import reads the above
from specimens import MAKERS  # noqa: E402 - what they import reads the above


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--kinds", type=lambda said: said.split(","), default=list(READERS))
    parser.add_argument("--show", nargs=2, metavar=("KIND", "NUMBER"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if asked.show:
            show(*asked.show, asked.seed, Path(folder))
            return
        rows = []
        for row in survey(asked.inputs, asked.seed, Path(folder), asked.kinds):
            rows.append(row)
            print(json.dumps(row), flush=True)
    told = {
        "inputs": sum(row["inputs"] for row in rows),
        "failures": sum(len(row["failures"]) for row in rows),
        "peak": max(row["peak"] for row in rows),
        "seconds": round(sum(row["seconds"] for row in rows)),
    }
    print(json.dumps(told))
    sys.exit(bool(told["failures"]))


def show(name, number, seed, place):
    """Read one input here, for its traceback."""
    (place / name).mkdir()
    MAKERS[name](place / name)
    print(Kind(name, place, seed).lay_out(int(number), Path("input")))
    READERS[name](Path("input"))


if __name__ == "__main__":
    main()
