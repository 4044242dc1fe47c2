"""Values as rows of the file, and rows as values. Pure."""

import json
import zlib
from collections.abc import Mapping
from typing import Any

from prober.model import Result
from prober.outcomes import CLASSIFICATION, Reason
from prober.timeline.spells import Spell
from prober.views.document import result_document

MAX_HEADERS = 40
MAX_TEXT_CHARACTERS = 512
_LEVEL = 6

SpellRow = tuple[str, str, str, str, str, float, float, float | None, int, int]
"""tenant, probe, reason, rule, evidence, started, last failed, ended, failures, in maintenance."""


def pack_document(result: Result) -> bytes:
    """Return a failure's document as bytes: bounded, whatever the other side sent."""
    text = json.dumps(_bounded(result_document(result)), separators=(",", ":"))
    return zlib.compress(text.encode(), _LEVEL)


def unpack_document(content: bytes) -> dict[str, Any]:
    """Return what `pack_document` packed."""
    document: dict[str, Any] = json.loads(zlib.decompress(content))
    return document


def spell_of(row: SpellRow) -> Spell:
    """Return a row as a spell."""
    tenant, probe, reason, rule, evidence, started, last_failed, ended, failures, planned = row
    return Spell(
        tenant,
        probe,
        CLASSIFICATION[Reason(reason)].culprit,
        Reason(reason),
        rule,
        evidence,
        started,
        last_failed,
        ended,
        failures,
        bool(planned),
    )


def _bounded(value: object) -> object:
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT_CHARACTERS else f"{value[:MAX_TEXT_CHARACTERS]}…"
    if isinstance(value, Mapping):
        return {name: _bounded(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_bounded(inner) for inner in value[:MAX_HEADERS]]
    return value
