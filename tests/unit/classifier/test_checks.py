import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from prober.classifier.checks import (
    EVIDENCE_CHARACTERS,
    ITEM_CHARACTERS,
    MAX_ELEMENTS,
    MESSAGE_CHARACTERS,
    check_response,
    count_runs,
    evaluate,
    with_failures,
)
from prober.classifier.rules import classify
from prober.models import (
    MAX_ITEMS,
    AlertSeverity,
    Check,
    CheckKind,
    CheckResult,
    Expectations,
    HttpExchange,
    Response,
)
from prober.outcomes import Culprit, Outcome, Reason, Responder
from prober.redaction import Redactor

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()
HOUR = 3600.0


def a_check(kind: CheckKind = CheckKind.NUMBER, value: str = "v", **limits: Any) -> Check:  # noqa: ANN401
    return Check("probe-check", kind, value, **limits)


def the_result(check: Check, document: object) -> CheckResult:
    (result,) = evaluate((check,), document, NOW)
    return result


def ago(**passed: float) -> str:
    return (datetime.fromtimestamp(NOW, UTC) - timedelta(**passed)).isoformat()


NUMBER, COUNT, TIME = CheckKind.NUMBER, CheckKind.COUNT, CheckKind.TIMESTAMP
BOOLEAN, TEXT = CheckKind.BOOLEAN, CheckKind.TEXT


@pytest.mark.parametrize(
    ("check", "found", "value"),
    [
        (a_check(NUMBER, max=2), 2, 2.0),
        (a_check(NUMBER, min=2), 2.0, 2.0),
        (a_check(NUMBER, below=2), 1.999, 1.999),
        (a_check(NUMBER, equals=3.0), 3, 3.0),
        (a_check(NUMBER), -5, -5.0),
        (a_check(COUNT, min=1), [None], 1.0),
        (a_check(COUNT, max=0), {}, 0.0),
        (a_check(COUNT, equals=7.0), 7, 7.0),
        (a_check(TIME, max_age_seconds=HOUR), ago(hours=1), NOW - HOUR),
        (a_check(TIME, max_age_seconds=HOUR), ago(hours=-5), NOW + 5 * HOUR),
        (a_check(TIME, max_age_seconds=HOUR), NOW - 60, NOW - 60),
        (a_check(BOOLEAN, equals=True), True, 1.0),
        (a_check(BOOLEAN, equals=False), False, 0.0),
        (a_check(BOOLEAN), False, 0.0),
        (a_check(TEXT, equals="a"), "a", 1.0),
        (a_check(TEXT, one_of=("a", "b")), "b", 1.0),
    ],
)
def test_a_value_within_its_limits_is_good(check: Check, found: object, value: float) -> None:
    result = the_result(check, {"v": found})
    assert (result.failed, result.value, result.item) == (False, value, "")


@pytest.mark.parametrize(
    ("check", "found", "message"),
    [
        (a_check(NUMBER, max=2), 3, "probe-check is 3, must be at most 2"),
        (a_check(NUMBER, min=2), 1.5, "probe-check is 1.5, must be at least 2"),
        (a_check(NUMBER, below=2), 2, "probe-check is 2, must be below 2"),
        (a_check(NUMBER, equals=3.0), 4, "probe-check is 4, must be 3"),
        (a_check(COUNT, min=1), [], "probe-check is 0, must be at least 1"),
        (a_check(TIME, max_age_seconds=HOUR), ago(hours=3), "probe-check: 3 h ago, limit 1 h"),
        (a_check(BOOLEAN, equals=True), False, "probe-check is false, must be true"),
        (a_check(TEXT, equals="a"), "a secret", "probe-check is another text, must be a"),
        (
            a_check(TEXT, one_of=("a", "b", "c"), known_texts=("poor",)),
            "poor",
            "probe-check is poor, must be a, b or c",
        ),
        (a_check(NUMBER, max=2), None, "probe-check is not in the response, must be at most 2"),
        (a_check(NUMBER, max=2), "1", "probe-check is not a number, must be at most 2"),
        (a_check(NUMBER, max=2), True, "probe-check is not a number, must be at most 2"),
        (a_check(BOOLEAN, equals=False), 0, "probe-check is neither true nor false, must be false"),
        (
            a_check(COUNT, min=0),
            0.5,
            "probe-check is neither a list nor a whole number, must be at least 0",
        ),
        (a_check(TIME, max_age_seconds=60), "soon", "probe-check: not a time, limit 1 min"),
        (a_check(TEXT, equals="a"), 1, "probe-check is not a text, must be a"),
    ],
)
def test_a_value_beyond_its_limits_fails_in_words(
    check: Check, found: object, message: str
) -> None:
    result = the_result(check, {"v": found})
    assert (result.failed, result.message) == (True, message)


@pytest.mark.parametrize("kind", CheckKind)
def test_without_limits_nothing_fails(kind: CheckKind) -> None:
    values: tuple[object, ...] = (None, "text", 1, [], True, {}, math.inf)
    for found in values:
        assert not the_result(a_check(kind), {"v": found}).failed


@pytest.mark.parametrize("limits", [{"max": 1}, {"equals": 1.0}, {"min": 1}])
def test_an_optional_value_may_be_absent_but_not_of_another_kind(limits: dict[str, Any]) -> None:
    check = a_check(is_optional=True, **limits)
    absent = the_result(check, {})
    assert (absent.failed, absent.message) == (False, "no probe-check")
    assert the_result(check, {"v": "1"}).failed


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-06-01T05:20:06.54035+00:00", datetime(2026, 6, 1, 5, 20, 6, 540350, UTC)),
        ("2026-06-01T05:20:06Z", datetime(2026, 6, 1, 5, 20, 6, 0, UTC)),
        ("2026-06-01T05:20:06", datetime(2026, 6, 1, 5, 20, 6, 0, UTC)),
        ("2026-06-01T07:20:06+02:00", datetime(2026, 6, 1, 5, 20, 6, 0, UTC)),
        ("2026-06-01", datetime(2026, 6, 1, tzinfo=UTC)),
    ],
)
def test_times_are_read_in_every_form_of_iso_8601(text: str, at: datetime) -> None:
    assert the_result(a_check(TIME), {"v": text}).value == at.timestamp()


@pytest.mark.parametrize("found", [-1, 1e15, math.inf, "0001-01-01T00:00:00+23:59", "x" * 10**6])
def test_an_impossible_time_is_no_value(found: object) -> None:
    result = the_result(a_check(TIME, max_age_seconds=60), {"v": found})
    assert (result.failed, result.value) == (True, None)


@pytest.mark.parametrize("found", [math.inf, -math.inf, math.nan, 10**400, 1e301])
def test_a_number_that_cannot_be_exported_is_no_value(found: object) -> None:
    result = the_result(a_check(max=1), {"v": found})
    assert (result.failed, result.value) == (True, None)


def test_a_ratio_is_shown_as_percent_and_cut_not_rounded() -> None:
    check = a_check(divided_by="limit", below=1, phrase="used")
    assert the_result(check, {"v": 100, "limit": 100}).message == "used 100 %, must be below 100 %"
    almost = the_result(check, {"v": 99_999, "limit": 100_000})
    assert (almost.failed, almost.message) == (False, "used 99.9 %")


@pytest.mark.parametrize("limit", [0, -1, None, "100", True])
def test_a_ratio_without_a_divisor_is_absent(limit: object) -> None:
    check = a_check(divided_by="limit", below=1, is_optional=True)
    result = the_result(check, {"v": 1, "limit": limit})
    assert (result.failed, result.value) == (False, None)


# Texts


def test_a_text_is_a_number_that_changes_with_it_and_is_never_shown() -> None:
    first, same, other = (
        the_result(a_check(TEXT), {"v": text}) for text in ("secret 1", "secret 1", "secret 2")
    )
    assert first.value == same.value != other.value
    assert first.message == "probe-check is not shown"


@given(st.text())
def test_a_text_cannot_be_found_again_from_its_number(text: str) -> None:
    value = the_result(a_check(TEXT), {"v": text}).value
    assert value is not None
    assert value.is_integer()
    assert 0 <= value < 2**20


# Items

MAILBOXES = Check(
    "sync-age",
    TIME,
    "last_synced_at",
    each="states",
    item="[mailbox, folder]",
    max_age_seconds=HOUR,
    phrase="last synced",
    item_words=("mailbox", "folder"),
)


def a_state(mailbox: object, folder: object, **passed: float) -> dict[str, object]:
    return {"mailbox": mailbox, "folder": folder, "last_synced_at": ago(**passed)}


def test_each_item_has_a_name_a_value_and_words() -> None:
    document = {"states": [a_state("a@b", ["Inbox"], hours=3), a_state("c@d", "Sent", minutes=5)]}
    late, good = evaluate((MAILBOXES,), document, NOW)
    assert (late.item, late.failed, late.value) == ("a@b/Inbox", True, NOW - 3 * HOUR)
    assert late.message == "mailbox a@b, folder Inbox: last synced 3 h ago, limit 1 h"
    assert (good.item, good.failed) == ("c@d/Sent", False)
    assert good.message == "mailbox c@d, folder Sent: last synced 5 min ago"


def test_the_path_of_a_folder_may_have_several_parts() -> None:
    document = {"states": [a_state("a@b", ["Inbox", "2026"], hours=3)]}
    (late,) = evaluate((MAILBOXES,), document, NOW)
    assert late.message.startswith("mailbox a@b, folder Inbox/2026: last synced")


@pytest.mark.parametrize("name", [None, "", " \n", {}, [], [None], True, 1.5])
def test_an_item_without_a_name_is_numbered(name: object) -> None:
    check = a_check(each="states", item="name")
    first, second = evaluate((check,), {"states": [{"v": 1, "name": name}, {"v": 2}]}, NOW)
    assert (first.item, second.item) == ("#1", "#2")


def test_items_of_one_name_are_one_the_worst() -> None:
    check = a_check(each="states", item="name", max=5)
    document = {"states": [{"v": v, "name": "same"} for v in (1, 9, 3)]}
    (result,) = evaluate((check,), document, NOW)
    assert (result.value, result.failed) == (9.0, True)


def test_names_are_one_bounded_line_without_secrets() -> None:
    token = "s3cret-token-of-the-tenant"
    check = a_check(each="states", item="name")
    names = ["a\nb\t\x07c", "x" * 10_000, f"by {token}", "\ud800"]
    document = {"states": [{"v": 1, "name": name} for name in names]}
    results = evaluate((check,), document, NOW, Redactor((SecretStr(token),)))
    items = [each.item for each in results]
    assert items[0] == "a b c"
    assert all(len(item) <= ITEM_CHARACTERS and item.isprintable() for item in items)
    assert all(item.encode() for item in items)
    assert token not in " ".join(each.item + each.message for each in results)


def test_of_many_items_the_worst_are_kept_in_their_order() -> None:
    check = a_check(each="v", value="@", max=100)
    values = [*range(300), *range(500, 300, -1)]
    results = evaluate((check,), {"v": values}, NOW)
    assert [each.value for each in results] == [float(v) for v in range(500, 450, -1)]


@pytest.mark.parametrize(
    ("limits", "kept"), [({"min": 5}, range(50)), ({"min": 5, "max": 9}, range(250, 300))]
)
def test_the_least_are_the_worst_of_what_has_only_a_lower_limit(
    limits: dict[str, Any], kept: range
) -> None:
    check = a_check(each="v", value="@", **limits)
    results = evaluate((check,), {"v": list(range(300))}, NOW)
    assert [each.value for each in results] == [float(value) for value in kept]


def test_the_oldest_times_are_the_worst() -> None:
    states = [a_state(f"m{n}", "Inbox", minutes=n) for n in range(200)]
    results = evaluate((MAILBOXES,), {"states": states}, NOW)
    assert [each.item for each in results] == [f"m{n}/Inbox" for n in range(150, 200)]


def test_checks_share_what_may_be_kept_and_none_goes_without() -> None:
    single = Check("count", COUNT, "v")
    small = Check("small", NUMBER, "@", each="v[:3]")
    large = [Check(f"large-{n}", NUMBER, "@", each="v") for n in range(2)]
    results = evaluate((*large, single, small), {"v": list(range(1000))}, NOW)
    kept = dict.fromkeys(("large-0", "large-1", "count", "small"), 0)
    for each in results:
        kept[each.check.name] += 1
    assert kept == {"large-0": 23, "large-1": 23, "count": 1, "small": 3}
    assert len(results) == MAX_ITEMS


def test_only_so_many_items_of_a_list_are_looked_at() -> None:
    check = a_check(each="v", value="@", max=10**9)
    results = evaluate((check,), {"v": list(range(MAX_ELEMENTS + 1000))}, NOW)
    assert results[-1].value == MAX_ELEMENTS - 1


@pytest.mark.parametrize("states", [None, "text", 5, {"a": 1}])
def test_without_a_list_the_check_fails(states: object) -> None:
    (result,) = evaluate((MAILBOXES,), {"states": states}, NOW)
    assert (result.failed, result.item, result.value) == (True, "", None)
    assert "no list of items in the response" in result.message


def test_without_a_list_an_optional_check_has_no_result() -> None:
    check = Check("x", NUMBER, "v", each="states", max=1, is_optional=True)
    assert evaluate((check,), {}, NOW) == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=20,
)


@given(JSON, st.sampled_from(list(CheckKind)), st.booleans())
def test_any_document_gives_bounded_finite_results(
    document: object, kind: CheckKind, each: bool
) -> None:
    limits: dict[str, Any] = {"max_age_seconds": 1} if kind is TIME else {"min": 0, "max": 1}
    if kind is TEXT:
        limits = {"one_of": ("a",)}
    check = Check(
        "c", kind, "@", each="values(@)" if each else None, item="@" if each else None, **limits
    )
    results = evaluate((check,), {"a": document, "b": [document]}, NOW)
    assert len({result.item for result in results}) == len(results) <= MAX_ITEMS
    for result in results:
        assert result.value is None or math.isfinite(result.value)
        assert len(result.item) <= ITEM_CHARACTERS
        assert len(result.message) <= MESSAGE_CHARACTERS
        assert result.message.isprintable()


def test_an_expression_that_cannot_be_evaluated_is_an_absent_value() -> None:
    result = the_result(a_check(value="sum(v)", max=1), {"v": "text"})
    assert (result.failed, result.value) == (True, None)


# Several runs


def test_a_check_fails_after_so_many_runs_in_a_row() -> None:
    check = a_check(max=1, for_runs=3)
    bad, good = (evaluate((check,), {"v": v}, NOW) for v in (2, 1))
    counts: Any = {}
    failed, messages = [], []
    for results in (bad, bad, good, bad, bad, bad, bad, good):
        (result,), counts = count_runs(results, counts)
        failed.append(result.failed)
        messages.append(result.message)
    assert failed == [False, False, False, False, False, True, True, False]
    assert messages[4] == "probe-check is 2, must be at most 1 (run 2 of 3)"
    assert counts == {}


def test_items_are_counted_apart() -> None:
    check = a_check(each="@", item="n", max=1, for_runs=2)
    first = evaluate((check,), [{"n": "a", "v": 2}, {"n": "b", "v": 1}], NOW)
    second = evaluate((check,), [{"n": "a", "v": 1}, {"n": "b", "v": 2}], NOW)
    _, counts = count_runs(first, {})
    results, counts = count_runs(second, counts)
    assert [each.failed for each in results] == [False, False]
    assert counts == {("probe-check", "b"): 1}


# The verdict


def an_exchange(document: object) -> HttpExchange:
    body = json.dumps({"status": "ok", **document}).encode()  # type: ignore[dict-item]
    headers = (("Server-Timing", "total;dur=40"),)
    return HttpExchange("GET", "https://x.example", 0.1, response=Response(200, headers, body))


def judged(checks: tuple[Check, ...], document: dict[str, object]) -> Any:  # noqa: ANN401
    exchange = an_exchange(document)
    verdict = check_response(checks, exchange, classify(exchange, Expectations()), NOW)
    assert verdict.checks is not None
    return with_failures(verdict, verdict.checks)


def test_a_failed_check_is_a_verdict_and_the_platform_stays_observed() -> None:
    verdict = judged((a_check(max=1),), {"v": 2})
    assert (verdict.outcome, verdict.reason) == (Outcome.API_ERROR, Reason.CHECK_FAILED)
    assert (verdict.culprit, verdict.responder) == (Culprit.TENANT, Responder.PLATFORM)
    assert (verdict.rule, verdict.evidence) == ("13a", "probe-check is 2, must be at most 1")
    assert verdict.latency.server_seconds == pytest.approx(0.04)


def test_good_checks_leave_a_success() -> None:
    verdict = judged((a_check(max=1),), {"v": 1})
    assert (verdict.reason, [each.value for each in verdict.checks]) == (Reason.OK, [1.0])


def test_the_culprit_is_that_of_the_first_failure_a_page_before_others() -> None:
    ticket = Check("a", NUMBER, "v", max=1, culprit=Culprit.TENANT)
    page = Check("b", NUMBER, "v", max=1, culprit=Culprit.PLATFORM, severity=AlertSeverity.PAGE)
    assert judged((ticket, page), {"v": 2}).culprit is Culprit.PLATFORM
    assert judged((ticket,), {"v": 2}).culprit is Culprit.TENANT


def test_the_evidence_names_the_first_failures_and_counts_the_rest() -> None:
    check = a_check(each="v", value="@", max=0)
    evidence = judged((check,), {"v": [1, 2, 3, 4, 5]}).evidence
    assert evidence.startswith("#1: probe-check is 1, must be at most 0; #2:")
    assert evidence.endswith("; and 2 more")
    assert len(evidence) <= EVIDENCE_CHARACTERS


def test_only_a_success_is_checked() -> None:
    exchange = HttpExchange(
        "GET", "https://x", 0.1, response=Response(500, (), b'{"status": "error", "v": 2}')
    )
    verdict = classify(exchange, Expectations())
    assert check_response((a_check(max=1),), exchange, verdict, NOW).checks is None
