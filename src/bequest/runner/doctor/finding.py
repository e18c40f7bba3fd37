"""What the doctor says: findings, what was left out, and all of it together."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Severity = Literal["serious", "minor", "note"]
SEVERITIES: tuple[Severity, ...] = ("serious", "minor", "note")


class NotAtHand(Exception):
    """A check can't be made: something that it reads is missing; the text says what."""


@dataclass(frozen=True)
class Finding:
    """Something that a run suffers from, or that looks as if it did.

    severity: `serious`: results can't be trusted as they are; `minor`: worth a look; `note`: looks
        like a disease and is none.
    where: step, seed, model, layer, term, task, rule: what is known of the place.
    seen: what was seen, with numbers; means: why that matters; do: what helps.
    numbers: the same numbers for programs. source: where a threshold comes from; else it is ours.
    """

    name: str
    severity: Severity
    where: Mapping[str, str | int]
    seen: str
    means: str
    do: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True)
class LeftOut:
    """A check, or a part of one, that could not be made, and why."""

    check: str
    why: str


@dataclass(frozen=True)
class Diagnosis:
    """All that was found in one run, serious findings first.

    status: `finished`, `stopped` or `running`; reason: why it stopped. checked: names of the
    checks that were made, wholly or in part.
    """

    run: Path
    status: str
    reason: str
    checked: tuple[str, ...]
    findings: tuple[Finding, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def serious(self) -> bool:
        """Whether any finding is serious."""
        return any(finding.severity == "serious" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return {**asdict(self), "run": str(self.run), "serious": self.serious}
