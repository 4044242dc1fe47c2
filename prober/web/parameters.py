"""The parameters of API and pages, each defined once: for parsing and for the API's description."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from multidict import MultiMapping

from prober.formatting import duration_seconds
from prober.outcomes import Culprit
from prober.render.overview import TenantState
from prober.render.svg import RANGES
from prober.stats.incidents import INCIDENT_ID, IncidentKey, read_incident_id
from prober.web.queries import DEFAULT_RANGE

_SINCE_PATTERN = "^[1-9][0-9]{0,3}(s|m|h|d)$"
_CURSOR = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)~([a-z]{1,16})~([01])~([a-z0-9_-]{1,63})")
_FAILURE_CURSOR = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)~([0-9]{1,18})")
_MAX_ITEMS = 200
_MAX_NUMBER = 2**63 - 1
_MAX_NAME = 60
_MAX_SEARCH = 200


@dataclass(frozen=True, slots=True)
class Parameter:
    """`read` parses its text, and raises ValueError with a hint at what is valid.

    One that `is_list` may be repeated; its value is the tuple of what `read` returns of each text.
    """

    name: str
    where: Literal["path", "query"]
    description: str
    schema: Mapping[str, object]
    read: Callable[[str], object]
    default: str | None = None
    is_list: bool = False

    @property
    def is_required(self) -> bool:
        """Whether it must be given."""
        return self.where == "path"


def _range(text: str) -> str:
    if text not in RANGES:
        raise ValueError(f"must be one of {', '.join(RANGES)}")
    return text


def _since(text: str) -> float:
    if not re.fullmatch(_SINCE_PATTERN, text):
        raise ValueError("write how long ago, such as 90m, 24h or 30d")
    return duration_seconds(text)


def _limit(text: str) -> int:
    if not re.fullmatch("[0-9]{1,3}", text) or not 0 < int(text) <= _MAX_ITEMS:
        raise ValueError(f"write a number from 1 to {_MAX_ITEMS}")
    return int(text)


def _number(text: str) -> int:
    if not re.fullmatch("[0-9]{1,19}", text) or int(text) > _MAX_NUMBER:
        raise ValueError("write a number")
    return int(text)


def _match_cursor(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    found = pattern.fullmatch(text)
    if found is None:
        raise ValueError("write the 'next_cursor' of a response")
    return found


def _cursor(text: str) -> IncidentKey:
    found = _match_cursor(_CURSOR, text)
    return float(found[1]), found[4], found[2], found[3] == "1"


def _choice(kind: type[StrEnum]) -> Callable[[str], object]:
    def read_choice(text: str) -> object:
        if text not in tuple(kind):
            raise ValueError(f"must be one of {', '.join(kind)}")
        return kind(text)

    return read_choice


def _label(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise ValueError("write NAME=VALUE")
    return name, value


def _words(text: str) -> tuple[str, ...]:
    if len(text) > _MAX_SEARCH:
        raise ValueError(f"write at most {_MAX_SEARCH} characters")
    return tuple(text.split())


def _failure_cursor(text: str) -> tuple[float, int]:
    found = _match_cursor(_FAILURE_CURSOR, text)
    return float(found[1]), int(found[2])


def _list(
    name: str, description: str, items: Mapping[str, object], read_item: Callable[[str], object]
) -> Parameter:
    schema = {"type": "array", "items": {"type": "string", **items}}
    return Parameter(name, "query", description, schema, read_item, is_list=True)


def _choices(name: str, description: str, kind: type[StrEnum]) -> Parameter:
    return _list(name, description, {"enum": list(kind)}, _choice(kind))


TENANT = Parameter("tenant", "path", "The tenant's name.", {"type": "string"}, str)
PROBE = Parameter("probe", "path", "The probe's name.", {"type": "string"}, str)
OF_PROBE = Parameter("probe", "query", "This probe only.", {"type": "string"}, str)
NUMBER = Parameter(
    "number",
    "path",
    "The failure's number.",
    {"type": "integer", "minimum": 0, "maximum": _MAX_NUMBER},
    _number,
)
RANGE = Parameter(
    "range",
    "query",
    "How far back.",
    {"type": "string", "enum": list(RANGES), "default": DEFAULT_RANGE},
    _range,
    DEFAULT_RANGE,
)
SINCE = Parameter(
    "since",
    "query",
    "How long ago.",
    {"type": "string", "pattern": _SINCE_PATTERN, "default": "7d", "examples": ["24h", "30d"]},
    _since,
    "7d",
)
LIMIT = Parameter(
    "limit",
    "query",
    "How many at most.",
    {"type": "integer", "minimum": 1, "maximum": _MAX_ITEMS, "default": 50},
    _limit,
    "50",
)


NAME_CURSOR = Parameter(
    "cursor",
    "query",
    "The `next_cursor` of a response: returns what follows it.",
    {"type": "string"},
    str,
)
CURSOR = replace(
    NAME_CURSOR, schema={"type": "string", "pattern": f"^{_CURSOR.pattern}$"}, read=_cursor
)
FAILURE_CURSOR = replace(
    NAME_CURSOR,
    schema={"type": "string", "pattern": f"^{_FAILURE_CURSOR.pattern}$"},
    read=_failure_cursor,
)
SEARCH = Parameter(
    "q",
    "query",
    "Words that must all be in name, environment, address, verdict or labels.",
    {"type": "string", "maxLength": _MAX_SEARCH},
    _words,
)
STATES = _choices("state", "In one of these states.", TenantState)
CULPRITS = _choices("culprit", "One of these is responsible.", Culprit)
ENVIRONMENTS = _list("environment", "In one of these environments.", {}, str)
LABELS = _list(
    "label",
    "With these labels, each as NAME=VALUE; of several values of one label, one must match.",
    {"pattern": "^[^=]+=.*$"},
    _label,
)
TENANTS = _list("tenant", "Of one of these tenants.", {}, str)
INCIDENT = Parameter(
    "incident",
    "path",
    "The incident's id.",
    {"type": "string", "pattern": f"^{INCIDENT_ID.pattern}$"},
    read_incident_id,
)
INCIDENTS_LIMIT = replace(
    LIMIT, schema={**LIMIT.schema, "default": _MAX_ITEMS}, default=str(_MAX_ITEMS)
)


class BadParameterError(ValueError):
    """A parameter is invalid; the message says what is valid."""


def read(
    parameters: tuple[Parameter, ...], path: Mapping[str, str], query: Mapping[str, str]
) -> dict[str, object]:
    """Return the value of each parameter; raises BadParameterError, for unknown ones as well."""
    known = {each.name for each in parameters if each.where == "query"}
    for name in query:
        if name not in known:
            others = f"; there are {', '.join(sorted(known))}" if known else "; there are none"
            raise BadParameterError(f"{name[:_MAX_NAME]}: is not a parameter{others}")
    check_once(query, (each.name for each in parameters if not each.is_list))
    values: dict[str, object] = {}
    for each in parameters:
        try:
            values[each.name] = _value(each, path if each.where == "path" else query)
        except ValueError as error:
            raise BadParameterError(f"{each.name}: {error}") from error
    return values


def check_once(query: Mapping[str, str], names: Iterable[str]) -> None:
    """Raise BadParameterError for a parameter that is given more than once.

    Which of its values is meant is not known, and a program would take the data of one for that of
    the other.
    """
    if isinstance(query, MultiMapping):
        for name in names:
            if len(query.getall(name, [])) > 1:
                raise BadParameterError(f"{name}: is given more than once")


def _value(each: Parameter, source: Mapping[str, str]) -> object:
    if each.is_list:
        texts = source.getall(each.name, []) if isinstance(source, MultiMapping) else []
        return tuple(each.read(text) for text in texts)
    text = source.get(each.name, each.default)
    return None if text is None else each.read(text)
