"""Five hundred hostile inputs, and proofs that the guard sees what it is for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MOST_PEAK = 512 << 20  # bytes beyond the process before; what is stated in SECURITY.md


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_hostile_inputs_are_read_or_refused_and_do_nothing_else():
    words = [sys.executable, str(HERE), "--inputs", "500", "--seed", "7"]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, capture_output=True, text=True, env=one_thread)
    assert done.stdout, done.stderr
    *rows, told = map(json.loads, done.stdout.splitlines())
    failures = [(row["kind"], each) for row in rows for each in row["failures"]]
    assert not failures
    assert told["inputs"] >= 490
    assert told["peak"] < MOST_PEAK


BAD = {
    "runs": "import os; os.system('true')",
    "unpickles": "import pickle; from mutations import PICKLE; pickle.loads(PICKLE)",
    "connects": "import socket; socket.create_connection(('127.0.0.1', 9), 1)",
    "writes": "open('/tmp/planted_by_a_test', 'w')",
    "removes": "import os; os.remove('/tmp/there_is_no_such_file')",
    "raises": "raise KeyError('x')",
    "babbles": "from bequest import RunError; e = RunError(); e.args = ('x' * 10000,); raise e",
    "grows": "bytearray(3 << 30)",
    "dies": "import os; os.abort()",
    "waits": "import time; time.sleep(60)",
}
CHILD = """
import json, sys
sys.path[:0] = {path!r}
from pathlib import Path
import bequest, harness
harness.MOST_SECONDS = 1
place, found = Path({place!r}), {{}}
(place / 'recipe').mkdir()
(place / 'recipe/a.yaml').write_text('a: 1')
(place / 'work').mkdir()
for deed, code in {deeds!r}.items():
    harness.READERS['recipe'] = lambda folder: exec(code)
    found[deed], _ = harness.batch(harness.Kind('recipe', place, 0), [0], place / 'work')
print(json.dumps(found))
"""


def test_the_guard_notices_what_it_is_for(tmp_path):
    path = [str(HERE), str(HERE.parent / "unit")]
    script = CHILD.format(path=path, deeds={"nothing": "pass", **BAD}, place=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert not found.pop("nothing")
    assert {deed: len(failures) for deed, failures in found.items()} == dict.fromkeys(BAD, 1)
