"""The whole document: sections in order, with style and script inside.

Nothing is loaded: the content security policy allows this one style and this one script by their
digests, pictures from data, and no connection at all.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bequest.report.page.html import Html, as_script, join, tag

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_HERE = Path(__file__).parent


def document(
    title: str, opening: Html, sections: Sequence[tuple[str, Html]], data: Mapping[str, Any]
) -> str:
    """The page as text.

    opening: what stands under the title. sections: headings with their content, in order.
    data: what the script reads.
    """
    style, script = (_read(name) for name in ("page.css", "page.js"))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(style, script)),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="generator", content="bequest"),
        tag("title", f"{title} · bequest"),
        tag("style", style),
    )
    body = tag(
        "body",
        tag("a", "to the content", href="#content", class_="unseen skip"),
        _hatch(),
        _header(title, opening, sections),
        tag("main", *(_section(i, *one) for i, one in enumerate(sections)), id="content"),
        tag("footer", tag("p", "Written by bequest. This file is whole: it loads nothing.")),
        tag("div", id="tip", role="tooltip", hidden=True),
        tag("script", as_script(data), type="application/json", id="data"),
        tag("script", script),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _read(name: str) -> Html:
    return Html((_HERE / name).read_text(encoding="utf-8"))


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _hatch() -> Html:
    """The pattern of what a rule forbids."""
    stroke = tag("path", d="M-1 7L7 -1M3 9L9 3", class_="hatch")
    pattern = tag("pattern", stroke, id="hatch", width="6", height="6",
                  patternUnits="userSpaceOnUse")  # fmt: skip
    return tag("svg", tag("defs", pattern), width="0", height="0", class_="unseen",
               aria_hidden="true")  # fmt: skip


def _header(title: str, opening: Html, sections: Sequence[tuple[str, Html]]) -> Html:
    links = [tag("a", name, href=f"#part-{i}") for i, (name, _) in enumerate(sections)]
    return tag(
        "header",
        tag("p", "bequest · what moved", class_="brand"),
        tag("h1", title),
        tag("button", "theme", type="button", id="theme"),
        opening,
        tag("nav", *links, aria_label="Parts of this page"),
    )


def _section(number: int, name: str, content: Html) -> Html:
    heading = f"heading-{number}"
    return tag("section", tag("h2", name, id=heading), join([content]),
               id=f"part-{number}", aria_labelledby=heading)  # fmt: skip
