"""The facts that an audit asks around: from a file of records, or from a task of questions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bequest.build.attack.phrases import STOP_WORDS, plain, words
from bequest.build.documents import records
from bequest.build.finding import fetched
from bequest.build.splitting import content_ids
from bequest.build.stemming import stem
from bequest.core.errors import Problem, RequestError
from bequest.core.live import Texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bequest.build.documents import Record
    from bequest.build.tasks.audits.sleek import Sleek
    from bequest.core.live import Task

QUESTION = "{question}"
CATEGORIES = ("direct", "indirect", "implied", "control")
_LONG = 4  # words: a longer answer is a sentence, of which one part tells
_CHAIN = ("subject", "relation", "first", "second", "bridge")
_MARKS = ',;:.!?()"“”'


@dataclass(frozen=True)
class Fact:
    """A question with its answer.

    answers: what counts as the answer, the telling part of a long one first.
    subject, relation: `the RELATION of SUBJECT` asks for the answer; first, second: the relations
        on the way there, over `bridge`; empty where they are not known.
    wrong: other answers; prompts: those of the user, each with its category and, for controls,
        what is right.
    """

    question: str
    answers: tuple[str, ...]
    subject: str = ""
    relation: str = ""
    first: str = ""
    second: str = ""
    bridge: str = ""
    wrong: tuple[str, ...] = ()
    prompts: tuple[tuple[str, str, str], ...] = ()

    @property
    def answer(self) -> str:
        """The answer as people are shown it."""
        return self.answers[0]

    @property
    def number(self) -> int:
        """A content id."""
        return int(content_ids([f"{self.question}\x1f{self.answers[-1]}".encode()])[0])


def read_facts(settings: Sleek, path: str) -> list[Fact]:
    """The facts of a file, each once, in an order that does not depend on its own.

    Raises:
        RequestError: the file can't be used, or holds none.
    """
    return _once([_of_record(one, settings) for one in records(str(fetched(path)))], path)


def facts_of(task: Task, settings: Sleek) -> list[Fact]:
    """The test questions of a task as facts.

    Raises:
        RequestError: it has no questions with answers.
    """
    texts = task.splits["test"].inputs
    if not isinstance(texts, Texts) or not texts.prompts:
        what = f"`{settings.of and settings.of['use']}` has no questions with answers"
        raise RequestError(Problem(what, "name a task such as `qa`", ("of", "use")))
    before, _, after = getattr(settings.base(), "template", QUESTION).partition(QUESTION)
    found = []
    for prompt, text in zip(texts.prompts, texts.texts, strict=True):
        question = prompt.removeprefix(before).removesuffix(after).strip()
        found.append(Fact(question, accepted(question, text.strip(), ())))
    return _once(found, task.name)


def accepted(question: str, answer: str, aliases: Sequence[str]) -> tuple[str, ...]:
    """What counts as the answer: of a sentence also the part that the question does not say."""
    part = telling_part(question, answer)
    return tuple(dict.fromkeys([part, *aliases, answer] if part else [answer, *aliases]))


def telling_part(question: str, answer: str) -> str:
    """What a long answer tells beyond its question: its longest run of other words, names first.

    Words are compared by their stems.

    Empty where the answer is short, or says no more than the question.
    """
    if len(words(answer)) <= _LONG:
        return ""
    asked = {*map(stem, words(question)), *STOP_WORDS}
    runs: list[list[str]] = [[]]
    for token in answer.split():
        bare = token.strip(_MARKS)
        if all(word in asked or stem(word) in asked for word in words(bare)):
            runs.append([])
            continue
        if runs[-1] and runs[-1][0][0].isupper() != bare[0].isupper():
            runs.append([])
        runs[-1].append(bare)
        if token[-1] in _MARKS:
            runs.append([])
    told = [" ".join(run) for run in runs if run]
    return max(told, key=lambda run: (run[0].isupper(), len(run)), default="")


def guessed(facts: Sequence[Fact]) -> list[bool]:
    """Whether each fact is hit by naming the most frequent answer of its relation."""
    counts: dict[str, Counter[str]] = {}
    for fact in facts:
        counts.setdefault(fact.relation, Counter())[plain(fact.answer)] += 1
    most = {
        relation: min(found, key=lambda name: (-found[name], name))
        for relation, found in counts.items()
    }
    return [most[fact.relation] == plain(fact.answer) for fact in facts]


def _once(found: Sequence[Fact], where: str) -> list[Fact]:
    if not found:
        raise RequestError(Problem(f"`{where}` holds no facts", field=("path",)))
    by_number = {fact.number: fact for fact in found}
    return [by_number[number] for number in sorted(by_number)]


def _of_record(one: Record, settings: Sleek) -> Fact:
    chain = {name: one.word(name) if one.fields.get(name) else "" for name in _CHAIN}
    answer = one.word(settings.answer)
    if not words(answer):
        what = f"`{one.place}`: the fact has no answer in `{settings.answer}`"
        raise RequestError(Problem(what, "every fact needs one, with a letter or digit in it"))
    question = one.word(settings.question) if one.fields.get(settings.question) else ""
    if not question:
        if not (chain["subject"] and chain["relation"]):
            what = f"`{one.place}` has no `{settings.question}`"
            raise RequestError(Problem(what, "give one, or `subject` and `relation`"))
        question = f"What is the {chain['relation']} of {chain['subject']}?"
    aliases = _list(one, settings.aliases)
    answers = accepted(question, answer, aliases)
    if aliases and len(words(answer)) > _LONG:  # who names the part knows better than a guess
        answers = tuple(dict.fromkeys([*aliases, answer]))
    wrong = _list(one, settings.wrong)
    return Fact(question, answers, **chain, wrong=wrong, prompts=tuple(_prompts(one)))


def _list(one: Record, field: str) -> tuple[str, ...]:
    """A list of texts, or one text with `|` between them; nothing where the field is missing."""
    value = one.fields.get(field)
    parts = value.split("|") if isinstance(value, str) else value or []
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        what = f"`{one.place}`: `{field}` must be a list of texts, or a text with | between them"
        raise RequestError(Problem(what))
    return tuple(part.strip() for part in parts if words(part))


def _prompts(one: Record) -> Iterator[tuple[str, str, str]]:
    given: Any = one.fields.get("prompts") or []
    fix = 'write [{"category": "indirect", "prompt": "…"}, …]'
    if not isinstance(given, list):
        raise RequestError(Problem(f"`{one.place}`: `prompts` must be a list", fix))
    for each in given:
        category, text, answer = _parts(each)
        if category not in CATEGORIES or not words(text):
            what = f"`{one.place}`: a prompt needs a text, and a category of {CATEGORIES}"
            raise RequestError(Problem(what, fix))
        if (category == "control") != bool(words(answer)):
            what = f"`{one.place}`: an `answer` belongs to prompts of the category `control`"
            raise RequestError(Problem(what, "other prompts ask for the fact's own"))
        yield category, text, answer


def _parts(each: Any) -> list[str]:
    """Category, prompt and answer; empty what isn't a text."""
    told = each if isinstance(each, dict) else {}
    parts = (told.get(name) for name in ("category", "prompt", "answer"))
    return [part if isinstance(part, str) else "" for part in parts]
