"""What the gate says, for people and for machines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from math import isfinite
from typing import TYPE_CHECKING, Any

from bequest.core.errors import EXIT_DONE, EXIT_GATE
from bequest.measure.intervals import short

if TYPE_CHECKING:
    from bequest.measure.rules import Rule

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class RuleResult:
    """One rule, judged. `reason` says why it failed; empty when it passed."""

    rule: Rule
    value: float
    low: float
    high: float
    passed: bool
    reason: str = ""


@dataclass(frozen=True)
class Verdict:
    """All rules, judged, in their order."""

    results: tuple[RuleResult, ...]

    @property
    def passed(self) -> bool:
        """Whether every rule passed."""
        return all(result.passed for result in self.results)

    @property
    def exit_code(self) -> int:
        """0 when every rule passed, else 1."""
        return EXIT_DONE if self.passed else EXIT_GATE

    def to_json(self) -> dict[str, Any]:
        """JSON-able; a number that is not finite is null."""
        return {"passed": self.passed, "rules": [_as_json(result) for result in self.results]}

    def to_markdown(self) -> str:
        """A table for a pull request."""
        head = "| | rule | value | 95 % interval | why |\n|---|---|---|---|---|\n"
        lines = (
            f"| {'pass' if one.passed else '**fail**'} | {_code(one.rule.text)} | "
            f"{short(one.value)} | {short(one.low)} to {short(one.high)} | {_cell(one.reason)} |\n"
            for one in self.results
        )
        return f"Gate: {'passed' if self.passed else 'failed'}\n\n{head}{''.join(lines)}"

    def to_junit(self) -> str:
        """JUnit XML: one test case for each rule."""
        failures = sum(not result.passed for result in self.results)
        cases = "".join(map(_case, self.results))
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<testsuites><testsuite name="gate" tests="{len(self.results)}" '
            f'failures="{failures}" errors="0">{cases}</testsuite></testsuites>\n'
        )


def _as_json(result: RuleResult) -> dict[str, Any]:
    numbers = {"value": result.value, "low": result.low, "high": result.high}
    return {
        "rule": result.rule.text,
        "passed": result.passed,
        **{name: value if isfinite(value) else None for name, value in numbers.items()},
        "reason": result.reason,
    }


def _case(result: RuleResult) -> str:
    name = f'<testcase classname="gate" name="{_xml(result.rule.text)}"'
    if result.passed:
        return f"{name}/>"
    return f'{name}><failure message="{_xml(result.reason)}"/></testcase>'


def _xml(text: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", text))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{_cell(text).replace('`', chr(0x2019))}`"
