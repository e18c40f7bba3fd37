"""Documents cut into passages, wherever a line or a word ends."""

from __future__ import annotations


def passages(text: str, longest: int) -> list[str]:
    """`text` in pieces of at most `longest` characters; joined they are the text again.

    Cut behind the last line break, else behind the last space, else anywhere. Pieces without any
    letter or digit are left out.
    """
    found, start = [], 0
    while start < len(text):
        end = min(len(text), start + longest)
        if end < len(text):
            end = _break(text, start, end)
        found.append(text[start:end])
        start = end
    return [piece for piece in found if any(map(str.isalnum, piece))]


def _break(text: str, start: int, end: int) -> int:
    for mark in ("\n", " "):
        if (at := text.rfind(mark, start + (end - start) // 2, end)) >= 0:
            return at + 1
    return end
