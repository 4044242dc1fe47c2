from prober.outcomes import Reason
from prober.timeline.slots import Slot, slot_at, slot_of, total
from tests.unit.timeline.runs import NOW, a_run


def test_a_slot_is_a_quarter_of_an_hour() -> None:
    assert [slot_at(NOW + at) - NOW for at in (0, 899.9, 900, 3599)] == [0, 0, 900, 2700]


def test_slots_count_runs_by_culprit_and_add_up() -> None:
    runs = (
        a_run(server=0.5, network=0.25),
        a_run(server=0.25, network=0.25),
        a_run(reason=Reason.TOKEN_REJECTED),
        a_run(reason=Reason.SERVER_ERROR, in_maintenance=True, server=1.0, network=1.0),
    )
    slot = total(map(slot_of, runs)) + Slot(held_back=3)
    assert slot == Slot(
        none=2,
        credential=1,
        held_back=3,
        in_maintenance=1,
        splits=2,
        server_seconds=0.75,
        network_seconds=0.5,
    )
    assert (slot.runs, slot.failures) == (3, 1)
