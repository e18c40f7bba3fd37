"""The fenced blocks of a page, and what a reader would do with them.

A block with a title is written to that file. `sh` is run line by line, `python` run as a script,
`yaml` checked against the recipe's schema. `text` behind commands is what they say. A comment in
front of a block changes that: `<!-- shown: why -->` leaves it alone, `<!-- wrong: why -->` writes
it unchecked.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
FENCE = re.compile(
    r"(?:^ *<!-- (?P<mark>shown|wrong): (?P<why>[^>]+) -->\n)?"
    r"^(?P<indent> *)```(?P<language>\w*)(?P<options>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
EXIT = re.compile(r"  # exit code (\d+|any)$")


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    title: str
    mark: str
    text: str

    @property
    def is_run(self) -> bool:
        """Whether it is a command or a script of its own."""
        return self.language in ("sh", "python") and not self.title and self.mark != "shown"


def blocks(page: str) -> list[Block]:
    """The blocks of a page in their order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        title = re.search(r'title="([^"]+)"', match["options"])
        body = textwrap.dedent(match["text"])
        found.append(Block(match["language"], title[1] if title else "", match["mark"] or "", body))
    return found


def follow(page: str, folder: Path) -> None:
    """Do everything that a page says, in an empty folder."""
    said = ""
    for block in blocks(page):
        if block.mark == "shown":
            continue
        if block.title:
            path = folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language == "sh":
            said = "".join(commanded(line, folder) for line in block.text.splitlines())
        elif block.language == "python":
            done([sys.executable, "-c", block.text], folder)
        elif block.language == "text":
            lines = [squeezed(line) for line in block.text.splitlines() if line.strip()]
            assert not [line for line in lines if line not in squeezed(said)], said


def commanded(line: str, folder: Path) -> str:
    """What a command says, after it ended with the exit code that the page gives."""
    expected = EXIT.search(line)
    command = ["bash", "-c", EXIT.sub("", line)]
    return done(command, folder, expected[1] if expected else "0")


def done(command: list[str], folder: Path, expected: str = "0") -> str:
    """What a process says."""
    found = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=surroundings(folder)
    )
    said = found.stdout + found.stderr
    assert expected in ("any", str(found.returncode)), (command, said)
    assert "Traceback" not in said, (command, said)
    return said


def surroundings(folder: Path) -> dict[str, str]:
    """A terminal in which `bequest` and `python` are the ones that are tested."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    sources = str(folder / "src") if (folder / "src").is_dir() else ""
    return os.environ | {
        "PATH": path, "PYTHONPATH": sources, "OMP_NUM_THREADS": "1", "COLUMNS": "200",
    }  # fmt: skip


def clone(folder: Path) -> None:
    """Put into a folder what a page expects that works in a clone of the repository."""
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", folder / "src", ignore=unwanted)
    shutil.copytree(
        ROOT / "tests" / "conformance", folder / "tests" / "conformance", ignore=unwanted
    )
    for name in ("tests/conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)


def squeezed(text: str) -> str:
    """Text whose blanks are single ones."""
    return " ".join(text.split())
