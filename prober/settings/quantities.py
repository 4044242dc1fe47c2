"""Durations and sizes as people write them: `30s`, `1h30m`, `1MiB`. Pure."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$"
SIZE_PATTERN = r"^[0-9]+(B|KiB|MiB)$"

_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_UNIT_BYTES = {"B": 1, "KiB": 1024, "MiB": 1024 * 1024}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_SIZE = re.compile(r"([0-9]+)(B|KiB|MiB)")
_MAX_DAYS = 10_000
_MAX_DIGITS = 10
_MAX_MEBIBYTES = 1024


def duration_seconds(text: object) -> float:
    """Return the seconds that `text` stands for; raises ValueError."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        raise ValueError(f"a duration needs a unit: write '{text}s'")  # noqa: TRY004 -- pydantic
    if not isinstance(text, str) or not re.fullmatch(DURATION_PATTERN, text):
        raise ValueError("write a duration such as '500ms', '30s', '2m', '1h30m' or '14d'")
    parts = _DURATION_PART.findall(text)
    seconds = sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)
    if seconds > _MAX_DAYS * _UNIT_SECONDS["d"]:
        raise ValueError(f"is too long: write at most '{_MAX_DAYS}d'")
    return seconds


def size_bytes(text: object) -> int:
    """Return the bytes that `text` stands for; raises ValueError."""
    found = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError("write a size such as '512KiB' or '1MiB'")
    size = int(found[1]) * _UNIT_BYTES[found[2]] if len(found[1]) <= _MAX_DIGITS else 0
    if not 0 < size <= _MAX_MEBIBYTES * _UNIT_BYTES["MiB"]:
        raise ValueError(f"write a size from '1B' to '{_MAX_MEBIBYTES}MiB'")
    return size


Duration = Annotated[
    float,
    BeforeValidator(
        duration_seconds,
        json_schema_input_type=Annotated[str, Field(pattern=DURATION_PATTERN)],
    ),
]
"""A positive or zero time in seconds, written as `30s`."""

Size = Annotated[
    int,
    BeforeValidator(size_bytes, json_schema_input_type=Annotated[str, Field(pattern=SIZE_PATTERN)]),
]
"""A number of bytes, written as `1MiB`."""
