"""The gate's verdict: every rule with its value drawn against its limit."""

from __future__ import annotations

from functools import partial
from math import nan
from typing import TYPE_CHECKING, Any

from bequest.measure.gate import holds
from bequest.measure.rules import Rule, parse
from bequest.report.page.draw import domain, interval_bar
from bequest.report.page.html import Html, join, table, tag
from bequest.report.page.numbers import brief, number, spread

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEAD = ("rule", "verdict", "against its limit", "value", "95 % interval", "why")


def verdict(judged: Mapping[str, Any] | None) -> Html:
    """The section's content, from `verdict` in run.json."""
    rules = (judged or {}).get("rules", [])
    if judged and judged.get("error"):
        mark = stamp(False, "The gate could not be judged")
        return join([tag("p", mark), tag("pre", judged["error"])])
    if judged is None or not rules:
        return tag("p", "The recipe has no rules, so nothing was judged.", class_="soft")
    passed = sum(rule["passed"] for rule in rules)
    mark = stamp(judged["passed"], f"The gate {'passed' if judged['passed'] else 'failed'}")
    counted = f" {passed} of {len(rules)} rules hold."
    why = any(rule["reason"] for rule in rules)
    lines = (_line(rule)[: len(_HEAD) if why else -1] for rule in rules)
    return join(
        [tag("p", mark, counted), table(_HEAD[: None if why else -1], lines, class_="stack")]
    )


def stamp(passed: bool, said: str) -> Html:
    """A sign and a word, so that colour isn't needed."""
    sign = "✓" if passed else "✗"
    return tag("span", f"{sign} {said}", class_="stamp good" if passed else "stamp bad")


def _line(one: Mapping[str, Any]) -> list[str]:
    rule = parse(one["rule"])
    value, low, high = (nan if one[key] is None else one[key] for key in ("value", "low", "high"))
    label = f"{number(value)}, interval {spread(low, high)}, {_limit(rule)}"
    return [
        tag("code", one["rule"]),
        stamp(one["passed"], "holds" if one["passed"] else "broken"),
        _bar(rule, value, low, high, label),
        number(value),
        spread(low, high),
        one["reason"] or "",
    ]


def _bar(rule: Rule, value: float, low: float, high: float, label: str) -> Html:
    around = domain((value, low, high, rule.limit), 0.2)
    bar = interval_bar(
        value, low, high, around, label, mark=rule.limit, forbidden=partial(_broken, rule)
    )
    return tag("div", bar, tag("small", _limit(rule), class_="soft"))


def _limit(rule: Rule) -> str:
    sign = {">=": "≥", "<=": "≤", "==": "="}.get(rule.op, rule.op)
    return f"limit {sign} {brief(rule.limit)}"


def _broken(rule: Rule, value: float) -> bool:
    return not holds(value, rule.op, rule.limit)
