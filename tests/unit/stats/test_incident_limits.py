"""Incidents at their limits: both sides of each comparison, and ties."""

from dataclasses import replace

import pytest

from prober.outcomes import Culprit, Reason
from prober.stats.incidents import (
    QUIET_SECONDS,
    FailureStreak,
    IncidentId,
    advance,
    close_if_stale,
    digest_incidents,
    find_incident,
    incident_id,
    newest_incidents,
    read_incident_id,
)
from tests.unit.stats.factories import NOW, a_run

HOUR = 3600.0


def a_streak(
    started: float, ended: float | None = None, *, tenant: str = "acme", probe: str = "datasets"
) -> FailureStreak:
    return FailureStreak(
        tenant,
        probe,
        Culprit.PLATFORM,
        Reason.SERVER_ERROR,
        "11",
        "evidence",
        NOW + started,
        NOW + (started if ended is None else ended),
        None if ended is None else NOW + ended,
    )


@pytest.mark.parametrize(
    ("pause", "count"), [(QUIET_SECONDS - 1, 1), (QUIET_SECONDS, 1), (QUIET_SECONDS + 0.001, 2)]
)
def test_streaks_up_to_five_minutes_apart_are_one_incident(pause: float, count: int) -> None:
    streaks = [a_streak(0, 60), a_streak(60 + pause, 60 + pause + 1)]
    assert QUIET_SECONDS == 300.0
    assert len(newest_incidents(streaks, 9)) == count
    assert digest_incidents(streaks, NOW, NOW + HOUR, 9).count == count


@pytest.mark.parametrize(("seconds", "goes_on"), [(HOUR, True), (HOUR + 0.001, False)])
def test_a_streak_goes_on_for_an_hour_without_a_run(seconds: float, *, goes_on: bool) -> None:
    streak = a_streak(0)
    ended, ongoing = advance(streak, a_run(seconds, Reason.SERVER_ERROR))
    assert (ended is None) is goes_on
    assert ongoing is not None
    assert ongoing.started_at == (NOW if goes_on else NOW + seconds)
    assert (close_if_stale(streak, NOW + seconds).ended_at is None) is goes_on
    closed = replace(streak, ended_at=NOW + 1)
    assert close_if_stale(closed, NOW + 9 * HOUR) == closed


def test_of_equally_long_incidents_the_first_are_kept() -> None:
    streaks = [a_streak(0, 60), a_streak(1000, 1060), a_streak(2000, 2060)]
    kept = digest_incidents(streaks, NOW, NOW + HOUR, 2).longest
    assert [each.started_at - NOW for each in kept] == [0, 1000]
    same = [a_streak(0, 60, tenant=tenant) for tenant in ("b", "c", "a")]
    assert [each.tenant for each in digest_incidents(same, NOW, NOW + HOUR, 1).longest] == ["b"]
    mixed = [a_streak(0, 10), a_streak(1000, 1900), a_streak(3000, 3100)]
    kept = digest_incidents(mixed, NOW, NOW + HOUR, 2).longest
    assert [each.started_at - NOW for each in kept] == [1000, 3000]


def test_totals_count_only_what_lies_in_the_range() -> None:
    streaks = [a_streak(-100, 100), a_streak(1000, 1100), a_streak(3000)]
    found = digest_incidents(streaks, NOW, NOW + HOUR, 9).totals[Culprit.PLATFORM]
    assert (found.incidents, found.seconds) == (3, 100 + 100 + 600)
    before = digest_incidents([a_streak(-100, -50)], NOW, NOW + HOUR, 9)
    assert before.totals[Culprit.PLATFORM].seconds == 0.0
    late = digest_incidents([a_streak(0, 2 * HOUR)], NOW, NOW + HOUR, 9)
    assert late.totals[Culprit.PLATFORM].seconds == HOUR
    hidden = digest_incidents([replace(a_streak(0, 9), in_maintenance=True)], NOW, NOW + HOUR, 9)
    assert (hidden.count, hidden.totals) == (1, {})


def test_an_id_names_its_incident_in_each_second_of_it() -> None:
    [incident] = newest_incidents([a_streak(0.5, 60)], 1)
    assert incident_id(incident) == f"acme.{int(NOW)}.platform"
    planned = replace(incident, in_maintenance=True)
    assert incident_id(planned) == f"acme.{int(NOW)}.platform.maintenance"
    for at, is_of in ((-1, False), (0, True), (60, True), (61, False)):
        wanted = IncidentId("acme", int(NOW) + at, Culprit.PLATFORM)
        assert wanted.is_of(incident) is is_of, at
        assert (find_incident([a_streak(0.5, 60)], wanted) is not None) is is_of, at
    [ongoing] = newest_incidents([a_streak(0)], 1)
    assert IncidentId("acme", int(NOW) + 10**9, Culprit.PLATFORM).is_of(ongoing)
    for other in (
        IncidentId("beta", int(NOW), Culprit.PLATFORM),
        IncidentId("acme", int(NOW), Culprit.NETWORK),
        IncidentId("acme", int(NOW), Culprit.PLATFORM, in_maintenance=True),
    ):
        assert not other.is_of(incident)
        assert find_incident([a_streak(0.5, 60)], other) is None


def test_the_incident_of_an_id_is_found_among_others() -> None:
    streaks = [a_streak(0, 60), a_streak(1000, 1060), a_streak(1100, 1200), a_streak(5000, 5060)]
    for at, started in ((0, 0), (1000, 1000), (1150, 1000), (5000, 5000), (5060, 5000)):
        found = find_incident(iter(streaks), IncidentId("acme", int(NOW) + at, Culprit.PLATFORM))
        assert found is not None
        assert found.started_at == NOW + started
    for at in (-1, 400, 999, 1201, 4999, 5061):
        wanted = IncidentId("acme", int(NOW) + at, Culprit.PLATFORM)
        assert find_incident(iter(streaks), wanted) is None, at


@pytest.mark.parametrize("suffix", ["", ".maintenance"])
def test_an_id_is_read_as_it_is_written(suffix: str) -> None:
    text = f"acme-1.{int(NOW)}.network{suffix}"
    found = read_incident_id(text)
    assert str(found) == text
    assert found == IncidentId("acme-1", int(NOW), Culprit.NETWORK, in_maintenance=bool(suffix))
    for wrong in ("", "acme", f"{text}.x", f"{text}\n", "a.1.vendor", "A.1.platform"):
        with pytest.raises(ValueError, match=r"such as 'acme\.1763942400\.platform'"):
            read_incident_id(wrong)


def test_the_newest_before_a_key_leave_it_out() -> None:
    streaks = [a_streak(0, 60), a_streak(1000, 1060), a_streak(2000, 2060)]
    first, second, third = newest_incidents(streaks, 9)
    assert [each.started_at - NOW for each in (first, second, third)] == [2000, 1000, 0]
    assert newest_incidents(streaks, 9, first.key) == (second, third)
    assert newest_incidents(streaks, 1, first.key) == (second,)
    assert newest_incidents(streaks, 9, third.key) == ()
    assert newest_incidents(streaks, 2) == (first, second)


def test_an_incident_lists_each_probe_and_reason_once_in_order() -> None:
    streaks = [
        a_streak(0, 60, probe="b"),
        replace(a_streak(10, 50, probe="a"), reason=Reason.RATE_LIMITED, failures=3),
        a_streak(20, 40, probe="b"),
    ]
    [incident] = newest_incidents(streaks, 9)
    assert incident.probes == ("b", "a")
    assert incident.reasons == (Reason.SERVER_ERROR, Reason.RATE_LIMITED)
    assert (incident.failures, incident.ended_at) == (5, NOW + 60)
    assert incident.seconds(NOW + 999) == 60
    [ongoing] = newest_incidents([*streaks, a_streak(30)], 9)
    assert (ongoing.ended_at, ongoing.seconds(NOW + 999)) == (None, 999)
