"""Print the block of README commands that ends with a word, so that CI runs the very same."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def block(text: str, last: str) -> str:
    """The one block of shell commands whose last word is `last`."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    found = [block.strip() for block in blocks if block.split()[-1:] == [last]]
    if len(found) != 1:
        sys.exit(f"there must be one block of commands that ends with `{last}`, not {len(found)}")
    return found[0]


if __name__ == "__main__":
    print(block(Path(sys.argv[1]).read_text(encoding="utf-8"), sys.argv[2]))
