"""Exemplars of the latency histograms: by which request a bucket was reached last. Pure.

An exemplar (OpenMetrics 1.0.0, "Exemplars") leads from a slow bucket to the id by which the
supplier finds the request. The id is foreign text: an unusual one is left out, not cut or escaped,
since a changed id finds nothing. Secrets were removed from all headers before; a text with
`[redacted]` in it is no id.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from prober.classifier.messages import REQUEST_ID_FACTS

LABEL = "request_id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=|-]{1,100}")
"""With the label's name at most 128 characters: OpenMetrics allows no more."""


class MeasuredRequest(NamedTuple):
    """The request that was measured: its id at the supplier, and its start in epoch seconds."""

    request_id: str
    started_at: float


class Exemplar(NamedTuple):
    """One observation of a histogram, and its request."""

    request: MeasuredRequest
    value: float


def measured_request(facts: Mapping[str, str], started_at: float) -> MeasuredRequest | None:
    """Return the request with the first usable id of its response, None if there is no id."""
    for name in REQUEST_ID_FACTS:
        found = facts.get(name)
        if found is not None and _REQUEST_ID.fullmatch(found):
            return MeasuredRequest(found, started_at)
    return None
