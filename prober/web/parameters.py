"""What may be said in an address, and how it is read: one list for routes and OpenAPI. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from prober.settings.quantities import duration_seconds
from prober.timeline.spells import IncidentKey
from prober.views.chart import RANGES

DEFAULT_RANGE = "24h"
_SINCE_PATTERN = "^[1-9][0-9]{0,3}(s|m|h|d)$"
_CURSOR = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)~([a-z]{1,16})~([01])~([a-z0-9_-]{1,63})")
_MOST = 200
_GREATEST_NUMBER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Parameter:
    """`read` turns its text into a value, and raises ValueError with what would be right."""

    name: str
    where: Literal["path", "query"]
    says: str
    schema: Mapping[str, object]
    read: Callable[[str], object]
    default: str | None = None

    @property
    def is_required(self) -> bool:
        """Whether it must stand there."""
        return self.where == "path"


def _range(text: str) -> str:
    if text not in RANGES:
        raise ValueError(f"is none of {', '.join(RANGES)}")
    return text


def _since(text: str) -> float:
    if not re.fullmatch(_SINCE_PATTERN, text):
        raise ValueError("write how long ago, such as 90m, 24h or 30d")
    return duration_seconds(text)


def _limit(text: str) -> int:
    if not re.fullmatch("[0-9]{1,3}", text) or not 0 < int(text) <= _MOST:
        raise ValueError(f"write a number from 1 to {_MOST}")
    return int(text)


def _number(text: str) -> int:
    if not re.fullmatch("[0-9]{1,19}", text) or int(text) > _GREATEST_NUMBER:
        raise ValueError("write a number")
    return int(text)


def cursor_text(key: IncidentKey) -> str:
    """Return what asks for the incidents after one."""
    started_at, tenant, culprit, in_maintenance = key
    return f"{started_at!r}~{culprit}~{int(in_maintenance)}~{tenant}"


def _cursor(text: str) -> IncidentKey:
    found = _CURSOR.fullmatch(text)
    if found is None:
        raise ValueError("write what 'next_cursor' of an answer says")
    return float(found[1]), found[4], found[2], found[3] == "1"


TENANT = Parameter("tenant", "path", "The tenant's name.", {"type": "string"}, str)
PROBE = Parameter("probe", "path", "The probe's name.", {"type": "string"}, str)
OF_PROBE = Parameter("probe", "query", "Of this probe alone.", {"type": "string"}, str)
NUMBER = Parameter(
    "number",
    "path",
    "The failure's number.",
    {"type": "integer", "minimum": 0, "maximum": _GREATEST_NUMBER},
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
    {"type": "integer", "minimum": 1, "maximum": _MOST, "default": 50},
    _limit,
    "50",
)


CURSOR = Parameter(
    "cursor",
    "query",
    "The answer's `next_cursor`: what comes after it.",
    {"type": "string", "pattern": f"^{_CURSOR.pattern}$"},
    _cursor,
)
INCIDENTS_LIMIT = replace(LIMIT, schema={**LIMIT.schema, "default": _MOST}, default=str(_MOST))


class BadParameter(ValueError):  # noqa: N818 -- named for what it says
    """Something in the address cannot be read; the message says what would be right."""


def read(
    parameters: tuple[Parameter, ...], path: Mapping[str, str], query: Mapping[str, str]
) -> dict[str, object]:
    """Return the value of each parameter; raises BadParameter."""
    values: dict[str, object] = {}
    for each in parameters:
        text = (path if each.where == "path" else query).get(each.name, each.default)
        try:
            values[each.name] = None if text is None else each.read(text)
        except ValueError as error:
            raise BadParameter(f"{each.name}: {error}") from error
    return values
