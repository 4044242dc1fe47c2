import gc
import tracemalloc
from collections.abc import Iterable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.outcomes import Culprit, Reason
from prober.stats.aggregates import RunSummary
from prober.stats.incidents import (
    QUIET_SECONDS,
    FailureStreak,
    Incident,
    IncidentTotals,
    advance,
    close_if_stale,
    digest_incidents,
    newest_incidents,
)
from tests.unit.stats.factories import NOW, a_run, incidents_from_streaks

BAD, DNS = Reason.SERVER_ERROR, Reason.DNS


def streaks_of(runs: Iterable[RunSummary]) -> list[FailureStreak]:
    """Return all streaks that runs add up to, those that go on last."""
    going_on: dict[str, FailureStreak | None] = {}
    ended = []
    for run in sorted(runs, key=lambda each: each.at):
        over, going_on[run.probe] = advance(going_on.get(run.probe), run)
        ended += [over] if over is not None else []
    return ended + [streak for streak in going_on.values() if streak is not None]


def test_a_streak_ends_with_the_first_run_that_is_well() -> None:
    runs = [a_run(0), a_run(60, BAD), a_run(120, BAD), a_run(180), a_run(240)]
    [streak] = streaks_of(runs)
    assert (streak.started_at, streak.last_failed_at, streak.ended_at) == (
        NOW + 60,
        NOW + 120,
        NOW + 180,
    )
    assert (streak.failures, streak.culprit, streak.reason) == (2, Culprit.PLATFORM, BAD)
    assert (streak.rule, streak.evidence) == ("11", "the evidence of server_error")


def test_another_culprit_of_the_same_reason_is_another_streak() -> None:
    culprits = (Culprit.TENANT, Culprit.TENANT, Culprit.PLATFORM)
    runs = [
        a_run(60.0 * number, Reason.EXPECTATION_FAILED, culprit=culprit)
        for number, culprit in enumerate(culprits)
    ]
    first, second = streaks_of(runs)
    assert (first.culprit, first.failures) == (Culprit.TENANT, 2)
    assert (second.culprit, second.failures) == (Culprit.PLATFORM, 1)


def test_another_culprit_is_another_streak_and_another_reason_is_not() -> None:
    runs = [a_run(0, BAD), a_run(60, Reason.RESPONSE_TOO_LARGE), a_run(120, DNS)]
    first, second = streaks_of(runs)
    assert (first.failures, first.ended_at) == (2, NOW + 120)
    assert (second.culprit, second.ended_at) == (Culprit.NETWORK, None)


def test_maintenance_is_a_streak_of_its_own() -> None:
    first, second = streaks_of([a_run(0, BAD, in_maintenance=True), a_run(60, BAD)])
    assert (first.in_maintenance, second.in_maintenance) == (True, False)


@pytest.mark.parametrize("afterwards", [BAD, Reason.OK])
def test_after_a_long_time_unwatched_a_streak_ended_when_it_was_last_seen(
    afterwards: Reason,
) -> None:
    streak = streaks_of([a_run(0, BAD), a_run(60, BAD), a_run(8000, afterwards)])[0]
    assert (streak.ended_at, streak.failures) == (NOW + 60, 2)


def test_what_several_probes_suffer_at_a_time_is_one_incident() -> None:
    runs = [a_run(at, BAD, probe=f"p{at % 3}") for at in range(100, 400)]
    runs += [a_run(at, probe=f"p{at % 3}") for at in range(400, 403)]
    assert incidents_from_streaks(streaks_of(runs)) == (
        Incident(
            "acme",
            Culprit.PLATFORM,
            NOW + 100,
            NOW + 402,
            300,
            ("p1", "p2", "p0"),
            (BAD,),
            "the evidence of server_error",
        ),
    )


@pytest.mark.parametrize(("pause", "count"), [(299, 1), (301, 2)])
def test_a_culprit_that_is_soon_back_has_never_left(pause: int, count: int) -> None:
    runs = [a_run(0, BAD), a_run(60), a_run(60 + pause, BAD), a_run(120 + pause)]
    assert len(incidents_from_streaks(streaks_of(runs))) == count


def test_two_culprits_and_two_tenants_are_incidents_apart() -> None:
    streaks = streaks_of([a_run(0, BAD), a_run(0, DNS, probe="sources")])
    streaks += streaks_of([a_run(0, BAD, tenant="other")])
    assert len(incidents_from_streaks(streaks)) == 3


def test_an_incident_goes_on_as_long_as_one_of_its_probes_fails() -> None:
    runs = [a_run(0, BAD), a_run(1, BAD, probe="sources"), a_run(60)]
    [incident] = incidents_from_streaks(streaks_of(runs))
    assert incident.ended_at is None
    assert incident.seconds(NOW + 90) == 90


@given(
    st.lists(st.tuples(st.sampled_from([Reason.OK, BAD, DNS]), st.sampled_from("ab")), max_size=40)
)
def test_no_failure_is_lost_and_none_is_told_twice(story: list[tuple[Reason, str]]) -> None:
    runs = [a_run(60.0 * n, reason, probe=p) for n, (reason, p) in enumerate(story)]
    reported = sum(incident.failures for incident in incidents_from_streaks(streaks_of(runs)))
    assert reported == sum(reason is not Reason.OK for reason, _ in story)


def test_what_nobody_watched_since_has_ended_with_its_last_failure() -> None:
    [streak] = streaks_of([a_run(0, BAD), a_run(60, BAD)])
    assert close_if_stale(streak, NOW + 3660) == streak
    assert close_if_stale(streak, NOW + 3661).ended_at == NOW + 60
    [over] = streaks_of([a_run(0, BAD), a_run(60)])
    assert close_if_stale(over, NOW + 9999) == over


def _latest_end(streaks: Sequence[FailureStreak]) -> float:
    return max(float("inf") if each.ended_at is None else each.ended_at for each in streaks)


def incidents_by_definition(streaks: Iterable[FailureStreak]) -> tuple[Incident, ...]:
    """Fold as an incident is defined, in quadratic time: each streak looks at all before it."""
    groups: dict[tuple[str, Culprit, bool], list[list[FailureStreak]]] = {}
    for streak in sorted(streaks, key=lambda each: each.started_at):
        folded = groups.setdefault((streak.tenant, streak.culprit, streak.in_maintenance), [])
        if folded and streak.started_at <= _latest_end(folded[-1]) + QUIET_SECONDS:
            folded[-1].append(streak)
        else:
            folded.append([streak])
    found = [
        Incident(
            tenant=streaks[0].tenant,
            culprit=streaks[0].culprit,
            started_at=streaks[0].started_at,
            ended_at=None if _latest_end(streaks) == float("inf") else _latest_end(streaks),
            failures=sum(each.failures for each in streaks),
            probes=tuple(dict.fromkeys(each.probe for each in streaks)),
            reasons=tuple(dict.fromkeys(each.reason for each in streaks)),
            evidence=streaks[0].evidence,
            in_maintenance=streaks[0].in_maintenance,
        )
        for folded in groups.values()
        for streaks in folded
    ]
    return tuple(sorted(found, key=lambda each: each.started_at))


ANY_SPELL = st.builds(
    lambda tenant, probe, culprit, reason, began, lasted, failures, in_maintenance: FailureStreak(
        tenant,
        probe,
        culprit,
        reason,
        "11",
        f"{probe} at {began}",
        NOW + began,
        NOW + began,
        None if lasted is None else NOW + began + lasted,
        failures,
        in_maintenance,
    ),
    st.sampled_from(["acme", "other"]),
    st.sampled_from("abc"),
    st.sampled_from([Culprit.PLATFORM, Culprit.NETWORK]),
    st.sampled_from([BAD, DNS]),
    st.integers(0, 4000),
    st.none() | st.integers(0, 1200),
    st.integers(1, 9),
    st.booleans(),
)


@given(st.lists(ANY_SPELL, max_size=60))
def test_folding_gives_what_the_definition_gives(streaks: list[FailureStreak]) -> None:
    folded, defined = incidents_from_streaks(streaks), incidents_by_definition(streaks)
    assert [each.started_at for each in folded] == [each.started_at for each in defined]
    # Incidents of several tenants that begin at one moment have no order among themselves.
    assert sorted(map(repr, folded)) == sorted(map(repr, defined))


@given(st.lists(ANY_SPELL, max_size=40), st.integers(1, 5))
def test_pages_of_incidents_are_all_of_them_the_newest_first(
    streaks: list[FailureStreak], limit: int
) -> None:
    ordered = sorted(streaks, key=lambda each: each.started_at)
    pages: list[Incident] = []
    while page := newest_incidents(iter(ordered), limit, pages[-1].key if pages else None):
        assert len(page) <= limit
        pages += page
    assert pages == sorted(incidents_from_streaks(streaks), key=lambda each: each.key, reverse=True)


def test_what_is_held_does_not_grow_with_the_number_of_streaks() -> None:
    def peak_bytes(count: int) -> int:
        starts = (NOW + n * 600.0 for n in range(count))
        streaks = (
            FailureStreak("acme", "p", Culprit.PLATFORM, BAD, "11", str(at) * 20, at, at, at + 60)
            for at in starts
        )
        gc.collect()
        tracemalloc.start()
        newest_incidents(streaks, 50)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak_bytes(20_000) < 2 * peak_bytes(2_000)


def flapping(
    count: int, kind: type[FailureStreak] = FailureStreak, *, pause_seconds: float = 60.0
) -> list[FailureStreak]:
    """Return streaks of one tenant's probe that fails every other run."""
    starts = [NOW + n * (60.0 + pause_seconds) for n in range(count)]
    return [
        kind("acme", "datasets", Culprit.PLATFORM, BAD, "11", "", start, start, start + 60)
        for start in starts
    ]


class CountedSpell(FailureStreak):
    """Counts how often any of its kind is read."""

    __slots__ = ()
    reads = 0

    def __getattribute__(self, name: str) -> object:
        CountedSpell.reads += 1
        return super().__getattribute__(name)


@pytest.mark.parametrize("pause_seconds", [60.0, 600.0], ids=["one incident", "as many"])
def test_folding_reads_each_streak_a_bounded_number_of_times(pause_seconds: float) -> None:
    reads = {}
    for count in (1_000, 10_000):
        streaks = flapping(count, CountedSpell, pause_seconds=pause_seconds)
        CountedSpell.reads = 0
        incidents_from_streaks(streaks)
        reads[count] = CountedSpell.reads
    assert reads[10_000] <= 11 * reads[1_000]
    assert reads[1_000] <= 20 * 1_000


def test_a_week_of_flapping_is_folded() -> None:
    # In quadratic time this takes many minutes, and the time limit of every test ends it.
    [incident] = incidents_from_streaks(flapping(100_800))
    assert incident.failures == 100_800


def in_order(runs: Iterable[RunSummary]) -> list[FailureStreak]:
    return sorted(streaks_of(runs), key=lambda each: each.started_at)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 40), st.sampled_from([BAD, DNS, Reason.OK]), st.booleans(),
            st.sampled_from(["p", "q"]), st.sampled_from(["acme", "other"]),
        ),
        max_size=40,
    ),
    st.integers(1, 5),
)  # fmt: skip
def test_a_digest_says_of_incidents_what_all_of_them_say(
    drawn: list[tuple[int, Reason, bool, str, str]], limit: int
) -> None:
    runs = [
        a_run(200 * at, reason, probe=probe, tenant=tenant, in_maintenance=planned)
        for at, reason, planned, probe, tenant in drawn
    ]
    streaks, since, until = in_order(runs), NOW + 900, NOW + 9000
    every = incidents_from_streaks(streaks)
    digest = digest_incidents(iter(streaks), since, until, limit)
    assert digest.count == len(every)
    longest = sorted((each.seconds(until) for each in every), reverse=True)[:limit]
    assert sorted((each.seconds(until) for each in digest.longest), reverse=True) == longest
    assert set(digest.longest) <= set(every)
    assert [each.started_at for each in digest.longest] == sorted(
        each.started_at for each in digest.longest
    )
    for culprit in Culprit:
        own = [each for each in every if each.culprit is culprit and not each.in_maintenance]
        found = digest.totals.get(culprit, IncidentTotals())
        seconds = sum(
            max(0.0, min(until, each.ended_at or until) - max(since, each.started_at))
            for each in own
        )
        assert found.incidents == len(own)
        assert found.seconds == pytest.approx(seconds)


def test_a_digest_does_not_keep_what_it_has_counted() -> None:
    def peak(count: int) -> int:
        gc.collect()
        tracemalloc.start()
        digest_incidents(_apart(count), NOW, NOW + 1e9, 10)
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak_bytes

    assert peak(4000) < 1.5 * peak(1000)


def _apart(count: int) -> Iterator[FailureStreak]:
    for number in range(count):
        at = NOW + 1000.0 * number
        yield FailureStreak(
            "acme", "p", Culprit.PLATFORM, BAD, "11", "evidence", at, at + 1, at + 2
        )
