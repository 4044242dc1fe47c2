"""Checks at their limits: both sides of each, what evidence says, and what is passed on."""

import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from prober.classifier.checks import (
    EVIDENCE_CHARACTERS,
    check_response,
    count_runs,
    evaluate,
    limit_text,
    with_failures,
)
from prober.classifier.rules import classify
from prober.models import (
    AlertSeverity,
    Check,
    CheckKind,
    CheckResult,
    Expectations,
    Failure,
    HttpExchange,
    Response,
    Verdict,
)
from prober.outcomes import Culprit, FailureKind, Reason
from prober.redaction import Redactor

NOW = 1_790_000_000.0
NUMBER, COUNT, TIME, TEXT = (
    CheckKind.NUMBER,
    CheckKind.COUNT,
    CheckKind.TIMESTAMP,
    CheckKind.TEXT,
)


def a_check(kind: CheckKind = NUMBER, value: str = "v", **more: Any) -> Check:  # noqa: ANN401
    return Check("probe-check", kind, value, **more)


def the_result(check: Check, document: object) -> CheckResult:
    (result,) = evaluate((check,), document, NOW)
    return result


def a_verdict(document: object, redactor: Redactor | None = None) -> tuple[HttpExchange, Verdict]:
    headers = (("Server-Timing", "total;dur=1"),)
    response = Response(200, headers, json.dumps(document).encode())
    exchange = HttpExchange("GET", "http://x", 0.1, response=response)
    exchange = exchange if redactor is None else replace(exchange, redactor=redactor)
    return exchange, classify(exchange, Expectations())


@pytest.mark.parametrize(
    ("v", "w", "words"),
    [
        (1, 1, "100 %"),
        (999, 1000, "99.9 %"),
        (9999, 10_000, "99.9 %"),
        (1, 3, "33.3 %"),
        (-1, 3, "-33.4 %"),
        (0, 5, "0 %"),
        (1, 0.5, "200 %"),
        (1e300, 1, "1e+302 %"),
        (1e300, 0.999, "not a number"),
        (-1e300, 0.5, "not a number"),
    ],
)
def test_a_ratio_is_a_percentage_that_is_cut(v: float, w: float, words: str) -> None:
    result = the_result(a_check(divided_by="w"), {"v": v, "w": w})
    assert result.message == f"probe-check is {words}"
    assert result.value == (None if words == "not a number" else v / w)


@pytest.mark.parametrize("document", [{}, {"v": 1}, {"w": 1}, {"v": 1, "w": 0}, {"v": 1, "w": -1}])
def test_without_both_parts_there_is_no_ratio(document: object) -> None:
    result = the_result(a_check(divided_by="w", max=1.0), document)
    assert (result.value, result.failed) == (None, True)
    assert result.message == "probe-check is not in the response, must be at most 100 %"


def test_a_check_of_a_response_has_its_time_and_no_secret() -> None:
    redactor = Redactor((SecretStr("s3cr3t-s3cr3t"),))
    document = {"status": "ok", "rows": [{"n": "s3cr3t-s3cr3t", "at": NOW - 60}]}
    exchange, verdict = a_verdict(document, redactor)
    check = a_check(TIME, "at", each="rows", item="n", max_age_seconds=60.0)
    for now, failed in ((NOW, False), (NOW + 0.001, True)):
        found = check_response((check,), exchange, verdict, now).checks
        assert found is not None
        [result] = found
        assert (result.item, result.failed) == ("[redacted]", failed)
        assert result.message.startswith("[redacted]: probe-check: 60 s ago")


def test_only_a_success_is_checked() -> None:
    exchange, verdict = a_verdict({"status": "error", "message": "x"})
    assert check_response((a_check(),), exchange, verdict, NOW) is verdict
    exchange, verdict = a_verdict({"status": "ok", "v": 1})
    assert check_response((), exchange, verdict, NOW) is verdict
    bare = replace(exchange, response=None, failure=Failure(FailureKind.DNS, ""))
    assert check_response((a_check(),), bare, verdict, NOW) is verdict


def failed(number: int, *, severity: AlertSeverity = AlertSeverity.TICKET) -> CheckResult:
    check = replace(a_check(), severity=severity, culprit=Culprit.TENANT)
    return CheckResult(check, "", 1.0, True, f"failure {number}")


def test_the_evidence_names_three_failures_and_counts_the_others() -> None:
    _, verdict = a_verdict({"status": "ok"})
    for count, text in (
        (1, "failure 1"),
        (3, "failure 1; failure 2; failure 3"),
        (4, "failure 1; failure 2; failure 3; and 1 more"),
        (9, "failure 1; failure 2; failure 3; and 6 more"),
    ):
        results = tuple(failed(number) for number in range(1, count + 1))
        found = with_failures(verdict, results)
        assert found.evidence == text
        assert (found.reason, found.rule, found.checks) == (Reason.CHECK_FAILED, "13a", results)
    long = tuple(replace(failed(1), message="x" * 299) for _ in range(9))
    evidence = with_failures(verdict, long).evidence
    assert len(evidence) == EVIDENCE_CHARACTERS
    assert evidence.endswith("...; and 6 more")


def test_without_a_failure_a_verdict_has_its_results() -> None:
    _, verdict = a_verdict({"status": "ok"})
    good = (replace(failed(1), failed=False),)
    assert with_failures(verdict, good) == replace(verdict, checks=good)
    paged = replace(failed(2, severity=AlertSeverity.PAGE))
    paged = replace(paged, check=replace(paged.check, culprit=Culprit.PLATFORM))
    found = with_failures(verdict, (failed(1), paged))
    assert (found.culprit, found.evidence) == (Culprit.PLATFORM, "failure 2; failure 1")
    assert found.checks == (failed(1), paged)


@pytest.mark.parametrize(
    ("limits", "value", "fails"),
    [
        ({"min": 2.0}, 1.999, True),
        ({"min": 2.0}, 2.0, False),
        ({"max": 2.0}, 2.0, False),
        ({"max": 2.0}, 2.001, True),
        ({"below": 2.0}, 1.999, False),
        ({"below": 2.0}, 2.0, True),
        ({"equals": 2.0}, 2.0, False),
        ({"equals": 2.0}, 2.001, True),
        ({"min": 0.0}, 0, False),
        ({"max": 0.0}, 0, False),
        ({"min": 1.0}, 0, True),
        ({"min": 1e300}, 1e300, False),
        ({"max": 1e300}, 1.001e300, True),  # no number
    ],
)
def test_each_limit_on_both_sides(limits: dict[str, Any], value: float, *, fails: bool) -> None:
    assert the_result(a_check(NUMBER, **limits), {"v": value}).failed is fails


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (NUMBER, "x", "probe-check is not a number"),
        (NUMBER, True, "probe-check is not a number"),
        (NUMBER, 10**400, "probe-check is not a number"),
        (NUMBER, 1_234_567.0, "probe-check is 1.23457e+06"),
        (COUNT, -1, "probe-check is neither a list nor a whole number"),
        (COUNT, 0, "probe-check is 0"),
        (COUNT, 1.5, "probe-check is neither a list nor a whole number"),
        (COUNT, 123_456_789_012_345, "probe-check is 123456789012345"),
        (COUNT, {"a": 1}, "probe-check is 1"),
        (CheckKind.BOOLEAN, True, "probe-check is true"),
        (CheckKind.BOOLEAN, False, "probe-check is false"),
        (CheckKind.BOOLEAN, 1, "probe-check is neither true nor false"),
        (TIME, "soon", "probe-check: not a time"),
        (TIME, -1, "probe-check: not a time"),
        (TIME, 0, "probe-check: 20717 d ago"),
        (TIME, 253_402_300_799, "probe-check: just now"),
        (TIME, 253_402_300_800, "probe-check: not a time"),
        (TIME, " 2026-09-21T14:13:00Z ", "probe-check: 20 s ago"),
        (TIME, " " * 64 + "2026-09-21T14:13:00Z", "probe-check: 20 s ago"),
        (TIME, "2026-09-21T14:13:00Z" + " " * 64, "probe-check: 20 s ago"),
        (TEXT, 5, "probe-check is not a text"),
        (TEXT, "x", "probe-check is not shown"),
        (NUMBER, None, "no probe-check"),
    ],
)
def test_a_value_in_words(kind: CheckKind, value: object, message: str) -> None:
    assert the_result(a_check(kind), {"v": value}).message == message


@pytest.mark.parametrize("each", ["rows", "missing"])
def test_what_is_no_list_fails_unless_it_is_optional(each: str) -> None:
    document = {"rows": {"a": 1}}
    result = the_result(a_check(each=each, max=1.0), document)
    assert (result.failed, result.value, result.item) == (True, None, "")
    assert result.message == "probe-check is no list of items in the response, must be at most 1"
    assert evaluate((a_check(each=each, max=1.0, is_optional=True),), document, NOW) == ()
    assert not the_result(a_check(each=each), document).failed


def test_what_is_absent_from_an_item_is_said_of_the_item() -> None:
    check = a_check(each="rows", item="[a, b]", item_words=("mailbox", "folder"), max=1.0)
    document = {"rows": [{"a": "x", "b": "y"}, {"a": "x", "b": "y/z", "v": 5}]}
    optional = replace(check, is_optional=True)
    absent, over = evaluate((optional,), document, NOW)
    assert (absent.message, absent.failed) == ("mailbox x, folder y: no probe-check", False)
    assert over.message == "mailbox x, folder y/z: probe-check is 5, must be at most 1"
    missing, _ = evaluate((check,), document, NOW)
    assert missing.failed
    assert missing.message.startswith("mailbox x, folder y: probe-check is not in the response")
    named = replace(check, item_words=(), phrase="its age is")
    assert [each.message[:22] for each in evaluate((named,), document, NOW)] == [
        "x/y: its age is not in",
        "x/y/z: its age is 5, m",
    ]


def test_of_two_equal_elements_the_first_has_the_place() -> None:
    check = a_check(each="rows", item="n")
    rows = [{"n": "a", "v": 1}, {"n": "b", "v": 1}, {"n": "a", "v": 1}]
    found = evaluate((check,), {"rows": rows}, NOW)
    assert [(each.item, each.value) for each in found] == [("a", 1.0), ("b", 1.0)]


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({}, ""),
        ({"min": 1.0}, "must be at least 1"),
        ({"min": 1.0, "max": 5.0}, "must be at least 1, must be at most 5"),
        ({"below": 2.5}, "must be below 2.5"),
        ({"equals": 3.0}, "must be 3"),
        ({"max_age_seconds": 90.0}, "limit 1 min 30 s"),
    ],
)
def test_limits_in_words(limits: dict[str, Any], text: str) -> None:
    assert limit_text(a_check(NUMBER, **limits)) == text


def test_a_check_fails_after_so_many_runs() -> None:
    check = a_check(for_runs=3)
    bad = CheckResult(check, "a", 1.0, True, "bad")
    counts: Any = {}
    for number in (1, 2):
        (result,), counts = count_runs([bad], counts)
        assert (result.failed, result.message) == (False, f"bad (run {number} of 3)")
        assert counts == {("probe-check", "a"): number}
    for _ in range(2):
        (result,), counts = count_runs([bad], counts)
        assert (result, counts) == (bad, {("probe-check", "a"): 3})
    good = replace(bad, failed=False)
    assert count_runs([good], counts) == ((good,), {})
    other = replace(bad, item="b")
    (first, second), counts = count_runs([bad, other], {("probe-check", "a"): 2})
    assert (first.failed, second.failed) == (True, False)
    assert counts == {("probe-check", "a"): 3, ("probe-check", "b"): 1}
