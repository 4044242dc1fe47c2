"""JSON documents of checks and their values. Pure; times are in epoch seconds."""

from dataclasses import asdict, dataclass

from prober.models import CheckKind, CheckResult, Verdict
from prober.outcomes import Culprit


@dataclass(frozen=True, slots=True)
class CheckDocument:
    """The value of a check in the last response that was checked.

    `item` is empty for a check of the whole response. `value` is null if there was none; of a
    timestamp it is in epoch seconds, of a boolean 1 or 0.
    """

    check: str
    item: str
    kind: CheckKind
    value: float | None
    failed: bool
    culprit: Culprit
    message: str


@dataclass(frozen=True, slots=True)
class ValueSeries:
    """What a check found over time: pairs of epoch seconds (the start of a step) and a value."""

    probe: str
    check: str
    item: str
    kind: CheckKind
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class ValueRange:
    """The least, the greatest and the last value of a check in a period; see `CheckDocument`."""

    probe: str
    check: str
    item: str
    kind: CheckKind
    least: float
    greatest: float
    last: float


def check_document(result: CheckResult) -> CheckDocument:
    """Return the document of a check's result."""
    return CheckDocument(
        check=result.check.name,
        item=result.item,
        kind=result.check.kind,
        value=result.value,
        failed=result.failed,
        culprit=result.check.culprit,
        message=result.message,
    )


def check_results(verdict: Verdict) -> list[dict[str, object]] | None:
    """Return the results of checks; None if the response was not checked."""
    if verdict.checks is None:
        return None
    documents = (check_document(each) for each in verdict.checks)
    return [
        {**asdict(each), "kind": each.kind.value, "culprit": each.culprit.value}
        for each in documents
    ]
