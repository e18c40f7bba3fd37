"""Print the commands of a README that run the tests, so that CI runs the very same."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def test_commands(text: str) -> str:
    """The one block of shell commands whose last word is `pytest`."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    found = [block.strip() for block in blocks if block.split()[-1:] == ["pytest"]]
    if len(found) != 1:
        sys.exit(f"there must be one block of commands that ends with `pytest`, not {len(found)}")
    return found[0]


if __name__ == "__main__":
    print(test_commands(Path(sys.argv[1]).read_text(encoding="utf-8")))
