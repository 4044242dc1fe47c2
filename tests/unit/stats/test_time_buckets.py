from prober.outcomes import Reason
from prober.stats.aggregates import TimeBucket, bucket_for, bucket_start, sum_buckets
from tests.unit.stats.factories import NOW, a_run


def test_a_slot_is_a_quarter_of_an_hour() -> None:
    assert [bucket_start(NOW + at) - NOW for at in (0, 899.9, 900, 3599)] == [0, 0, 900, 2700]


def test_slots_count_runs_by_culprit_and_add_up() -> None:
    runs = (
        a_run(server=0.5, network=0.25, own=0.5),
        a_run(server=0.25, network=0.25, own=0.125),
        a_run(reason=Reason.TOKEN_REJECTED),
        a_run(reason=Reason.SERVER_ERROR, in_maintenance=True, server=1.0, network=1.0, own=1.0),
    )
    slot = sum_buckets(map(bucket_for, runs)) + TimeBucket(paused=3)
    assert slot == TimeBucket(
        none=2,
        credential=1,
        paused=3,
        in_maintenance=1,
        splits=2,
        server_seconds=0.75,
        network_seconds=0.5,
        own_seconds=0.625,
    )
    assert (slot.runs, slot.failures) == (3, 1)


def test_a_bucket_begins_every_quarter_of_an_hour() -> None:
    assert [bucket_start(at) for at in (0.0, 899.9, 900.0, 1799.9, -0.1)] == [0, 0, 900, 900, -900]


def test_the_own_time_is_none_in_what_was_recorded_before_it_was_kept() -> None:
    assert bucket_for(a_run(server=0.5, network=0.25)).own_seconds == 0.0
    assert bucket_for(a_run(server=0.5, network=0.25, own=0.125)).own_seconds == 0.125
    assert bucket_for(a_run(server=0.5)).splits == bucket_for(a_run(network=0.5)).splits == 0
