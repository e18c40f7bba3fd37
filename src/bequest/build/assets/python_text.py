"""Three domains of text that every Python brings: its code, its documentation, licences.

Equal for one installation; another Python or other packages give other text.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import re
import sysconfig
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING

from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

DOMAINS = ("code", "documentation", "licences")
_LEAST, _MOST = 400, 16_000  # characters of a document
_LEAST_DOCUMENTS = 200
_SKIPPED = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__",
            "lib2to3", "pydoc_data"}  # fmt: skip
_LICENCE = re.compile(r"(licen[sc]e|copying|notice|copyright)[^/]*", re.IGNORECASE)
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def write_python_text(folder: Path) -> None:
    """Write `code/`, `documentation/` and `licences/` into `folder`, one document a .txt file.

    Code has no docstrings, documentation has nothing else, so no text is in both.

    Raises:
        RequestError: this Python comes without its sources.
    """
    modules = dict(_modules(Path(sysconfig.get_path("stdlib"))))
    if len(modules) < _LEAST_DOCUMENTS:
        what = f"this Python brings only {len(modules)} source files of its library"
        raise RequestError(Problem(what, "use a Python that is installed with its sources"))
    split = {name: _apart(text) for name, text in modules.items()}
    _write(folder / "code", {name: code for name, (code, _) in split.items()})
    documented = {f"module.{name}": docs for name, (_, docs) in split.items()}
    _write(folder / "documentation", _topics() | documented)
    _write(folder / "licences", dict(_licences()))


def _modules(stdlib: Path) -> Iterator[tuple[str, str]]:
    """Source of each module of the standard library by its dotted name, tests left out."""
    for path in sorted(stdlib.rglob("*.py")):
        inside = path.relative_to(stdlib).with_suffix("")
        # Folders such as config-3.11-… are of the build and hold machine paths.
        if _SKIPPED.isdisjoint(inside.parts) and all(map(str.isidentifier, inside.parts)):
            text = _text(path)
            if text:
                yield ".".join(inside.parts), text


def _apart(source: str) -> tuple[str, str]:
    """Code without docstrings, and the docstrings alone; what can't be parsed is all code."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source, ""
    lines, docs = source.splitlines(), []
    for node in _statements(tree):
        if not isinstance(node, _DOCUMENTED) or ast.get_docstring(node) is None:
            continue
        said = node.body[0]
        docs.append((said.lineno, ast.get_docstring(node) or ""))
        if not lines[said.lineno - 1][: said.col_offset].strip():
            end = said.end_lineno or said.lineno
            lines[said.lineno - 1 : end] = [""] * (end - said.lineno + 1)
    code = re.sub(r"\n{4,}", "\n\n\n", "\n".join(lines)).strip()
    return code, "\n\n".join(text for _, text in sorted(docs))


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """The module and every statement in it; walking expressions too takes three times as long."""
    left: list[ast.AST] = [tree]
    while left:
        node = left.pop()
        yield node
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            left += getattr(node, block, ())


def _topics() -> dict[str, str]:
    """Chapters of the language reference that `help()` shows."""
    try:
        topics = importlib.import_module("pydoc_data.topics").topics
    except ImportError:
        return {}
    return {f"topic.{name}": text for name, text in topics.items()}


def _licences() -> Iterator[tuple[str, str]]:
    """Python's own licence and those of the installed packages, each text once."""
    seen = set()
    for name, path in [*_python_licence(), *_package_licences()]:
        text = _text(path)
        mark = hashlib.sha256(" ".join(text.split()).encode()).digest()
        if text and mark not in seen:
            seen.add(mark)
            yield name, text


def _python_licence() -> list[tuple[str, Path]]:
    stdlib = Path(sysconfig.get_path("stdlib"))
    places = (stdlib / "LICENSE.txt", stdlib / "LICENSE", stdlib.parent / "LICENSE.txt")
    return [("Python", path) for path in places if path.is_file()][:1]


def _package_licences() -> list[tuple[str, Path]]:
    found = set()
    for package in distributions():
        for file in package.files or ():
            folder = next((part for part in file.parts if part.endswith(".dist-info")), "")
            if folder and _LICENCE.fullmatch(file.name):
                inside = "-".join(file.parts[file.parts.index(folder) + 1 :])
                place = f"{folder.removesuffix('.dist-info')}-{inside}"
                found.add((re.sub(r"[^\w.+-]", "_", place), Path(str(file.locate()))))
    return sorted(found)


def _text(path: Path) -> str:
    """Content of a file; empty when it isn't UTF-8 text."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _write(folder: Path, documents: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    for name, text in sorted(documents.items()):
        document = _cut(text.strip())
        if len(document) >= _LEAST:
            (folder / f"{name}.txt").write_text(document + "\n", encoding="utf-8")


def _cut(text: str) -> str:
    """At most `_MOST` characters, cut at the end of a line."""
    if len(text) <= _MOST:
        return text
    return text[:_MOST].rpartition("\n")[0].rstrip() or text[:_MOST]
