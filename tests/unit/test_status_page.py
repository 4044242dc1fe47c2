"""The supplier's status page: what is read of it, and what hostile content cannot do."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.status_page import (
    MAX_INCIDENTS,
    READ_VALID_SECONDS,
    PublishedStatus,
    StatusPageError,
    SupplierIncident,
    SupplierStatus,
    confirmation,
    next_published,
    supplier_account,
)
from prober.status_page import parse_summary as parse_summary_of

NOW = 1_790_000_000.0  # 2026-09-21T14:13:20Z
PAGE = "https://status.example"
START = "2026-09-21T10:02:00.000Z"


def incident(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 -- whatever keys an incident has
    return {
        "id": "gk421t6jxhqg",
        "name": "Errors in Europe",
        "status": "investigating",
        "impact": "major",
        "created_at": "2026-09-21T10:05:00.000Z",
        "started_at": START,
        "shortlink": "https://stspg.io/gk421t6jxhqg",
        "components": [{"name": "Communications Mining"}],
        **changes,
    }


def summary(*incidents: object, **more: object) -> bytes:
    return json.dumps({"page": {}, "incidents": list(incidents), **more}).encode()


def parse_summary(
    body: bytes, components: tuple[str, ...], now: float
) -> tuple[SupplierIncident, ...]:
    return parse_summary_of(body, components, now, PAGE)


def test_an_open_incident_is_read() -> None:
    [found] = parse_summary(summary(incident()), (), NOW)
    assert (found.name, found.impact, found.status) == (
        "Errors in Europe",
        "major",
        "investigating",
    )
    assert found.started_at == 1_789_984_920.0
    assert found.url == "https://status.example/incidents/gk421t6jxhqg"
    said = confirmation(SupplierStatus("https://status.example", NOW, None, (found,)))
    assert said == "supplier confirms since 2026-09-21 10:02 UTC: Errors in Europe (major)"


def test_without_incidents_nothing_is_confirmed() -> None:
    assert parse_summary(summary(), (), NOW) == ()
    assert confirmation(SupplierStatus("https://status.example", NOW)) is None
    assert confirmation(None) is None


@pytest.mark.parametrize("status", ["resolved", "postmortem", "completed", "scheduled"])
def test_what_has_ended_or_not_begun_is_left_out(status: str) -> None:
    assert parse_summary(summary(incident(status=status)), (), NOW) == ()


def test_maintenance_in_progress_is_read() -> None:
    window = incident(status="in_progress", impact="maintenance", started_at=None)
    [found] = parse_summary(summary(scheduled_maintenances=[window]), (), NOW)
    assert found.impact == "maintenance"


def test_the_oldest_comes_first_and_the_number_is_bounded() -> None:
    many = [incident(id=str(n), started_at=f"2026-09-{n % 20 + 1:02}T00:00:00Z") for n in range(99)]
    found = parse_summary(summary(*many), (), NOW)
    assert len(found) == MAX_INCIDENTS
    assert [each.started_at for each in found] == sorted(each.started_at for each in found)


@pytest.mark.parametrize(
    ("components", "is_wanted"),
    [((), True), (("communications",), True), (("MINING", "x"), True), (("orchestrator",), False)],
)
def test_incidents_of_other_components_can_be_left_out(
    components: tuple[str, ...], is_wanted: bool
) -> None:
    assert bool(parse_summary(summary(incident()), components, NOW)) is is_wanted
    assert parse_summary(summary(incident(components=[])), components, NOW)


HOSTILE = "<script>alert(1)</script>\n\x1b[31m\u202e" + "x" * 100_000


def test_hostile_texts_are_bounded_and_one_line() -> None:
    given = incident(
        id=HOSTILE, name=HOSTILE, status=HOSTILE, impact=HOSTILE, components=[{"name": HOSTILE}]
    )
    [found] = parse_summary(summary(given), (), NOW)
    for text in (found.id, found.name, found.status, *found.components):
        assert len(text) <= 200
        assert text.isprintable()
    assert found.impact == "unknown"


@pytest.mark.parametrize(
    "incident_id",
    [
        "",
        "../../evil",
        "a/b",
        "a?b",
        'a"onclick="',
        "<b>",
        "a b",
        "\u00e4",
        "x" * 41,
        7,
        None,
        "a%2fb",
    ],
)
def test_no_link_is_made_of_an_id_that_is_none(incident_id: object) -> None:
    [found] = parse_summary(summary(incident(id=incident_id)), (), NOW)
    assert found.url is None


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "https://evil.example/", "//evil.example", 7, None]
)
def test_links_to_other_hosts_are_not_taken_over(link: object) -> None:
    [found] = parse_summary(summary(incident(shortlink=link)), (), NOW)
    assert found.url == f"{PAGE}/incidents/gk421t6jxhqg"


def test_what_looks_like_a_token_is_removed() -> None:
    secret = "aZ3" * 12
    [found] = parse_summary(summary(incident(name=f"Errors {secret}")), (), NOW)
    assert secret not in found.name


@pytest.mark.parametrize(
    "started", [None, "soon", 7, "9999-12-31T23:59:59+00:00", "2036-01-01T00:00:00Z", "2036-01-01"]
)
def test_a_start_that_cannot_be_is_now_at_the_latest(started: object) -> None:
    given = incident(started_at=started, created_at=None)
    [found] = parse_summary(summary(given), (), NOW)
    assert found.started_at == NOW


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"incidents": {}}', b"[" * 100_000, b"\xff", b"null"]
)
def test_what_is_no_summary_is_named(body: bytes) -> None:
    with pytest.raises(StatusPageError):
        parse_summary(body, (), NOW)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["id", "name", "status", "impact", "components", "started_at", "x"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(st.lists(JSON, max_size=5), st.lists(JSON, max_size=3) | JSON)
def test_whatever_incidents_are_they_are_read(incidents: list[object], planned: object) -> None:
    found = parse_summary(summary(*incidents, scheduled_maintenances=planned), ("x",), NOW)
    assert all(isinstance(each, SupplierIncident) for each in found)


def read(**changes: Any) -> SupplierIncident:  # noqa: ANN401 -- whatever keys an incident has
    [found] = parse_summary(summary(incident(**changes)), (), NOW)
    return found


def status_at(
    at: float, *incidents: SupplierIncident, until: float | None = None, problem: str | None = None
) -> PublishedStatus:
    return PublishedStatus(
        NOW + at, NOW + (at if until is None else until), PAGE, problem, incidents
    )


def test_reads_that_say_the_same_are_one_period() -> None:
    first = status_at(0, read())
    again = next_published(first, status_at(60, read()))
    assert (again.since, again.until) == (NOW, NOW + 60)
    for other in (
        status_at(120),
        status_at(120, read(name="Something else")),
        status_at(120, read(status="monitoring")),
        status_at(120, read(impact="critical")),
        status_at(120, problem="HTTP 502"),
        replace(status_at(120, read()), url="https://other.example"),
        status_at(61 + READ_VALID_SECONDS, read()),  # nothing is known of the time between
        status_at(30, read()),  # the clock was set back
    ):
        assert next_published(again, other) is other
    assert next_published(None, first) is first


def test_a_start_that_is_the_time_of_the_read_is_no_change() -> None:
    one, two = (replace(each, started_at=at) for each, at in ((read(), NOW), (read(), NOW + 60)))
    assert next_published(status_at(0, one), status_at(60, two)).until == NOW + 60


def test_that_no_incident_was_published_is_a_finding() -> None:
    account = supplier_account([status_at(-600, until=3600)], NOW, NOW + 1800)
    assert account is not None
    assert account.finding == "The supplier published no incident during this time."
    assert (account.known_seconds, account.published_after_seconds) == (1800.0, None)
    [status] = account.statuses
    assert (status.since, status.until) == (NOW, NOW + 1800)


def test_a_finding_says_how_much_of_the_time_is_known() -> None:
    statuses = [
        status_at(0, until=600),
        status_at(660, until=1200, problem="HTTP 502"),
    ]
    account = supplier_account(statuses, NOW, NOW + 1800)
    assert account is not None
    assert account.known_seconds == 660
    assert account.finding == (
        "The supplier published no incident during this time; its status page could be read for"
        " 11 min of 30 min."
    )


def test_a_short_incident_is_not_known_whole_by_one_second_of_it() -> None:
    account = supplier_account([status_at(-READ_VALID_SECONDS + 1)], NOW, NOW + 120)
    assert account is not None
    assert "could be read for 1 s of 2 min" in account.finding


def test_a_page_that_could_not_be_read_says_nothing() -> None:
    account = supplier_account([status_at(0, until=900, problem="HTTP 502")], NOW, NOW + 900)
    assert account is not None
    assert account.finding == "The supplier's status page could not be read during this time."
    assert supplier_account([], NOW, NOW + 900) is None
    assert supplier_account([status_at(-9000)], NOW, NOW + 900) is None


def test_a_finding_says_how_late_an_incident_was_published() -> None:
    statuses = [
        status_at(-600, until=660),
        status_at(720, read(), until=900),
        status_at(960, read(status="monitoring"), until=1200),
        status_at(1260, until=1800),
    ]
    account = supplier_account(statuses, NOW, NOW + 1800)
    assert account is not None
    assert account.finding == (
        "The supplier's status page had an incident 12 min after this began: Errors in Europe"
        " (impact major)."
    )
    assert account.published_after_seconds == 720
    [seen] = account.incidents
    assert (seen.seen_at, seen.ended_at, seen.status) == (NOW + 720, NOW + 1260, "monitoring")
    assert len(account.statuses) == 4


def test_an_incident_may_have_been_published_before() -> None:
    both = (read(), read(id="b", name="More"))
    account = supplier_account([status_at(-60, *both, until=60)], NOW, NOW + 60)
    assert account is not None
    assert account.finding == (
        "The supplier's status page had an incident already when this began: Errors in Europe"
        " (impact major), and 1 more."
    )
    assert [each.ended_at for each in account.incidents] == [None, None]
    assert [each.seen_at for each in account.incidents] == [NOW - 60, NOW - 60]
    assert account.published_after_seconds == 0


def test_an_incident_that_is_open_again_is_one() -> None:
    statuses = [status_at(0, read()), status_at(60), status_at(120, read())]
    account = supplier_account(statuses, NOW, NOW + 180)
    assert account is not None
    [again] = account.incidents
    assert (again.seen_at, again.ended_at) == (NOW, None)


def test_an_incident_that_has_just_begun_is_known() -> None:
    account = supplier_account([status_at(-30)], NOW, NOW)
    assert account is not None
    assert account.finding == "The supplier published no incident during this time."


@given(
    st.lists(st.tuples(st.floats(-1e4, 1e4), st.floats(0, 1e3), st.booleans()), max_size=9),
    st.floats(-1e4, 1e4),
    st.floats(0, 1e4),
)
def test_no_more_is_known_than_the_period_has(
    spans: list[tuple[float, float, bool]], since: float, seconds: float
) -> None:
    statuses = [
        status_at(at, until=at + length, problem="HTTP 502" if fails else None)
        for at, length, fails in spans
    ]
    account = supplier_account(statuses, NOW + since, NOW + since + seconds)
    if account is not None:
        assert -1e-3 <= account.known_seconds <= seconds + 1e-3
        assert all(each.since <= each.until for each in account.statuses)


@pytest.mark.parametrize(
    "written",
    [
        "0001-01-01T00:00:00+23:59",  # the year 0 in UTC
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59-23:59",
        "9999-12-31T23:59:59.999999Z",
    ],
)
def test_impossible_times_are_the_time_of_the_reading(written: str) -> None:
    [found] = parse_summary(summary(incident(started_at=written, created_at=written)), (), NOW)
    assert found.started_at == NOW
    status = SupplierStatus("https://status.example", NOW, None, (found,))
    assert "2026-09-21 14:13 UTC" in (confirmation(status) or "")


def test_the_first_possible_time_counts() -> None:
    [found] = parse_summary(summary(incident(started_at="1970-01-01T00:00:00Z")), (), NOW)
    assert found.started_at == 0.0
    [later] = parse_summary(summary(incident(started_at="0001-01-01T00:00:00Z")), (), NOW)
    assert later.started_at == 1_789_985_100.0  # `created_at`
