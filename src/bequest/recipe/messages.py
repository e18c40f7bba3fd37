"""What pydantic finds, in plain words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from bequest.core.errors import Problem, did_you_mean
from bequest.recipe.schema import NAME_PATTERN, REFERENCE_PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import TypeVar

    from pydantic_core import ErrorDetails

    from bequest.recipe.draft import Draft
    from bequest.recipe.tree import Field

    M = TypeVar("M", bound=BaseModel)

_MUST = {
    "string_type": "text",
    "path_type": "a path",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "none_required": "null",
    "greater_than": "greater than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "string_too_short": "at least {min_length} characters long",
    "string_too_long": "at most {max_length} characters long",
    "too_short": "a list of at least {min_length} (it has {actual_length})",
    "too_long": "a list of at most {max_length} (it has {actual_length})",
}
_PATTERNS = {
    NAME_PATTERN: "a name (letters, digits, `_` and `-`, no digit first)",
    REFERENCE_PATTERN: "the name of a model, or `step.role` of an earlier step",
}
_LONGEST = 60


def validated(
    model: type[M], data: Mapping[str, Any], draft: Draft, at: Field
) -> tuple[M | None, list[Problem]]:
    """`data`, which the recipe has at the field `at`, as a `model`, or what is wrong with it.

    Types are those of JSON and taken strictly: the text "3" is no number, and 1 is not true.
    """
    try:
        return model.model_validate_json(to_json(data), strict=True), []
    except ValidationError as error:
        return None, list(_problems(error, model, data, draft, at))


def choices(names: Iterable[str]) -> str:
    """Names to choose from, as messages list them."""
    return ", ".join(names) or "(none)"


def _problems(
    error: ValidationError, model: type[BaseModel], data: Any, draft: Draft, at: Field
) -> Iterator[Problem]:
    found: dict[Field, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        found.setdefault(_path(details, data), []).append(details)
    for path, alternatives in found.items():
        # of a union, the branch that got further is the one that was meant
        if not any(other != path and other[: len(path)] == path for other in found):
            yield _problem(path, alternatives, model, draft, at)


def _problem(
    path: Field, alternatives: list[ErrorDetails], model: type[BaseModel], draft: Draft, at: Field
) -> Problem:
    details = alternatives[0]
    field = (*at, *path)
    if details["type"] == "extra_forbidden":
        known = _fields(model, path[:-1])
        meant = did_you_mean(str(path[-1]), known)
        problem = Problem("unknown field", f"known are {choices(known)}", field, meant)
        return draft.locate(problem, key=True)
    if details["type"] == "missing":
        about = _fields(model, path[:-1]).get(str(path[-1]), "")
        return draft.locate(Problem(_lacking(alternatives), about.rstrip("."), field))
    whats = dict.fromkeys(_must(one) for one in alternatives)
    value = "" if _about_key(details) else _but(details)
    meant = next((word for word in map(_meant, alternatives) if word), "")
    what = " or ".join(whats).replace(" or must be ", " or ")
    problem = Problem(what + value, _as_part(details, field), field, meant)
    return draft.locate(problem, key=_about_key(details))


def _lacking(alternatives: Sequence[ErrorDetails]) -> str:
    """A field that isn't there, or values at the end of a list."""
    places = [place for one in alternatives if isinstance(place := one["loc"][-1], int)]
    given = alternatives[0]["input"]
    if not places or not isinstance(given, list):
        return "is missing"
    return f"must have {max(places) + 1} values, but has {len(given)}"


def _as_part(details: ErrorDetails, field: Field) -> str:
    """How a part is written where only its name was given, or the gate where it is one rule."""
    if field == ("gate",) and isinstance(details["input"], str):
        return f"write `gate: [{shown(details['input'])}]`"
    is_part = field[-1:] == ("method",) or field[:1] in (("models",), ("tasks",))
    if details["type"] != "dict_type" or not is_part or not isinstance(details["input"], str):
        return ""
    return f"write `{field[-1]}: {{use: {details['input'][:_LONGEST]}}}`"


def _about_key(details: ErrorDetails) -> bool:
    return details["loc"][-1:] == ("[key]",)


def _path(details: ErrorDetails, data: Any) -> Field:
    """The field of an error: its `loc` without the names of union branches."""
    path: list[str | int] = []
    loc = details["loc"]
    for number, part in enumerate(loc):
        if isinstance(data, dict) and (part in data or number == len(loc) - 1):
            path.append(part)
            data = data.get(str(part))
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            path.append(part)
            data = data[part]
    return tuple(part for part in path if part != "[key]")


def _must(details: ErrorDetails) -> str:
    kind = details["type"]
    context = {name: _short(value) for name, value in details.get("ctx", {}).items()}
    if kind in _MUST:
        return "must be " + _MUST[kind].format_map(context)
    if kind in ("literal_error", "enum"):
        options = _options(details)
        return f"must be {'one of ' * (len(options) > 1)}{', '.join(options)}"
    if kind == "string_pattern_mismatch":
        pattern = str(context["pattern"])
        return "must be " + _PATTERNS.get(pattern, f"text of the form `{pattern}`")
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error") or "is not allowed")
    said = details["msg"].replace("Input should be", "must be")
    return said[:1].lower() + said[1:]


def _short(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _options(details: ErrorDetails) -> list[str]:
    said = str(details.get("ctx", {}).get("expected", ""))
    return re.findall(r"'([^']*)'", said) or [said]


def _meant(details: ErrorDetails) -> str:
    value = details["input"]
    if details["type"] not in ("literal_error", "enum") or not isinstance(value, str):
        return ""
    return did_you_mean(value, _options(details))


def _but(details: ErrorDetails) -> str:
    if details["type"] in ("value_error", "assertion_error", "too_short", "too_long"):
        return ""
    return f", but is {shown(details['input'])}"


def shown(value: Any) -> str:
    """A value as messages quote it: short, and as YAML would write it."""
    if isinstance(value, (dict, list)):
        return ("a" if value else "an empty") + (" mapping" if isinstance(value, dict) else " list")
    if value is None or isinstance(value, bool):
        return str({None: "null", True: "true", False: "false"}[value])
    text = repr(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _fields(model: type[BaseModel], path: Field) -> dict[str, str]:
    """Names and descriptions of the fields that `model` has at `path`, as recipes write them."""
    here: type[BaseModel] | None = model
    for part in path:
        if here is not None and isinstance(part, str):
            names = {info.alias or name: info for name, info in here.model_fields.items()}
            here = _model_in(names[part].annotation) if part in names else None
    if here is None:
        return {}
    fields = here.model_fields.items()
    return {info.alias or name: info.description or "" for name, info in fields}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
