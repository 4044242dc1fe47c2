"""How long a response asks its client to wait: Retry-After, RFC 9110, 10.2.3. Pure."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from prober.models import Response

MAX_RETRY_AFTER_SECONDS = 300.0
"""The limit of a wait. A hostile server could request years; probing must continue."""

_STATUSES = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_DELTA_SECONDS = re.compile(r"[0-9]+")
_MANY_DIGITS = 9  # a longer number is beyond any cap, and `int` refuses very long ones
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH = f"(?P<month>{'|'.join(_MONTHS)})"
_TIME = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
# The three forms of RFC 9110, 5.6.7: IMF-fixdate, RFC 850's, and that of C's asctime. `strptime`
# would read the names by the locale. The day of the week is redundant, and is not compared.
_HTTP_DATES = (
    re.compile(rf"[A-Z][a-z]{{2}}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT"),
    re.compile(rf"[A-Z][a-z]+day, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT"),
    re.compile(rf"[A-Z][a-z]{{2}} {_MONTH} (?P<day>[ 0-9][0-9]) {_TIME} (?P<year>[0-9]{{4}})"),
)
_CENTURY, _HALF_CENTURY_YEARS = 100, 50


def retry_after_seconds(response: Response | None, now: float) -> float:
    """Return how long a 429 or a 503 asks to wait from `now`, at most `MAX_RETRY_AFTER_SECONDS`.

    0.0 if it does not ask for it, asks for no time at all, or cannot be read. `now` is in epoch
    seconds.
    """
    if response is None or response.status not in _STATUSES:
        return 0.0
    return parse_retry_after(response.header_values("retry-after"), now)


def parse_retry_after(values: Sequence[str], now: float) -> float:
    """Return the longest wait that the values of Retry-After ask for; 0.0 if none can be read."""
    waits = (_wait_seconds(value.strip(" \t"), now) for value in values)
    return min(max(waits, default=0.0), MAX_RETRY_AFTER_SECONDS)


def _wait_seconds(value: str, now: float) -> float:
    if _DELTA_SECONDS.fullmatch(value):
        digits = value.lstrip("0")
        return MAX_RETRY_AFTER_SECONDS if len(digits) > _MANY_DIGITS else float(digits or 0)
    date = _http_date(value, now)
    return 0.0 if date is None else max(0.0, date - now)


def _http_date(value: str, now: float) -> float | None:
    """Return an HTTP-date in epoch seconds, None if it is none."""
    found = next(filter(None, (form.fullmatch(value) for form in _HTTP_DATES)), None)
    if found is None:
        return None
    year = int(found["year"])
    if len(found["year"]) == 2:  # noqa: PLR2004 -- RFC 850's form
        year = _full_year(year, now)
    # A leap second is a second that `datetime` does not know.
    seconds = int(found["second"])
    try:
        date = datetime(
            year,
            _MONTHS.index(found["month"]) + 1,
            int(found["day"]),
            int(found["hour"]),
            int(found["minute"]),
            tzinfo=UTC,
        )
        return (date + timedelta(seconds=min(seconds, 60))).timestamp()
    except (ValueError, OverflowError):
        return None


def _full_year(two_digits: int, now: float) -> int:
    """Return the year: one that seems over 50 years ahead is in the past (RFC 9110, 5.6.7)."""
    this_year = datetime.fromtimestamp(now, UTC).year
    year = this_year - this_year % _CENTURY + two_digits
    return year - _CENTURY if year > this_year + _HALF_CENTURY_YEARS else year
