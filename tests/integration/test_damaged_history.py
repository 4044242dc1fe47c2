"""Whatever a history holds: no traceback, no stop, and the rest of it is shown."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from prober.history.reader import HistoryReader
from prober.history.schema import FILE_NAME
from prober.history.writer import HistoryWriter
from prober.outcomes import Reason
from tests.unit.history.test_writer import a_file, ran
from tests.unit.stats.factories import NOW

TABLES = (
    "probe", "minute", "hour", "hour_detail", "time_bucket", "failure", "verdict_change",
    "failure_streak", "token_event", "slow_request", "retention_horizon",
)  # fmt: skip
VALUES = (
    "unknown",
    b"\xff\x00",
    -1,
    1e300,
    "",
    b"",
    2**62,
    b"\xed\xa0\xbd",
)


def written(directory: Path) -> None:
    file = a_file(directory)
    reasons = (Reason.SERVER_ERROR, Reason.OK)
    file.write([ran(60.0 * n, reasons[n // 5 % 2], server=0.1) for n in range(200)])
    file.pack_hours(NOW + 2 * 3600, 99)
    file.close()


def cells(directory: Path) -> Iterator[tuple[str, str]]:
    with closing(sqlite3.connect(directory / FILE_NAME)) as connection:
        for table in TABLES:
            for row in connection.execute(f"PRAGMA table_info({table})"):
                yield table, row[1]


def asked(directory: Path) -> None:
    reader = HistoryReader(directory)
    for ask in (
        lambda: reader.aggregates("acme", NOW - 9999, NOW + 99_999, 3600),
        lambda: reader.aggregates("acme", NOW - 9999, NOW + 99_999, 60),
        lambda: reader.totals("acme", NOW - 9999, NOW + 99_999),
        lambda: reader.buckets(0.0),
        lambda: reader.bucket_totals(0.0, NOW + 99_999),
        lambda: reader.streaks(0.0, NOW + 99_999),
        lambda: reader.failures("acme", 0.0, limit=99),
        lambda: reader.failure(1),
        lambda: reader.verdict_changes("acme", 0.0, limit=99),
        lambda: reader.token_events("acme", limit=99),
        reader.oldest,
        lambda: reader.failure_summaries("acme", 0.0, NOW + 99_999, limit=99),
        lambda: reader.failure_documents(range(1, 99)),
        lambda: reader.slow_requests("acme", 0.0, NOW + 99_999, limit=99),
        lambda: reader.recorded_buckets(0.0, NOW + 99_999),
        reader.retention_horizon,
    ):
        try:
            ask()
        except OSError:
            continue  # the pages say so, with a 503


def reopened(directory: Path) -> list[str]:
    why: list[str] = []
    file = HistoryWriter.open(directory, lambda _path, reason: why.append(reason))
    file.write([ran(60.0 * 190, server=0.1), ran(99_000.0)])
    file.pack_hours(NOW + 99_999, 99)
    file.close()
    return why


@pytest.mark.parametrize("seed", range(12))
def test_no_damage_of_a_cell_ends_in_a_traceback(tmp_path: Path, seed: int) -> None:
    written(tmp_path)
    chance = random.Random(seed)  # noqa: S311 -- a test's
    every = list(cells(tmp_path))
    for table, column in chance.sample(every, 12):
        value = chance.choice(VALUES)
        with (
            suppress(sqlite3.IntegrityError),
            closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection,
            connection,
        ):
            connection.execute(
                f"UPDATE OR IGNORE {table} SET {column} = ? WHERE rowid % 3 = 0"  # noqa: S608
                if table
                not in {"minute", "hour", "hour_detail", "time_bucket", "retention_horizon"}
                else f"UPDATE OR IGNORE {table} SET {column} = ?",  # noqa: S608
                (value,),
            )
    asked(tmp_path)
    reopened(tmp_path)
    asked(tmp_path)


@pytest.mark.parametrize("table", TABLES)
def test_a_history_without_one_of_its_tables_is_set_aside(tmp_path: Path, table: str) -> None:
    written(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection, connection:
        connection.execute(f"DROP TABLE {table}")
    asked(tmp_path)
    assert reopened(tmp_path) == [f"it lacks {table}"]
    asked(tmp_path)


def test_a_streak_with_a_reason_of_a_later_prober_stops_nothing(tmp_path: Path) -> None:
    written(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection, connection:
        connection.execute(
            "UPDATE failure_streak SET reason = 'of_tomorrow', ended_at = NULL WHERE id = 1"
        )
        connection.execute("UPDATE verdict_change SET reason = 'of_tomorrow' WHERE id = 1")
        connection.execute("UPDATE failure SET reason = 'of_tomorrow' WHERE id = 1")
    before = len(HistoryReader(tmp_path).streaks(0.0, NOW + 99_999))
    assert before > 1
    assert reopened(tmp_path) == []
    assert len(HistoryReader(tmp_path).failures("acme", 0.0, limit=999)) > 1
