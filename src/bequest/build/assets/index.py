"""Where a wheel lies on a package index, found as pip is set up to find it.

The Simple API is PEP 503 (HTML) and PEP 691 (JSON); the settings are those of pip's documentation,
"Configuration": variables `PIP_*` before the environment's, the user's and the machine's files.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from bequest.build.assets.web import SCHEMES, Web, reason, without_login

if TYPE_CHECKING:
    from collections.abc import Iterator

_PUBLIC = "https://pypi.org/simple"
_FORMS = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"
_PAGE_LIMIT = 32 << 20


@dataclass(frozen=True)
class Settings:
    """What pip is told about the network.

    indexes: addresses in the order they are asked; cert: file of certificates to trust instead of
    the system's; proxy: address for all requests instead of the environment's.
    """

    indexes: tuple[str, ...]
    cert: str | None = None
    proxy: str | None = None


def pip_settings() -> Settings:
    """The settings that pip would use here."""
    told = {key: value for file in _files() for key, value in _values(file)}
    told |= {
        key[4:].lower().replace("_", "-"): value
        for key, value in os.environ.items()
        if key.startswith("PIP_") and value
    }
    indexes = [told.get("index-url", _PUBLIC), *told.get("extra-index-url", "").split()]
    if told.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        indexes = []
    return Settings(tuple(indexes), told.get("cert"), told.get("proxy"))


def wheel_url(web: Web, settings: Settings, project: str, filename: str) -> tuple[str, str]:
    """The address of a file, or an empty string and why no index has it."""
    reasons = []
    for index in settings.indexes:
        page = f"{index.rstrip('/')}/{_normal(project)}/"
        try:
            links = _links(web, page + "index.html" * page.startswith("file:"))
        except (OSError, ValueError, RecursionError) as error:
            reasons.append(f"{without_login(index)}: {reason(error)}")
            continue
        if filename in links:
            return links[filename], ""
        reasons.append(f"{without_login(index)}: it has no {filename}")
    return "", "; ".join(reasons) or "pip is set to use no index"


def _links(web: Web, page: str) -> dict[str, str]:
    """Addresses of the files on a project's page, by file name."""
    with web.open(page, {"Accept": _FORMS}) as answer:
        body = answer.read(_PAGE_LIMIT + 1)
        if len(body) > _PAGE_LIMIT:
            raise ValueError("its answer is too long")
        found = (
            _from_json(body) if "json" in answer.headers.get_content_type() else _from_html(body)
        )
        base = answer.url
    allowed = SCHEMES if page.startswith("file:") else SCHEMES[:2]
    addresses = {name: urljoin(base, link).partition("#")[0] for name, link in found}
    return {name: url for name, url in addresses.items() if urlsplit(url).scheme in allowed}


def _from_json(body: bytes) -> list[tuple[str, str]]:
    try:
        return [(str(file["filename"]), str(file["url"])) for file in json.loads(body)["files"]]
    except (KeyError, TypeError) as error:
        raise ValueError("its answer is not in the form of PEP 691") from error


def _from_html(body: bytes) -> list[tuple[str, str]]:
    anchors = _Anchors()
    anchors.feed(body.decode("utf-8", "replace"))
    return anchors.found


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self._link = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self._link = dict(attrs).get("href") or ""

    def handle_data(self, data: str) -> None:
        if self._link and data.strip():
            self.found.append((data.strip(), self._link))

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._link = ""


def _files() -> list[Path]:
    """pip's configuration files, those that count more later."""
    one = os.environ.get("PIP_CONFIG_FILE")
    if one == os.devnull:
        return []
    home = Path.home()
    shared = os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")
    own = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    return [
        *(Path(folder) / "pip" / "pip.conf" for folder in reversed(shared) if folder),
        Path("/etc/pip.conf"),
        home / ".pip" / "pip.conf",
        own / "pip" / "pip.conf",
        Path(sys.prefix) / "pip.conf",
        *([Path(one)] if one else []),
    ]


def _values(file: Path) -> Iterator[tuple[str, Any]]:
    parser = configparser.RawConfigParser()
    try:
        parser.read(file, encoding="utf-8")
    except (OSError, ValueError, configparser.Error):  # pip itself complains about such a file
        return
    for section in ("global", "download"):
        if parser.has_section(section):
            yield from ((key.replace("_", "-"), value) for key, value in parser.items(section))


def _normal(project: str) -> str:
    return re.sub(r"[-_.]+", "-", project).lower()
