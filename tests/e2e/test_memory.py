"""Memory beyond the model while it is scored, journaled, written and read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from dying import ENVIRONMENT

SMALL = """
import json
from bequest.benchmarks.memory import bench
print(json.dumps(bench(2900, 5)))
"""


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="counted by Linux only")
def test_a_model_is_in_memory_once():
    done = subprocess.run(
        [sys.executable, "-c", SMALL], env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found["rows"]) == 7
    for row in found["rows"]:
        assert row["model"] > 130e6
        # as 200 MB are to 1 GB, and less than one of the four large layers; answers to 512 samples
        # take room of their own
        most = 0.2 * row["model"] + (16e6 if "scored" in row["what"] else 0)
        assert row["added"] < most, row
