"""The state that every released version left behind opens in this one, and is written on."""

import shutil
from pathlib import Path

import pytest

from prober.history.reader import HistoryReader
from prober.history.schema import FILE_NAME as HISTORY
from prober.history.schema import FORMAT
from prober.history.writer import HOUR_SECONDS, HistoryWriter, RunEntry
from prober.outcomes import Culprit, Reason, RejectionCause, TokenEventKind, TokenState
from prober.sqlite import open_to_read
from prober.stats.aggregates import Aggregate, add_run
from prober.tokens.state_machine import TokenRecord
from prober.tokens.store import FILE_NAME as LEDGER
from prober.tokens.store import TokenStore
from prober.version import current_version
from tests.fixtures.state.write import RECORDS
from tests.unit.stats.factories import NOW, a_run

STATES = Path(__file__).parents[1] / "fixtures" / "state"
VERSIONS = sorted(path.name for path in STATES.iterdir() if (path / LEDGER).exists())


def unexpected(path: Path, why: str) -> None:
    pytest.fail(f"{path} was set aside: {why}")


@pytest.fixture(params=VERSIONS)
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a copy of what a version left behind."""
    return shutil.copytree(STATES / request.param, tmp_path / "state")


def test_the_present_version_has_left_its_state_here() -> None:
    assert current_version().version in VERSIONS
    for version in VERSIONS:
        assert sum(file.stat().st_size for file in (STATES / version).iterdir()) < 200_000


def test_what_was_known_of_tokens_is_known_and_added_to(state: Path) -> None:
    file = TokenStore.open(state, unexpected)
    key = file.key
    assert file.records() == RECORDS
    assert file.records()["acme"].cause is RejectionCause.SUPERSEDED
    file.save({"new": TokenRecord(TokenState.UNVERIFIED, "00000001")})
    file.close()

    again = TokenStore.open(state, unexpected)
    assert again.key == key
    assert again.records().keys() == {*RECORDS, "new"}
    again.close()


def test_the_past_is_read_as_it_was(state: Path) -> None:
    HistoryWriter.open(state, unexpected).close()  # as the daemon does before anybody reads
    archive = HistoryReader(state)

    minutes = archive.aggregates("dev", NOW, NOW + HOUR_SECONDS, 60)["sources"]
    assert list(minutes) == [NOW + 60 * minute for minute in range(60)]
    run = a_run(probe="sources", tenant="dev", server=0.2, network=0.03)
    assert list(minutes.values()) == [add_run(Aggregate(), run)] * 60
    totals = archive.totals("acme", NOW, NOW + 2 * HOUR_SECONDS)["datasets"]
    assert totals.by_reason_and_culprit == {
        (Reason.OK, Culprit.NONE): 85,
        (Reason.SERVER_ERROR, Culprit.PLATFORM): 5,
    }
    assert totals.paused == 1
    (incident,) = archive.streaks(NOW, NOW + 2 * HOUR_SECONDS, "acme")
    assert (incident.reason, incident.culprit) == (Reason.SERVER_ERROR, Culprit.PLATFORM)
    assert incident.failures == 5
    assert (incident.started_at, incident.ended_at) == (NOW + 3000, NOW + 3300)
    failures = archive.failures("acme", NOW, limit=9)
    assert [failure.at - NOW for failure in failures] == [3240, 3180, 3120, 3060, 3000]
    assert {failure.culprit for failure in failures} == {Culprit.PLATFORM}
    assert failures[0].document["verdict"]["reason"] == "server_error"
    changes = archive.verdict_changes("acme", NOW, limit=9)
    assert [change.reason for change in changes] == [Reason.OK, Reason.SERVER_ERROR, Reason.OK]
    (event,) = archive.token_events("acme", limit=9)
    assert (event.kind, event.fingerprint) == (TokenEventKind.REJECTED, "0badc0de")
    assert archive.bucket_totals(NOW, NOW + 2 * HOUR_SECONDS)["acme"].paused == 1
    assert archive.oldest() == NOW


def test_what_was_going_on_goes_on_and_new_runs_are_added(state: Path) -> None:
    file = HistoryWriter.open(state, unexpected)
    file.write([RunEntry(a_run(5460.0, Reason.DNS, probe="sources", tenant="dev"))])
    file.write([RunEntry(a_run(5520.0, probe="sources", tenant="dev"))])
    assert (
        file.pack_hours(NOW + 2 * HOUR_SECONDS, 9) == 2
    )  # the hour that the old version had begun
    file.close()

    archive = HistoryReader(state)
    (incident,) = archive.streaks(NOW, NOW + 2 * HOUR_SECONDS, "dev")
    assert (incident.reason, incident.failures) == (Reason.DNS, 2)
    assert incident.ended_at == NOW + 5520
    assert archive.totals("dev", NOW, NOW + 2 * HOUR_SECONDS)["sources"].runs == 93


def test_the_file_is_of_the_present_format_afterwards(state: Path) -> None:
    HistoryWriter.open(state, unexpected).close()
    connection = open_to_read(state / HISTORY, FORMAT)
    assert connection is not None
    assert connection.execute("PRAGMA user_version").fetchone() == (FORMAT.version,)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
