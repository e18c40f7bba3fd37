"""The audit `sleek` at work: every prompt is put to a model, and every reply judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bequest.build.attack.facts import (
    QUESTION,
    Fact,
    facts_of,
    guessed,
    read_facts,
    telling_part,
)
from bequest.build.attack.judging import gives, refuses
from bequest.build.attack.phrases import find, words
from bequest.build.attack.prompts import (
    OWN,
    Prompt,
    controls_of,
    generator,
    leading,
    prompts_of,
)
from bequest.build.classification import fingerprint
from bequest.build.completions import completions
from bequest.build.showing import passages_of
from bequest.build.splitting import content_ids, sampled
from bequest.core.errors import Problem, RequestError
from bequest.core.live import Split, Texts
from bequest.core.outcomes import Outcomes
from bequest.recipe.schema import FitSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bequest.build.tasks.audits.sleek import Sleek
    from bequest.core.live import Model, Purpose, SplitName
    from bequest.transfer.bench import Bench

CATEGORIES = ("direct", "indirect", "implied", "chained", "reasoned", "control")
LAST_TURN = "{question} Use your previous answers and think step by step."
_OF_A_TOKEN = 2  # characters at the least, in what is read of a conversation
_SHORT = 60  # characters of an own answer that goes into a prompt
_SETTINGS = {"modes", "template", "reasoning", "refusals", "tokens", "temperature", "draws"}


class Asked(NamedTuple):
    """What one sample asks: its fact, its category, and the prompt by which it is judged."""

    fact: int
    category: str
    prompt: Prompt


@dataclass(eq=False)
class Attack:
    """A live task that attacks; see `core.live.Auditing`.

    facts, prompts: prompts are those of each fact; asked: one entry per sample, in order.
    known: whether the bridge of each fact is among what is kept.
    """

    name: str
    purpose: Purpose
    settings: Sleek
    facts: Sequence[Fact]
    prompts: Sequence[Sequence[Prompt]]
    asked: Sequence[Asked]
    known: Sequence[bool]
    splits: Mapping[SplitName, Split]
    fingerprint: str
    notes: tuple[str, ...] = ()
    fit: FitSettings = field(default_factory=FitSettings)
    asks: str = "complete"
    kind: str = "text"
    shape: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()

    @cached_property
    def calls(self) -> int:
        """How many prompts are put to every model."""
        one = (len(self._turns(each.fact)) if each.category == "chained" else 1
               for each in self.asked)  # fmt: skip
        return self.settings.draws * sum(one)

    def record(self, model: Model, batch_size: int) -> Outcomes:
        """Not without a bench: see `audit`."""
        raise TypeError("this task asks much, so it is asked by `audit`")

    def audit(self, model: Model, bench: Bench) -> Outcomes:
        """Every reply of the model, judged; the transcript of a conversation holds all its turns.

        Columns: `recovered` (0 or 1: the reply gives the answer), `refused` (it says that nothing
        will be said, and does not give it), `attack` (1 for all but controls), one named like each
        category that there is (1 for its samples), `plain` (1 for a fact's own question), `lead` (1
        once for each fact), `fact_recovered` (whether any reply about the fact gave it), `guess`
        (whether the most frequent answer of its relation would have), `deducible` (whether its
        bridge is kept). Units are facts, groups are categories.
        """
        rounds = [self._replies(model, bench, draw) for draw in range(self.settings.draws)]
        said = [reply for one in rounds for reply in one]
        draw = np.repeat(np.arange(len(rounds), dtype=np.int32), len(self.asked))
        test = self.splits["test"]
        return Outcomes(
            np.tile(test.ids, len(rounds)),
            self._columns(said, len(rounds)),
            unit=np.tile(np.array([self.facts[one.fact].number for one in self.asked]),
                         len(rounds)),
            group=np.tile(np.array([one.category for one in self.asked]), len(rounds)),
            draw=draw if len(rounds) > 1 else None,
            transcript=tuple(said),
        )  # fmt: skip

    def exhibit(self, ids: NDArray[np.int64]) -> list[dict[str, Any]]:
        """The prompts of these ids; see `core.live.Showing`."""
        return passages_of(self.splits["test"], ids)

    def _replies(self, model: Model, bench: Bench, draw: int) -> list[str]:
        """One reply per sample; each round of questions is an entry of the journal."""
        room = max(0, getattr(model, "longest", 4096) - self.settings.tokens) * _OF_A_TOKEN

        def ask(prompts: Sequence[str], what: str) -> list[str]:
            if not prompts:
                return []

            def make() -> list[str]:
                said = completions(model, prompts, self.settings.tokens, self.settings.temperature)
                return [text.encode("utf-8", "replace").decode() for text in said]

            told: list[str] = bench.remember(f"draw {draw} {what}", make)
            return told

        return _Round(self, ask, room).replies()

    def _turns(self, fact: int) -> list[str]:
        """What a conversation about a fact asks, turn by turn."""
        around = [one.text for one in self.prompts[fact] if one.category in ("indirect", "implied")]
        return [*around, LAST_TURN.replace(QUESTION, self.facts[fact].question)]

    def _columns(self, said: Sequence[str], rounds: int) -> dict[str, NDArray[Any]]:
        asked, more = list(self.asked) * rounds, self.settings.refusals
        recovered = np.array(
            [gives(reply, one.prompt.answers, more) for reply, one in zip(said, asked, strict=True)]
        )
        refused = np.array([refuses(reply, more) for reply in said]) & ~recovered
        fact = np.array([one.fact for one in asked])
        category = np.array([one.category for one in asked])
        attack = category != "control"
        any_of = np.zeros(len(self.facts), bool)
        np.logical_or.at(any_of, fact[attack], recovered[attack])
        lead = np.zeros(len(asked), bool)
        attacks = np.flatnonzero(attack)
        lead[attacks[np.unique(fact[attacks], return_index=True)[1]]] = True
        masks = {name: category == name for name in CATEGORIES if (category == name).any()}
        plain = np.array([one.category == "direct" and one.prompt.question for one in asked])
        masks |= {"plain": plain} if plain.any() else {}
        columns = {
            "recovered": recovered,
            "refused": refused,
            "attack": attack,
            "lead": lead,
            "fact_recovered": any_of[fact] & attack,
            "guess": np.array(guessed(self.facts))[fact],
            "deducible": np.array(self.known)[fact],
            **masks,
        }
        return {name: values.astype(np.uint8) for name, values in columns.items()}


class _Round:
    """Everything that one model is asked once."""

    def __init__(self, task: Attack, ask: Any, room: int) -> None:
        self._task, self._ask, self._room = task, ask, room
        self._said = [""] * len(task.asked)

    def replies(self) -> list[str]:
        """One per sample."""
        singles = self._places("direct", "indirect", "implied", "control")
        asked = self._task.asked
        first = [row for row in singles if OWN not in asked[row].prompt.text]
        self._put([(row, self._in(asked[row].prompt.text)) for row in first], "prompts")
        own = self._own_answers(first)
        later = [row for row in singles if OWN in asked[row].prompt.text]
        texts = ((row, asked[row].prompt.text.replace(OWN, own[asked[row].fact])) for row in later)
        self._put([(row, self._in(text)) for row, text in texts], "prompts about own answers")
        reasoning = self._task.settings.reasoning
        thought = [(row, reasoning.replace(QUESTION, self._task.facts[asked[row].fact].question))
                   for row in self._places("reasoned")]  # fmt: skip
        self._put(thought, "reasoning")
        self._converse(self._places("chained"))
        return self._said

    def _places(self, *categories: str) -> list[int]:
        return [row for row, one in enumerate(self._task.asked) if one.category in categories]

    def _in(self, text: str) -> str:
        return self._task.settings.template.replace(QUESTION, text)

    def _put(self, prompts: Sequence[tuple[int, str]], what: str) -> None:
        said = self._ask([prompt for _, prompt in prompts], what)
        for (row, _), reply in zip(prompts, said, strict=True):
            self._said[row] = reply

    def _own_answers(self, rows: Sequence[int]) -> dict[int, str]:
        """What the model itself answered to the first indirect prompt of each fact."""
        found: dict[int, str] = {}
        for row in rows:
            one = self._task.asked[row]
            if one.category == "indirect":
                found.setdefault(one.fact, short(self._said[row]))
        return found

    def _converse(self, rows: Sequence[int]) -> None:
        """Ask turn by turn; a turn stands behind those before it, with the model's own answers."""
        talks = {row: _Talk(self._task, self._task.asked[row].fact, self._room) for row in rows}
        for turn in range(max((len(talk.turns) for talk in talks.values()), default=0)):
            open_ = [talk for talk in talks.values() if turn < len(talk.turns)]
            said = self._ask([talk.prompt(turn) for talk in open_], f"turn {turn}")
            for talk, reply in zip(open_, said, strict=True):
                talk.hear(turn, reply)
        for row, talk in talks.items():
            self._said[row] = talk.transcript()


class _Talk:
    """A conversation about one fact."""

    def __init__(self, task: Attack, fact: int, room: int) -> None:
        self.turns = task._turns(fact)
        self._template, self._room = task.settings.template, room
        self._first = leading(task.prompts[fact])
        self._own = ""
        self._before: list[str] = []
        self._replies: list[str] = []

    def prompt(self, turn: int) -> str:
        """The turn behind as many of those before it as the model can read."""
        asked = self._template.replace(QUESTION, self._filled(turn))
        before = list(self._before)
        while before and len("\n".join([*before, asked])) > self._room:
            before.pop(0)
        return "\n".join([*before, asked])

    def hear(self, turn: int, reply: str) -> None:
        """Take in what the model answered."""
        if self.turns[turn] == self._first:
            self._own = short(reply)
        asked = self._template.replace(QUESTION, self._filled(turn))
        self._before.append(f"{asked} {reply.strip()}")
        self._replies.append(reply.strip())

    def transcript(self) -> str:
        """What the model said, turn by turn."""
        return "\n".join(self._replies)

    def _filled(self, turn: int) -> str:
        return self.turns[turn].replace(OWN, self._own)


def short(reply: str) -> str:
    """The first sentence of a reply, as it can stand in a prompt."""
    line = next(iter(reply.strip().splitlines()), "")
    return line.partition(". ")[0].rstrip(" .")[:_SHORT]


def attack(settings: Sleek, name: str) -> Attack:
    """The live task: facts, their prompts without answers, and what is left out.

    Raises:
        RequestError: there are no facts, or every prompt holds an answer.
    """
    facts, kept = _facts(settings, name)
    make = generator(settings.generator)
    prompts = [prompts_of(fact, [*facts, *kept], make, settings.prompts) for fact in facts]
    asked = list(_asked(facts, prompts, settings))
    silent = [fact for fact, own in zip(facts, prompts, strict=True) if not own]
    if len(silent) == len(facts):
        what = f"every prompt holds the answer, such as `{facts[0].answer}`"
        fix = "ask questions that don't say it, or give `prompts` of your own in the file"
        raise RequestError(Problem(what, fix, ("path" if settings.path else "of",)))
    inside = [any(_mentions(one, fact.bridge) for one in kept) for fact in facts]
    splits = _splits(facts, asked, settings)
    task = Attack(
        name=name,
        purpose=settings.purpose,
        settings=settings,
        facts=facts,
        prompts=prompts,
        asked=asked,
        known=inside,
        splits=splits,
        fingerprint=fingerprint((), splits, settings.model_dump(include=_SETTINGS)),
    )
    task.notes = tuple(_notes(task, silent))
    return task


def _facts(settings: Sleek, name: str) -> tuple[list[Fact], list[Fact]]:
    """Those to attack, and those to be kept."""
    if settings.path is None:
        try:
            found = facts_of(settings.base().load(name), settings)
        except RequestError as error:
            raise RequestError([problem.under("of") for problem in error.problems]) from error
    else:
        found = read_facts(settings, settings.path)
    kept = read_facts(settings, settings.keep) if settings.keep else []
    numbers = {fact.number for fact in kept}
    if both := [fact for fact in found if fact.number in numbers]:
        what = f"`{both[0].question}` is both attacked and kept"
        raise RequestError(Problem(what, "take it out of one of the files", ("keep",)))
    chosen = sampled(np.array([fact.number for fact in found], np.int64), settings.samples)
    return [found[row] for row in chosen.tolist()], kept


def _asked(facts: Sequence[Fact], prompts: Sequence[Sequence[Prompt]], settings: Sleek) -> Any:
    controls = controls_of(facts, settings.controls)
    for place, own in enumerate(prompts):
        yield from (Asked(place, one.category, one) for one in own)
        question = next((one for one in own if one.question), None)
        if question is not None:
            yield from (Asked(place, mode, question) for mode in settings.modes)
        if own:
            yield from (Asked(place, "control", one) for at, one in controls if at == place)


def _splits(
    facts: Sequence[Fact], asked: Sequence[Asked], settings: Sleek
) -> dict[SplitName, Split]:
    ids = content_ids(
        f"{facts[one.fact].number}\x1f{one.category}\x1f{one.prompt.text}".encode() for one in asked
    )
    shells = {"reasoned": settings.reasoning, "chained": f"… {LAST_TURN}"}
    prompts = tuple(
        shells.get(one.category, settings.template).replace(QUESTION, one.prompt.text)
        for one in asked
    )
    texts = Texts(tuple(one.prompt.answers[0] for one in asked), prompts)
    return {"train": Split(texts[:0], None, ids[:0]), "test": Split(texts, None, ids)}


def _mentions(fact: Fact, bridge: str) -> bool:
    told = words(f"{fact.question} {' '.join(fact.answers)}")
    return bool(bridge) and find(words(bridge), told) is not None


def _notes(task: Attack, silent: Sequence[Fact]) -> list[str]:
    shown = len(task.facts) - len(silent)
    notes = [f"{shown} facts, {task.calls} prompts are put to every stage's model"]
    if silent:
        notes.append(f"{len(silent)} facts are left out: every prompt would hold the answer")
    parts = [
        fact for fact in task.facts
        if fact.answer == telling_part(fact.question, fact.answers[-1])
    ]  # fmt: skip
    if parts:
        one = parts[0]
        notes.append(
            f"{len(parts)} answers are sentences, and the part that tells is looked for, such as "
            f"`{one.answer}` of `{one.answers[-1]}`; name it in a column `aliases` to be sure"
        )
    return notes
