"""Too few samples for the difference that the gate asks about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bequest.core.errors import RequestError
from bequest.measure.intervals import short
from bequest.measure.power import power
from bequest.measure.rules import BASELINE, parse
from bequest.runner.doctor.finding import Finding, LeftOut, NotAtHand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bequest.measure.power import Power
    from bequest.measure.rules import Rule
    from bequest.runner.doctor.chart import Chart

NAME = "too few samples"
_SOURCE = (
    "power 0.8 at 5 %: Cohen 1988; Card et al. 2020, With Little Power Comes Great Responsibility"
)


def look(chart: Chart) -> Iterator[Finding | LeftOut]:
    """Gate rules whose limit lies within the interval of what they ask about."""
    rules = chart.record["recipe"].get("gate", [])
    if not rules:
        raise NotAtHand("the recipe has no gate rules")
    for text in rules:
        try:
            rule = parse(text)
            if rule.against == BASELINE:
                yield LeftOut(NAME, f"`{text}` compares with another run")
            elif (found := power(rule, chart.matrix)) and not found.decided:
                yield _finding(rule, found)
        except RequestError as error:
            yield LeftOut(NAME, f"`{text}` can't be judged: {error}")


def _finding(rule: Rule, found: Power) -> Finding:
    estimate, asked = found.estimate, found.asked
    few = asked is not None and found.least > asked
    count = len(estimate.seeds) or 1
    behind = f"{estimate.units} units and {count} seed{'s' if count > 1 else ''}"
    about = f", and the rule is about {short(asked)}" if asked else ""
    numbers = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    numbers |= {"limit": rule.limit, "least": found.least, "units": float(estimate.units)}
    numbers |= {"asked": asked} if asked else {}
    return Finding(
        NAME,
        "serious" if few else "minor",
        {"rule": rule.text} | ({"task": rule.task} if rule.task else {}),
        f"{estimate} lies on both sides of {rule.limit:g}; {behind} show differences from "
        f"{short(found.least)} upwards{about}",
        "whether the rule passes is a matter of luck: other samples may say the opposite"
        if few
        else "the value is so close to the limit that other samples or seeds may say the opposite",
        _advice(found)
        if few
        else "add `surely` to ask for the whole interval, test on more "
        "samples, or move the limit to a difference that matters",
        numbers | ({"enough": float(found.enough)} if few and found.enough else {}),
        _SOURCE,
    )


def _advice(found: Power) -> str:
    if found.enough:
        return f"test on about {found.enough:,} units, or ask for {short(found.least)} or more"
    return (
        f"add seeds: they differ so much that no number of samples would do; or ask for "
        f"{short(found.least)} or more"
    )
