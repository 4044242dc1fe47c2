"""What may be said in an address, and how it is read: one list for routes and OpenAPI. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from prober.settings.quantities import DURATION_PATTERN, duration_seconds
from prober.views.chart import RANGES

DEFAULT_RANGE = "24h"
_LONGEST_SECONDS = 366 * 86_400.0
_MOST = 200


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
    seconds = duration_seconds(text)
    if not 0 < seconds <= _LONGEST_SECONDS:
        raise ValueError("write a duration of a year at most")
    return seconds


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 5 and 0 < int(text) <= _MOST):  # noqa: PLR2004
        raise ValueError(f"write a number from 1 to {_MOST}")
    return int(text)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):  # noqa: PLR2004 -- 64 bits
        raise ValueError("write a number")
    return int(text)


TENANT = Parameter("tenant", "path", "The tenant's name.", {"type": "string"}, str)
PROBE = Parameter("probe", "path", "The probe's name.", {"type": "string"}, str)
OF_PROBE = Parameter("probe", "query", "Of this probe alone.", {"type": "string"}, str)
NUMBER = Parameter(
    "number", "path", "The failure's number.", {"type": "integer", "minimum": 0}, _number
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
    "How long ago, at most a year.",
    {"type": "string", "pattern": DURATION_PATTERN, "default": "7d", "examples": ["24h", "30d"]},
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
