from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.outcomes import Culprit, Reason
from prober.timeline.spells import Incident, Spell, as_known, follow, incidents
from prober.timeline.tally import Run
from tests.unit.timeline.runs import NOW, a_run

BAD, DNS = Reason.SERVER_ERROR, Reason.DNS


def spells_of(runs: Iterable[Run]) -> list[Spell]:
    """Return all spells that runs add up to, those that go on last."""
    going_on: dict[str, Spell | None] = {}
    ended = []
    for run in sorted(runs, key=lambda each: each.at):
        over, going_on[run.probe] = follow(going_on.get(run.probe), run)
        ended += [over] if over is not None else []
    return ended + [spell for spell in going_on.values() if spell is not None]


def test_a_spell_ends_with_the_first_run_that_is_well() -> None:
    runs = [a_run(0), a_run(60, BAD), a_run(120, BAD), a_run(180), a_run(240)]
    [spell] = spells_of(runs)
    assert (spell.started_at, spell.last_failed_at, spell.ended_at) == (
        NOW + 60,
        NOW + 120,
        NOW + 180,
    )
    assert (spell.failures, spell.culprit, spell.reason) == (2, Culprit.PLATFORM, BAD)
    assert (spell.rule, spell.evidence) == ("11", "the evidence of server_error")


def test_another_culprit_is_another_spell_and_another_reason_is_not() -> None:
    runs = [a_run(0, BAD), a_run(60, Reason.EXPECTATION_FAILED), a_run(120, DNS)]
    first, second = spells_of(runs)
    assert (first.failures, first.ended_at) == (2, NOW + 120)
    assert (second.culprit, second.ended_at) == (Culprit.NETWORK, None)


def test_maintenance_is_a_spell_of_its_own() -> None:
    first, second = spells_of([a_run(0, BAD, in_maintenance=True), a_run(60, BAD)])
    assert (first.in_maintenance, second.in_maintenance) == (True, False)


@pytest.mark.parametrize("afterwards", [BAD, Reason.OK])
def test_after_a_long_time_unwatched_a_spell_ended_when_it_was_last_seen(
    afterwards: Reason,
) -> None:
    spell = spells_of([a_run(0, BAD), a_run(60, BAD), a_run(8000, afterwards)])[0]
    assert (spell.ended_at, spell.failures) == (NOW + 60, 2)


def test_what_several_probes_suffer_at_a_time_is_one_incident() -> None:
    runs = [a_run(at, BAD, probe=f"p{at % 3}") for at in range(100, 400)]
    runs += [a_run(at, probe=f"p{at % 3}") for at in range(400, 403)]
    assert incidents(spells_of(runs)) == (
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
    assert len(incidents(spells_of(runs))) == count


def test_two_culprits_and_two_tenants_are_incidents_apart() -> None:
    spells = spells_of([a_run(0, BAD), a_run(0, DNS, probe="sources")])
    spells += spells_of([a_run(0, BAD, tenant="other")])
    assert len(incidents(spells)) == 3


def test_an_incident_goes_on_as_long_as_one_of_its_probes_fails() -> None:
    runs = [a_run(0, BAD), a_run(1, BAD, probe="sources"), a_run(60)]
    [incident] = incidents(spells_of(runs))
    assert incident.ended_at is None
    assert incident.seconds(NOW + 90) == 90


@given(
    st.lists(st.tuples(st.sampled_from([Reason.OK, BAD, DNS]), st.sampled_from("ab")), max_size=40)
)
def test_no_failure_is_lost_and_none_is_told_twice(story: list[tuple[Reason, str]]) -> None:
    runs = [a_run(60.0 * n, reason, probe=p) for n, (reason, p) in enumerate(story)]
    told = sum(incident.failures for incident in incidents(spells_of(runs)))
    assert told == sum(reason is not Reason.OK for reason, _ in story)


def test_what_nobody_watched_since_has_ended_with_its_last_failure() -> None:
    [spell] = spells_of([a_run(0, BAD), a_run(60, BAD)])
    assert as_known(spell, NOW + 3660) == spell
    assert as_known(spell, NOW + 3661).ended_at == NOW + 60
    [over] = spells_of([a_run(0, BAD), a_run(60)])
    assert as_known(over, NOW + 9999) == over
