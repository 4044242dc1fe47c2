from dataclasses import replace

from prober.credential import TokenStatus
from prober.maintenance import FOREVER, Maintenance
from prober.model import Response
from prober.outcomes import Reason, SkipCause, TokenState
from prober.recorders.board import Board
from prober.timeline.slots import Slot, slot_at
from prober.timeline.spells import Spell, follow
from prober.timeline.standing import TenantStanding
from prober.timeline.tally import run_of
from tests.unit.recorders.results import NOW, a_tenant, an_answer

TENANT = a_tenant()
STATUSES = {"acme": TokenStatus("acme", TENANT.token, TokenState.VALID, "0123abcd")}
SLOT = slot_at(NOW)


def a_board() -> Board:
    return Board((TENANT,), NOW - 5)


def seen(board: Board, after: float = 0.0) -> TenantStanding:
    return board.standing("acme", STATUSES, Maintenance(None, NOW, FOREVER), NOW + after)


def a_spell(since: float) -> Spell:
    _, spell = follow(None, run_of(replace(an_answer(Reason.SERVER_ERROR), started_at=since)))
    assert spell is not None
    return spell


def test_before_anything_ran_nothing_is_known() -> None:
    standing = seen(a_board())
    assert standing.probes[0].result is None
    assert (standing.slots, standing.month, standing.known_since) == ({}, Slot(), NOW - 5)


def test_the_last_result_stands_and_slots_add_up() -> None:
    board = a_board()
    for reason in (Reason.OK, Reason.SERVER_ERROR, Reason.SERVER_ERROR):
        board.record(an_answer(reason))
    [probe] = seen(board).probes
    assert probe.reason is Reason.SERVER_ERROR
    assert probe.spell is not None
    assert probe.spell.failures == 2
    slot = seen(board).slots[SLOT]
    assert (slot.none, slot.platform, slot.splits) == (1, 2, 3)
    assert board.changes["acme"] == 3


def test_a_run_that_was_skipped_says_why_until_the_next_one() -> None:
    board = a_board()
    board.record(an_answer())
    board.skipped("acme", "datasets", SkipCause.TOKEN_REJECTED, NOW)
    assert seen(board).probes[0].skipped is SkipCause.TOKEN_REJECTED
    assert seen(board).slots[SLOT].held_back == 1
    board.record(an_answer())
    assert seen(board).probes[0].skipped is None


def test_what_is_older_than_a_day_is_forgotten() -> None:
    board = a_board()
    board.record(an_answer())
    assert SLOT in seen(board, after=86_000 - NOW % 900).slots
    assert seen(board, after=86_401).slots == {}


def test_the_past_is_added_to_what_was_recorded_since_the_start() -> None:
    board = a_board()
    board.record(an_answer())
    board.remember({"acme": {SLOT: Slot(none=5)}}, (), NOW - 1000)
    board.remember_earlier({"acme": Slot(none=100, platform=3)})
    standing = seen(board)
    assert standing.slots[SLOT].none == 6
    assert (standing.month.none, standing.month.platform) == (106, 3)
    assert standing.known_since == NOW - 1000


def test_a_spell_that_went_on_over_a_restart_has_its_first_beginning() -> None:
    fresh, failing = a_board(), a_board()
    failing.record(an_answer(Reason.SERVER_ERROR))
    for board in (fresh, failing):
        board.remember({}, (a_spell(NOW - 600), replace(a_spell(0.0), probe="gone")), None)
        spell = seen(board).probes[0].spell
        assert spell is not None
        assert spell.started_at == NOW - 600


def test_a_spell_of_the_past_is_over_when_the_first_run_was_well() -> None:
    board = a_board()
    board.record(an_answer())
    board.remember({}, (a_spell(NOW - 600),), None)
    assert seen(board).probes[0].spell is None


def test_large_bodies_are_not_kept() -> None:
    result = an_answer(certificate_expiry=NOW + 99)
    large = Response(200, (), b"x" * 100_000)
    board = a_board()
    board.record(replace(result, exchange=replace(result.exchange, response=large)))
    kept = seen(board).probes[0].result
    assert kept is not None
    assert kept.exchange.response is not None
    assert kept.exchange.response.body == b""
    assert seen(board).certificate_expiry == NOW + 99


def test_settings_taken_over_keep_what_is_known_of_what_stays() -> None:
    board = a_board()
    board.record(an_answer(certificate_expiry=NOW + 5))
    [probe] = TENANT.probes
    slower = replace(probe, interval_seconds=7.0)
    board.apply((replace(TENANT, probes=(slower,)), a_tenant("beta")))
    [standing] = seen(board).probes
    assert (standing.probe, standing.result is not None) == (slower, True)
    assert seen(board).certificate_expiry == NOW + 5
    assert board.changes["acme"] == 2


def test_of_a_tenant_that_was_taken_out_nothing_is_kept() -> None:
    board = a_board()
    board.record(an_answer(certificate_expiry=NOW + 5))
    board.apply((a_tenant("beta"),))
    board.apply((TENANT,))
    standing = seen(board)
    assert (standing.probes[0].result, standing.slots) == (None, {})
    assert standing.certificate_expiry is None
