"""HTML that can't be written without escaping: text is text until it is said to be markup."""

from __future__ import annotations

import json
import re
from html import escape as _escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

# Neither control characters nor half of a surrogate pair may stand in a document.
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_VOID = frozenset({"br", "col", "img", "input", "meta"})


class Html(str):
    """Markup that is safe as it is; any other text is escaped where it is put into it."""

    __slots__ = ()


Content = str | None


def text(value: str) -> Html:
    """The value as text of a document or of an attribute in quotes."""
    return value if isinstance(value, Html) else Html(_escape(_UNFIT.sub("\ufffd", value)))


def join(parts: Iterable[Content], between: str = "") -> Html:
    """Parts one after the other; None is left out."""
    return Html(text(between).join(text(part) for part in parts if part is not None))


def marked(sentence: str) -> Html:
    """A sentence in which what stands between two backquotes is code."""
    parts = sentence.split("`")
    if len(parts) % 2 == 0:
        return text(sentence)
    return join(tag("code", part) if i % 2 else part for i, part in enumerate(parts))


def tag(name: str, *content: Content, **attributes: str | float | bool | None) -> Html:
    """An element; `class_` and `aria_label` become `class` and `aria-label`.

    An attribute of None or False is left out, one of True stands without a value.
    """
    opened = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    return Html(opened if name in _VOID else f"{opened}{join(content)}</{name}>")


def table(
    head: Iterable[Content],
    lines: Iterable[Iterable[Content]],
    *,
    caption: Content = None,
    class_: str | None = None,
) -> Html:
    """A table in a frame that scrolls sideways; the first cell of each line is its heading."""
    titles = list(head)
    body = [
        tag("tr", *(_cell(i, cell, titles[i]) for i, cell in enumerate(line))) for line in lines
    ]
    inner = tag(
        "table",
        tag("caption", caption) if caption else None,
        tag("thead", tag("tr", *(tag("th", title, scope="col") for title in titles))),
        tag("tbody", *body),
        class_=class_,
    )
    return tag("div", inner, class_="scroll")


def numbers_below(summary: str, *content: Content) -> Html:
    """The numbers of the picture above, folded away."""
    return tag("details", tag("summary", summary), *content, class_="numbers")


def as_script(value: Any) -> Html:
    """A JSON value that no text in it can break out of a script element."""
    plain = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        plain = plain.replace(sign, f"\\u{ord(sign):04x}")
    return Html(plain)


def _cell(index: int, content: Content, title: Content) -> Html:
    if index == 0:
        return tag("th", content, scope="row")
    return tag("td", content, data_title=title if not isinstance(title, Html) else None)


def _attribute(key: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    said = f"{value:g}" if isinstance(value, float) else str(value)
    return f' {name}="{text(said)}"'
