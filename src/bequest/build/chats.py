"""Conversations as questions and answers: each answer of the assistant, after what came before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from bequest.core.errors import Problem, RequestError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

ROLES = ("system", "developer", "user", "assistant")
_FORM = "messages are a list of {role, content}, as in [{role: user, content: …}, …]"


class Turn(NamedTuple):
    """An answer of the assistant, and what it answers."""

    question: str
    answer: str


def turns(messages: Any, place: str) -> list[Turn]:
    """Every answer in a conversation that has a text before it; none where nobody answers.

    A question that begins the conversation is its own text. Otherwise all messages before it stand
    there too, each as `role: text` on lines of its own.

    Raises:
        RequestError: these are no messages.
    """
    if not isinstance(messages, list):
        raise RequestError(Problem(f"`{place}` has no list of messages", _FORM))
    before: list[tuple[str, str]] = []
    found = []
    for role, text in _said(messages, place):
        if role == "assistant" and before:
            found.append(Turn(_question(before), text))
        before.append((role, text))
    return found


def _question(before: list[tuple[str, str]]) -> str:
    if len(before) == 1:
        return before[0][1]
    return "\n".join(f"{role}: {text}" for role, text in before)


def _said(messages: list[Any], place: str) -> Iterator[tuple[str, str]]:
    for number, message in enumerate(messages, 1):
        where = f"{place}, message {number}"
        if not isinstance(message, dict) or not {"role", "content"} <= message.keys():
            raise RequestError(Problem(f"`{where}` must have `role` and `content`", _FORM))
        role = message["role"]
        if role not in ROLES:
            known, meant = f"roles are {', '.join(ROLES)}", did_you_mean(str(role), ROLES)
            raise RequestError(Problem(f"`{where}` has the role `{role}`", known, meant=meant))
        text = _text(message["content"], where)
        if not text:
            raise RequestError(Problem(f"`{where}` is empty", "leave such messages out"))
        yield role, text


def _text(content: Any, where: str) -> str:
    """A text, or the texts of a list of parts, one after another."""
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    found = [part.get("text") if isinstance(part, dict) else None for part in parts]
    texts = [text for text in found if isinstance(text, str)]
    if len(texts) < len(parts):
        raise RequestError(Problem(f"`{where}` holds more than text", "only texts can be read"))
    return "\n".join(texts).strip()
