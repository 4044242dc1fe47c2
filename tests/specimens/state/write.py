"""Write the state that the present version leaves behind, once, when a version is released.

`python -m tests.specimens.state.write` makes `tests/specimens/state/<version>/`. What was written
by a version that is out is never written again: it shows that the next one can read it. The past
told here is the one that `tests/integration/test_upgrade.py` expects.
"""

import sys
from pathlib import Path

from prober.build import this_build
from prober.credential import TokenEvent, TokenSource, TokenSourceKind, TokenStatus
from prober.history.file import HOUR, HistoryFile, Ran, Skipped
from prober.outcomes import Reason, RejectionCause, SkipCause, TokenEventKind, TokenState
from prober.tokens.ledger import TokenRecord
from prober.tokens.store import LedgerFile
from tests.unit.recorders.results import an_answer
from tests.unit.timeline.runs import NOW, a_run

BROKE_AT, MENDED_AT = 3000.0, 3300.0  # for five minutes the platform answered 500
MINUTES = 90
SOURCE = TokenSource(TokenSourceKind.FILE, "/run/credentials/prober.service/acme")
RECORDS = {
    "acme": TokenRecord(
        TokenState.REJECTED,
        "0badc0de",
        loaded_at=NOW,
        stated_expiry=NOW + 86_400,
        first_accepted_at=NOW + 10,
        last_accepted_at=NOW + 5000,
        rejected_since=NOW + 5060,
        cause=RejectionCause.SUPERSEDED,
        refused_probe="datasets",
        contradicted=frozenset({"sources", "projects"}),
        canaries=2,
        next_canary_at=NOW + 5300,
        rotations=3,
    ),
    "dev": TokenRecord(TokenState.VALID, "cafe0001", client_secret="5ec2e700", loaded_at=NOW),
    "lab": TokenRecord(problem="the file lab.token does not exist"),
}


def write_ledger(directory: Path) -> None:
    file = LedgerFile.open(directory, _unexpected)
    file.save(RECORDS)
    file.close()


def write_history(directory: Path) -> None:
    """Two probes a minute; the first hour is packed, the rest is still loose."""
    file = HistoryFile.open(directory, _unexpected)
    status = TokenStatus("acme", SOURCE, TokenState.REJECTED, "0badc0de")
    for minute in range(MINUTES):
        at = 60.0 * minute
        reason = Reason.SERVER_ERROR if BROKE_AT <= at < MENDED_AT else Reason.OK
        failure = None if reason is Reason.OK else an_answer(reason, status=500)
        entries: list[Ran | Skipped | TokenEvent] = [
            Ran(a_run(at, reason, server=0.1, network=0.02), failure),
            Ran(a_run(at, probe="sources", tenant="dev", server=0.2, network=0.03)),
        ]
        file.write(entries)
    file.write(
        [
            Skipped("acme", "datasets", NOW + 5100, SkipCause.TOKEN_REJECTED),
            TokenEvent(TokenEventKind.REJECTED, NOW + 5060, status),
            Ran(a_run(5400.0, Reason.DNS, probe="sources", tenant="dev"), None),  # goes on
        ]
    )
    file.pack_hours(NOW + HOUR, 9)
    file.close()


def _unexpected(path: Path, why: str) -> None:
    raise SystemExit(f"{path} was set aside: {why}")


def main() -> None:
    directory = Path(__file__).parent / this_build().version
    if directory.exists():
        sys.exit(f"{directory} is there: what a version has written is never written again")
    directory.mkdir()
    write_ledger(directory)
    write_history(directory)


if __name__ == "__main__":
    main()
