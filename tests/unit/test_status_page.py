"""The supplier's status page: what is read of it, and what hostile content cannot do."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.history.supplier_incidents import (
    FILE_NAME,
    MAX_RECORDS,
    RecordedIncident,
    merge,
    overlapping,
    read_records,
    write_records,
)
from prober.status_page import (
    MAX_INCIDENTS,
    StatusPageError,
    SupplierIncident,
    SupplierStatus,
    confirmation,
    parse_summary,
)

NOW = 1_790_000_000.0  # 2026-09-21T14:13:20Z
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


def test_an_open_incident_is_read() -> None:
    [found] = parse_summary(summary(incident()), (), NOW)
    assert (found.name, found.impact, found.status) == (
        "Errors in Europe",
        "major",
        "investigating",
    )
    assert found.started_at == 1_789_984_920.0
    assert found.url == "https://stspg.io/gk421t6jxhqg"
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
    "link",
    [
        "javascript:alert(1)",
        "http://stspg.io/x",
        'https://x.example/"onclick="',
        "https://x.example/<b>",
        "https://" + "x" * 300,
        "https://ex\u00e4mple",
        7,
        None,
    ],
)
def test_a_link_that_no_page_may_show_is_left_out(link: object) -> None:
    [found] = parse_summary(summary(incident(shortlink=link)), (), NOW)
    assert found.url is None


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


def test_incidents_are_recorded_until_they_are_gone(tmp_path: Path) -> None:
    records = merge((), [read(id="a"), read(id="b")], NOW)
    records = merge(records, [read(id="b", status="monitoring")], NOW + 60)
    by_id = {record.id: record for record in records}
    assert (by_id["a"].ended_at, by_id["b"].ended_at) == (NOW + 60, None)
    assert by_id["b"].status == "monitoring"
    records = merge(records, [], NOW + 120)
    assert {record.ended_at for record in records} == {NOW + 60, NOW + 120}
    write_records(tmp_path, records)
    assert read_records(tmp_path) == records
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert [r.id for r in overlapping(records, NOW + 90, NOW + 300)] == ["b"]
    assert overlapping(records, 0.0, 1.0) == ()


def test_an_incident_that_is_open_again_is_one_record() -> None:
    records = merge(merge((), [read()], NOW), [], NOW + 60)
    [again] = merge(records, [read()], NOW + 120)
    assert again.ended_at is None


def test_the_records_are_bounded() -> None:
    records: tuple[RecordedIncident, ...] = ()
    for number in range(MAX_RECORDS + 50):
        records = merge(records, [read(id=str(number))], NOW + number)
    assert len(records) == MAX_RECORDS


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[{}]", b"\xff", b'[{"id": 1}]', b" " * 2_000_000]
)
def test_a_damaged_file_is_an_empty_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    assert read_records(tmp_path) == ()


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("kept")
    (tmp_path / "supplier-incidents.new").symlink_to(other)
    with pytest.raises(OSError, match="symbolic"):
        write_records(tmp_path, ())
    assert other.read_text() == "kept"


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


@pytest.mark.parametrize("time", ["1e300", "-1", "1e999", "253402300799"])
@pytest.mark.parametrize("key", ["started_at", "ended_at"])
def test_a_record_with_an_impossible_time_is_left_out(tmp_path: Path, key: str, time: str) -> None:
    good, bad = merge((), [read(id="a"), read(id="b")], NOW)
    bad = replace(bad, started_at=123.25, ended_at=124.25)
    write_records(tmp_path, [good, bad])
    file = tmp_path / FILE_NAME
    written = "123.25" if key == "started_at" else "124.25"
    file.write_text(file.read_text().replace(written, time))
    assert [each.id for each in read_records(tmp_path)] == ["a"]


def test_records_of_long_texts_are_read_again_the_newest_ones(tmp_path: Path) -> None:
    long = [{"name": "\U0001f4a5" * 200} for _ in range(20)]
    records: tuple[RecordedIncident, ...] = ()
    for number in range(MAX_RECORDS):
        records = merge(records, [read(id=f"{number:03}", components=long)], NOW + number)
    write_records(tmp_path, records)
    found = [each.id for each in read_records(tmp_path)]
    assert 1 < len(found) < MAX_RECORDS
    assert found == [each.id for each in records[-len(found) :]]
