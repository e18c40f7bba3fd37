"""What MkDocs calls: adds the pages made from the code, and their places in the navigation."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docs_parts
import docs_reference
from mkdocs.structure.files import File

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[1]
FETCHED = "https://unpkg.com/iframe-worker/shim"
# Files of the repository that are pages too, and where they stand on the site.
BESIDE = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md",
          "SECURITY.md": "security.md"}  # fmt: skip


def pages() -> Iterator[tuple[str, str]]:
    """Path below `docs/` and text of every page that is no file there."""
    yield from docs_parts.pages()
    yield from docs_reference.pages()
    for name, place in BESIDE.items():
        if (ROOT / name).exists():
            text = (ROOT / name).read_text(encoding="utf-8")
            yield place, text.replace("](docs/", "](")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put what is behind `folder/*` and the optional pages into the navigation."""
    config.nav = _expanded(config.nav)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    for path, text in pages():
        files.append(File.generated(config, path, content=text))
    return files


def on_post_build(config: MkDocsConfig) -> None:
    """Let search in pages opened from a folder be ours; the theme would fetch a script for it."""
    site = Path(config.site_dir)
    for page in site.rglob("*.html"):
        own = os.path.relpath(site / "offline.js", page.parent)
        page.write_text(page.read_text(encoding="utf-8").replace(FETCHED, own), encoding="utf-8")


def _expanded(nav: list[Any]) -> list[Any]:
    made = [path for path, _ in pages()]
    there = {
        *made,
        *(path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md")),
    }
    return [each for each in (_entry(entry, made, there) for entry in nav) if each]


def _entry(entry: Any, made: list[str], there: set[str]) -> Any:
    """An entry of the navigation as MkDocs takes it; None where its page isn't there."""
    if isinstance(entry, str):
        return entry
    ((title, target),) = entry.items()
    if isinstance(target, list):
        inner = (_entry(each, made, there) for each in target)
        return {title: [each for each in inner if each]}
    if target.endswith("/*"):
        return {title: _grouped([path for path in made if path.startswith(target[:-1])])}
    return {title: target} if target in there else None


def _grouped(paths: list[str]) -> list[Any]:
    """Pages of methods under their families; others as they are."""
    families = {path: docs_parts.family_of(path) for path in paths}
    groups = dict.fromkeys(filter(None, families.values()))
    nested = [{family: [path for path in paths if families[path] == family]} for family in groups]
    return [*(path for path in paths if not families[path]), *nested]
