"""Evaluates the checks of a probe on the body of a successful response. Pure.

The body is customer data, and may come from a hostile server. Of its texts only the names of items
leave this module, as the check's `item` asks for, each bounded and without secrets; and texts that
a check lists as known. Values are finite numbers, and there are at most `MAX_ITEMS` for a probe.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from prober.classifier.expectations import search
from prober.classifier.observation import read_body
from prober.classifier.rules import CHECK_FAILED_RULE
from prober.formatting import (
    format_ago,
    format_exact_duration,
    one_line,
    parse_iso_timestamp,
)
from prober.models import (
    MAX_ITEMS,
    AlertSeverity,
    Check,
    CheckKind,
    CheckResult,
    HttpExchange,
    Verdict,
)
from prober.outcomes import CLASSIFICATION, Reason
from prober.redaction import NO_SECRETS, Redactor

MAX_ELEMENTS = 2000
"""How many elements of a list are looked at."""
ITEM_CHARACTERS = 120
MESSAGE_CHARACTERS = 300
EVIDENCE_CHARACTERS = 600
_SHOWN_FAILURES = 3
_MAX_NAME_PARTS = 8
_HASH_VALUES = 2**20  # enough to see a change, too few to find the text again
# The last second of the year 9999: `datetime` has no later one.
_MAX_TIMESTAMP = 253_402_300_799.0
_MAX_VALUE = 1e300
_TIME_CHARACTERS = 64


def evaluate(
    checks: Sequence[Check], document: object, now: float, redactor: Redactor = NO_SECRETS
) -> tuple[CheckResult, ...]:
    """Return the values that checks find in a parsed body, in the order of the checks.

    `now` is in epoch seconds. A result has `failed` if the limits are broken in this response;
    `count_runs` applies `for_runs`. Never raises.
    """
    found = [_results(check, document, now, redactor) for check in checks]
    allowed = _allot([len(each) for each in found])
    # The worst are chosen, and shown in the order of the response.
    return tuple(
        measured.result()
        for each, limit in zip(found, allowed, strict=True)
        for measured in _worst(each, limit)
    )


def check_response(
    checks: Sequence[Check], exchange: HttpExchange, verdict: Verdict, now: float
) -> Verdict:
    """Return the verdict with the results of its probe's checks, if it is a success.

    `with_failures` decides what they mean.
    """
    response = exchange.response
    if not checks or not verdict.succeeded or response is None:
        return verdict
    document = read_body(response.body, exchange.redactor).document
    return replace(verdict, checks=evaluate(checks, document, now, exchange.redactor))


RunCounts = Mapping[tuple[str, str], int]
"""How many runs in a row a check's limits were broken, by check and item; only above 0."""


def count_runs(
    results: Sequence[CheckResult], counts: RunCounts
) -> tuple[tuple[CheckResult, ...], RunCounts]:
    """Return results of which only those have `failed` that failed in `for_runs` runs in a row.

    `counts` are those before this run; the new ones are returned too.
    """
    counted: dict[tuple[str, str], int] = {}
    judged: list[CheckResult] = []
    for result in results:
        if not result.failed:
            judged.append(result)
            continue
        key, needed = (result.check.name, result.item), result.check.for_runs
        counted[key] = runs = min(counts.get(key, 0) + 1, needed)
        if runs < needed:
            message = f"{result.message} (run {runs} of {needed})"
            judged.append(replace(result, failed=False, message=message))
        else:
            judged.append(result)
    return tuple(judged), counted


def with_failures(verdict: Verdict, results: tuple[CheckResult, ...]) -> Verdict:
    """Return a successful verdict with these results: `check_failed` if one of them failed.

    The culprit is that of the first failed check, a check of severity `page` before others.
    """
    failures = [result for result in results if result.failed]
    if not failures:
        return replace(verdict, checks=results)
    failures.sort(key=lambda each: each.check.severity is not AlertSeverity.PAGE)
    return replace(
        verdict,
        outcome=CLASSIFICATION[Reason.CHECK_FAILED].outcome,
        reason=Reason.CHECK_FAILED,
        culprit=failures[0].check.culprit,
        rule=CHECK_FAILED_RULE.number,
        evidence=_evidence(failures),
        checks=results,
    )


def _evidence(failures: Sequence[CheckResult]) -> str:
    shown = "; ".join(each.message for each in failures[:_SHOWN_FAILURES])
    rest = len(failures) - _SHOWN_FAILURES
    more = f"; and {rest} more" if rest > 0 else ""
    return one_line(shown, EVIDENCE_CHARACTERS - len(more)) + more


@dataclass(frozen=True, slots=True)
class _Measured:
    """A value, whether its limits are broken, and where it was found.

    Of two with the same check, the one with the greater `badness` is the worse one.
    """

    check: Check
    parts: Sequence[str]
    position: int
    value: "_Value"
    failed: bool

    @property
    def item(self) -> str:
        """The item's name."""
        return one_line("/".join(self.parts), ITEM_CHARACTERS)

    @property
    def badness(self) -> tuple[bool, float]:
        """How bad it is."""
        return self.failed, _badness(self.check, self.value.number)

    def result(self) -> CheckResult:
        """Return the result; its message is made only for what is kept."""
        number = self.value.number
        if self.value.text is not None and self.check.has_limits:
            number = float(not self.failed)
        message = _message(self.check, self.parts, self.value, failed=self.failed)
        return CheckResult(self.check, self.item, number, self.failed, message)


def _allot(wanted: Sequence[int]) -> list[int]:
    """Return how many results each check may keep: MAX_ITEMS together, shared evenly."""
    left, allowed = MAX_ITEMS, [0] * len(wanted)
    # From the check that wants least on, each may have an equal share of what is left.
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    for place, index in enumerate(order):
        allowed[index] = min(wanted[index], left // (len(order) - place))
        left -= allowed[index]
    return allowed


def _worst(measured: Sequence[_Measured], limit: int) -> list[_Measured]:
    worst = sorted(measured, key=lambda each: each.badness, reverse=True)[:limit]
    return sorted(worst, key=lambda each: each.position)


def _results(check: Check, document: object, now: float, redactor: Redactor) -> Sequence[_Measured]:
    """Return the results of one check; one for each name, the worst of its elements."""
    if check.each is None:
        return (_measure(check, document, (), 0, now),)
    elements = _find(check.each, document)
    if not isinstance(elements, list):
        value = _Value(None, "no list of items in the response")
        return () if check.is_optional else (_measured(check, (), 0, value, now),)
    by_name: dict[str, _Measured] = {}
    for position, element in enumerate(elements[:MAX_ELEMENTS]):
        parts = _name_parts(check, element, position, redactor)
        measured = _measure(check, element, parts, position, now)
        name = measured.item
        # Two elements may have one name: it can be in an exposition only once.
        if name not in by_name or by_name[name].badness < measured.badness:
            by_name[name] = measured
    return tuple(by_name.values())


def _name_parts(check: Check, element: object, position: int, redactor: Redactor) -> Sequence[str]:
    """Return the parts of an element's name, such as a mailbox and a folder."""
    found = None if check.item is None else _find(check.item, element)
    texts = [one_line(text, ITEM_CHARACTERS, redactor) for text in _scalars(found)]
    parts = [text for text in texts if text][:_MAX_NAME_PARTS]
    return parts or (f"#{position + 1}",)


def _scalars(found: object) -> Iterator[str]:
    """Yield texts and whole numbers, also those in lists in a list."""
    pending = [found]
    for _ in range(2 * _MAX_NAME_PARTS):
        if not pending:
            return
        each = pending.pop(0)
        if isinstance(each, list):
            pending = each[:_MAX_NAME_PARTS] + pending
        elif isinstance(each, str):
            yield each
        elif isinstance(each, int) and not isinstance(each, bool):
            yield f"{each:.20g}" if abs(each) > _MAX_TIMESTAMP else str(each)


def _find(expression: str, document: object) -> object:
    """Return what an expression finds, None if it cannot be evaluated on this document."""
    try:
        return search(expression, document)
    except Exception:  # noqa: BLE001 -- the library may raise anything
        return None


@dataclass(frozen=True, slots=True)
class _Value:
    """A value as a number and in words; `number` None: there is none, and `words` say why.

    `text` is that of the kind `text`.
    """

    number: float | None
    words: str
    text: str | None = None


_ABSENT = _Value(None, "not in the response")


def _measure(
    check: Check, document: object, parts: Sequence[str], position: int, now: float
) -> _Measured:
    if check.divided_by is None:
        value = _read(check, _find(check.value, document), now)
    else:
        value = _ratio(check, document)
    return _measured(check, parts, position, value, now)


def _measured(
    check: Check, parts: Sequence[str], position: int, value: _Value, now: float
) -> _Measured:
    if value.number is None:
        failed = check.has_limits and not (check.is_optional and value is _ABSENT)
    else:
        failed = _breaks_limits(check, value, now)
    return _Measured(check, parts, position, value, failed)


def _badness(check: Check, number: float | None) -> float:
    if number is None:
        return math.inf
    # The oldest time is the worst, and the least of what has only a lower limit.
    has_only_min = check.min is not None and check.max is None and check.below is None
    return -number if check.kind is CheckKind.TIMESTAMP or has_only_min else number


def _breaks_limits(check: Check, value: _Value, now: float) -> bool:
    number = value.number or 0.0
    if value.text is not None:
        return (check.equals is not None and value.text != check.equals) or (
            bool(check.one_of) and value.text not in check.one_of
        )
    if check.max_age_seconds is not None and now - number > check.max_age_seconds:
        return True
    if check.equals is not None and number != check.equals:
        return True
    return (
        (check.min is not None and number < check.min)
        or (check.max is not None and number > check.max)
        or (check.below is not None and number >= check.below)
    )


def _read(check: Check, found: object, now: float) -> _Value:
    """Return a value of the check's kind; what is of another kind is no value."""
    if found is None:
        return _ABSENT
    match check.kind:
        case CheckKind.NUMBER:
            return _number(found)
        case CheckKind.COUNT:
            return _count(found)
        case CheckKind.BOOLEAN:
            if isinstance(found, bool):
                return _Value(float(found), str(found).lower())
            return _Value(None, "neither true nor false")
        case CheckKind.TIMESTAMP:
            return _timestamp(found, now)
        case CheckKind.TEXT:
            return _text(check, found)


def _number(found: object) -> _Value:
    number = _finite(found)
    return _Value(None, "not a number") if number is None else _Value(number, f"{number:.6g}")


def _count(found: object) -> _Value:
    if isinstance(found, list | dict):
        return _Value(float(len(found)), str(len(found)))
    number = _finite(found)
    if number is None or number < 0 or not number.is_integer():
        return _Value(None, "neither a list nor a whole number")
    return _Value(number, f"{number:.15g}")


def _timestamp(found: object, now: float) -> _Value:
    if isinstance(found, str):
        at = parse_iso_timestamp(found.strip()[:_TIME_CHARACTERS])
    else:
        at = _finite(found)
    if at is None or not 0 <= at <= _MAX_TIMESTAMP:
        return _Value(None, "not a time")
    return _Value(at, format_ago(now - at))


def _text(check: Check, found: object) -> _Value:
    if not isinstance(found, str):
        return _Value(None, "not a text")
    digest = hashlib.sha256(found.encode("utf-8", "surrogatepass")).digest()
    number = float(int.from_bytes(digest[:4]) % _HASH_VALUES)
    known = {*check.known_texts, *check.one_of}
    if isinstance(check.equals, str):
        known.add(check.equals)
    hidden = "another text" if check.has_limits else "not shown"
    return _Value(number, found if found in known else hidden, found)


def _ratio(check: Check, document: object) -> _Value:
    dividend = _finite(_find(check.value, document))
    divisor = _finite(_find(check.divided_by or "", document))
    if dividend is None or divisor is None or divisor <= 0:
        return _ABSENT
    ratio = dividend / divisor
    if abs(ratio) > _MAX_VALUE:
        return _Value(None, "not a number")
    # Cut, not rounded: what is not used up must not read as 100 %.
    return _Value(ratio, f"{math.floor(ratio * 1000) / 10:g} %")


def _finite(found: object) -> float | None:
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    try:
        number = float(found)
    except OverflowError:
        return None
    return number if abs(number) <= _MAX_VALUE else None  # false for NaN too


def _message(check: Check, parts: Sequence[str], value: _Value, *, failed: bool) -> str:
    """Return a sentence: the item, the value, the limit."""
    subject = _subject(check, parts)
    if value is _ABSENT and not failed:
        words = f"no {check.name}"
        return one_line(f"{subject}: {words}" if subject else words, MESSAGE_CHARACTERS)
    verb = ":" if check.kind is CheckKind.TIMESTAMP else " is"
    phrase = check.phrase or f"{check.name}{verb}"
    limit = limit_text(check)
    words = f"{phrase} {value.words}" + (f", {limit}" if limit and failed else "")
    return one_line(f"{subject}: {words}" if subject else words, MESSAGE_CHARACTERS)


def _subject(check: Check, parts: Sequence[str]) -> str:
    """Return an item with what its parts are: `mailbox a@b, folder Inbox`."""
    words = check.item_words
    if not words:
        return "/".join(parts)
    named = [f"{word} {part}" for word, part in zip(words, parts, strict=False)]
    # A folder's path may have more parts than there are words: they belong to the last one.
    return "/".join([", ".join(named), *parts[len(words) :]])


def limit_text(check: Check) -> str:
    """Return the limits in words."""
    texts: list[str] = []
    if check.max_age_seconds is not None:
        texts.append(f"limit {format_exact_duration(check.max_age_seconds)}")
    if check.equals is not None:
        texts.append(f"must be {_equals_text(check.equals)}")
    if check.one_of:
        *others, last = check.one_of
        texts.append(f"must be {', '.join(others)} or {last}" if others else f"must be {last}")
    for word, bound in (("at least", check.min), ("at most", check.max), ("below", check.below)):
        if bound is not None:
            texts.append(f"must be {word} {_bound_text(check, bound)}")
    return ", ".join(texts)


def _equals_text(equals: bool | float | str) -> str:  # noqa: FBT001 -- a limit, not a flag
    if isinstance(equals, bool):
        return str(equals).lower()
    return equals if isinstance(equals, str) else f"{equals:g}"


def _bound_text(check: Check, bound: float) -> str:
    return f"{bound:g}" if check.divided_by is None else f"{bound * 100:g} %"
