"""Pages made from the code: metrics, the command line, recipes, Python."""

from __future__ import annotations

import inspect
import re
from math import inf
from typing import TYPE_CHECKING, Any

from docs_words import escaped, fields_table, prose, table
from typer.testing import CliRunner

import bequest
from bequest.cli import app
from bequest.measure import rules
from bequest.measure.contrasts import METRICS
from bequest.recipe.jsonschema import json_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bequest.measure.metric import Metric

NOTATION = """
For samples i = 1 … n of a test set: xᵢ the input, yᵢ the right label or answer, ŷᵢ the model's own,
p its probability, [·] 1 where it is true and 0 elsewhere. All sums over samples are weighted when
intervals are computed: each resample gives other weights, and 1/n is the plain case.

For tasks 1 … T learned in turn:

| sign | meaning |
|---|---|
| `R[i,j]` | score on task j after learning task i |
| `g[j]` | score on task j of the model as it was given, before any training |
| `s[j]` | score on task j of a model that learned only that task (line `single`) |
| `m[k]` | score on task k of a model that learned tasks 1 … k together (line `joint`) |
| `c[i,j,e]` | score on task j at checkpoint e of E while task i is learned, at step `m_e` |
| `c[j,e]`, `h[j,e]` | score on the task being learned; the same, held at its best from there on |
| `Z_m` | score on the task being learned after m mini-batches, averaged over tasks |

Scores of a sequence are those of any metric of one stage, usually accuracy. Where less is better
(cross-entropy), differences are turned around, so that a positive `bwt` is always a gain.
A value that is needed and was not measured makes the metric absent, with the reason; never a zero.
"""
RECIPES = """A recipe is one YAML file. `bequest schema > recipe.schema.json` writes its JSON Schema
for your editor, and `bequest run FILE --dry-run` checks it: every mistake is told with its line and
what was perhaps meant. YAML's anchors work; tags and code do not.

It has `method`, or `steps`. `extend` takes another recipe and lays this one upon it: mappings join,
everything else is replaced."""
RULES = """`surely` asks the whole 95 % interval to satisfy the rule, not only its middle. What
`metric` may be is in [Metrics](metrics.md)."""
KINDS = {
    "score": "## Of one stage on one task\n\n`accuracy(task) @ stage >= 0.9`",
    "contrast": "## Of two stages on the same samples\n\n"
    "`negative_flips(task) @ stage vs other <= 3%`",
    "sequence": "## Of a sequence of tasks\n\n`bwt @ step >= -5%`",
    "cost": "## Costs of a stage\n\n"
    "`parameters @ stage <= 1000000`; recorded, not computed from answers.",
}


def pages() -> Iterator[tuple[str, str]]:
    """Path below `docs/` and text of every page."""
    yield "reference/metrics.md", metrics_page()
    yield "reference/cli.md", cli_page()
    yield "reference/recipe.md", recipe_page()
    yield "reference/python.md", python_page()


def metrics_page() -> str:
    """All metrics by kind, each with its formula."""
    parts = [
        "# Metrics",
        "Papers use one word for different formulas. Here every formula has a name of its own, and "
        "a bare name is what most papers mean. Each is computed from the recorded answers of every "
        "sample, with a 95 % interval.",
        "## Notation",
        NOTATION.strip(),
    ]
    for kind, heading in KINDS.items():
        parts.append(heading)
        parts += [_metric(each) for each in METRICS.values() if each.kind == kind]
    return "\n\n".join(parts) + "\n"


def _metric(metric: Metric) -> str:
    needs = ", ".join(f"`{each}`" for each in metric.needs) or "nothing recorded per sample"
    facts = [
        f"- Better: {metric.better}; unit: {metric.unit}; from {_bounds(metric)}",
        f"- Needs: {needs}",
    ]
    facts += [f"- Source: {escaped(metric.source)}"] if metric.source else []
    formula = f"``` {{.text .formula}}\n{metric.name} = {metric.formula}\n```"
    return "\n\n".join(
        [f"### {metric.name}", escaped(metric.definition), formula, "\n".join(facts)]
    )


def _bounds(metric: Metric) -> str:
    if metric.unit == "as the score":
        return (
            "as the score has it" if getattr(metric, "level", False) else "the score's differences"
        )
    low, high = ("∞" if abs(each) == inf else f"{each:g}" for each in metric.bounds)
    return f"{'−' if metric.bounds[0] == -inf else ''}{low} to {high}"


def cli_page() -> str:
    """The help of every command."""
    parts = [
        "# Command line",
        "Every command takes `--json` and then prints JSON to stdout; what is said to people goes "
        "to stderr. Exit codes are the same everywhere: 0 done, 1 the gate says no, 2 the request "
        "is wrong, 3 it failed while running, 130 interrupted. Errors are messages, never "
        "tracebacks.",
        f"```text\n{_help()}\n```",
    ]
    for command in app.registered_commands:
        parts += [f"## bequest {command.name}", f"```text\n{_help(str(command.name))}\n```"]
    for group in app.registered_groups:
        for command in group.typer_instance.registered_commands if group.typer_instance else ():
            words = str(group.name), str(command.name)
            parts += [f"## bequest {' '.join(words)}", f"```text\n{_help(*words)}\n```"]
    return "\n\n".join(parts) + "\n"


def _help(*words: str) -> str:
    said = CliRunner().invoke(app, [*words, "--help"], prog_name="bequest", terminal_width=100)
    return said.output.strip()


def recipe_page() -> str:
    """What a recipe may say, from its JSON Schema, and the grammar of rules."""
    schema = json_schema()
    fit = schema["$defs"]["fit"]
    sections = {
        "The file": schema,
        "A step": schema["$defs"]["Step"],
        "`fit`": fit,
        "`fit.optimizer`": fit["$defs"]["OptimizerSettings"],
    }
    parts = ["# Recipes", RECIPES]
    for title, section in sections.items():
        parts += [f"## {title}", fields_table(section)]
    parts += ["## Rules of `gate`", prose(rules.__doc__), RULES]
    return "\n\n".join(parts) + "\n"


def python_page() -> str:
    """The public names of the package."""
    parts = [
        "# Python",
        prose(inspect.getdoc(bequest)),
        "Everything public is in `bequest` itself; importing it is cheap, torch comes when it is "
        "needed.",
    ]
    for name in bequest.__all__:
        thing = getattr(bequest, name)
        parts += list(_name(name, thing)) if callable(thing) else []
    return "\n\n".join(parts) + "\n"


def _name(name: str, thing: Any) -> Iterator[str]:
    yield f"## {name}"
    yield f"```text\n{_signature(name, thing)}\n```"
    yield prose(inspect.getdoc(thing))
    if inspect.isclass(thing):
        yield from _members(thing)


def _signature(name: str, thing: Any) -> str:
    """The call, one parameter a line where it is long; of what is inherited from, the base."""
    if inspect.isclass(thing) and (hasattr(thing, "model_fields") or "__init__" not in vars(thing)):
        return f"class {name}({thing.__base__.__name__})"
    signature = inspect.signature(thing)
    written = _unquoted(f"{name}{signature}")
    if len(written) <= 88:
        return written
    inner = ",\n    ".join(_unquoted(str(each)) for each in signature.parameters.values())
    return f"{name}(\n    {inner},\n)"


def _unquoted(signature: str) -> str:
    """A signature whose annotations, which are kept as text, are written as in the code."""
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", signature)


def _members(thing: type) -> Iterator[str]:
    """Public methods and properties of the class itself, each with the first line about it."""
    rows = []
    for name, member in vars(thing).items():
        about = inspect.getdoc(member) if not name.startswith("_") else None
        if about and (callable(member) or hasattr(member, "fget") or hasattr(member, "func")):
            rows.append((f"`{_call(name, member)}`", escaped(about.partition("\n\n")[0])))
    yield table(("member", "what it is"), [(a, b.replace("\n", " ")) for a, b in rows])


def _call(name: str, member: Any) -> str:
    if not inspect.isfunction(member):
        return name
    taken = [each for each in inspect.signature(member).parameters if each != "self"]
    return f"{name}({', '.join(taken)})"
