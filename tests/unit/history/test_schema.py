import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from prober.history.reader import HistoryReader
from prober.history.schema import FILE_NAME, FORMAT, migrate, split_statements
from prober.outcomes import Culprit
from prober.render.documents import bucket_document
from prober.sqlite import open_to_write
from tests.unit.history.test_writer import BAD, ran, written
from tests.unit.stats.factories import NOW

RELEASED = {
    "0001_begin.sql": "b7f3a8e4637fb04c9e3e95d8c787719f1ef817db4660cbbf678d6df63da31f73",
    "0002_slow_answers.sql": "0ec5439ecfd761b3e922d6315b0f351422ee55f47b6463302dccdc21d904647e",
    "0003_names.sql": "9cafad341c5a4f10c92672363ed2cbaa2e2454b3d259ac20e7d0746da31e09f7",
    "0004_culprits.sql": "280a94c1a610d1d622c6c5fcd1804e18c2d1222a4c06953880d1599bc39e253c",
    "0005_own_time.sql": "e18888f5bbf1ac758959bd5a8287cb619992ecb21ebf71b5c677b18c01b31668",
    "0006_probe_values.sql": "21a493faac8a51fc5cb0d7b4c9547b5f64394c95f991643ab33af18c6072fc5f",
    "0007_published_status.sql": "11bb77373eac758b5af0e0b43874bf7a8ba19089b4daa286a9de475c6a7ac8e6",
}


def test_no_migration_is_edited_once_files_were_written_with_it() -> None:
    scripts = files("prober.history").joinpath("migrations").iterdir()
    found = {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in scripts}
    assert found == RELEASED
    assert FORMAT.version == len(RELEASED)


def test_a_script_falls_into_statements_also_where_a_comment_has_a_semicolon() -> None:
    script = "-- one; two\nCREATE TABLE a (\n  b TEXT\n);\nCREATE INDEX c ON a (b);\n"
    assert len(split_statements(script)) == 2


@contextmanager
def written_by_version(number: int, directory: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection to a new file of an earlier version."""
    earlier = replace(FORMAT, migrations=FORMAT.migrations[:number])
    with open_to_write(directory / FILE_NAME, earlier, never) as connection:
        yield connection
    connection.close()


def insert_streak(connection: sqlite3.Connection, reason: str, rule: str) -> None:
    """Insert a streak into a file of the first version."""
    connection.execute("INSERT INTO probe VALUES (1, 'acme', 'datasets')")
    streak = "INSERT INTO spell VALUES (1, 1, ?, ?, '', ?, ?, ?, 3, 0)"
    connection.execute(streak, (reason, rule, NOW, NOW, NOW))


def write_the_first_version(directory: Path) -> None:
    with written_by_version(1, directory) as connection:
        insert_streak(connection, "dns", "2")


def never(path: Path, why: str) -> None:
    pytest.fail(f"{path} was set aside: {why}")


def test_a_file_of_the_first_version_is_brought_up_to_date_with_all_it_holds(
    tmp_path: Path,
) -> None:
    write_the_first_version(tmp_path)
    written(tmp_path, [ran(60.0, BAD, server=0.5, network=0.1, own=0.002)])
    [before, after] = HistoryReader(tmp_path).streaks(NOW, NOW + 99)
    assert (before.failures, after.reason) == (3, BAD)
    [slow] = HistoryReader(tmp_path).slow_requests("acme", NOW, NOW + 99, limit=9)
    assert (slow.at, slow.server_seconds, slow.own_seconds) == (NOW + 60, 0.5, 0.002)


def test_own_time_of_what_was_recorded_before_it_was_kept_is_unknown(tmp_path: Path) -> None:
    with written_by_version(3, tmp_path) as connection:
        columns = "tenant, start, none, credential, request, platform, network, undecided, prober,"
        columns += " paused, in_maintenance, splits, server_seconds, network_seconds"
        marks = ", ".join("?" * 14)
        connection.execute(
            f"INSERT INTO time_bucket ({columns}) VALUES ({marks})",  # noqa: S608 -- our columns
            ("acme", int(NOW), 2, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0.5, 0.25),
        )
        connection.execute(
            "INSERT INTO slow_request VALUES (1, 'acme', ?, 'datasets', ?, 'ok', 0.5, 0.1, '{}')",
            (int(NOW // 86_400), NOW),
        )
    migrate(tmp_path, never)
    reader = HistoryReader(tmp_path)
    bucket = bucket_document(int(NOW), reader.buckets(NOW)["acme"][int(NOW)])
    assert (bucket.server_seconds, bucket.own_seconds) == (0.25, None)
    [slow] = reader.slow_requests("acme", NOW, NOW + 99, limit=9)
    assert (slow.network_seconds, slow.own_seconds) == (0.1, None)


def test_failed_expectations_of_the_first_version_stay_the_platforms(tmp_path: Path) -> None:
    with written_by_version(1, tmp_path) as connection:
        insert_streak(connection, "expectation_failed", "13")
        failure = "INSERT INTO failure VALUES (1, 1, ?, 'expectation_failed', ?)"
        connection.execute(failure, (NOW, b""))
    migrate(tmp_path, never)
    history = HistoryReader(tmp_path)
    [streak] = history.streaks(NOW, NOW + 99)
    [failed] = history.failure_summaries("acme", NOW, NOW + 99, limit=9)
    assert (streak.culprit, failed.culprit) == (Culprit.PLATFORM, Culprit.PLATFORM)


def test_a_file_of_the_first_version_can_be_read_before_anything_is_written(
    tmp_path: Path,
) -> None:
    migrate(tmp_path, never)
    assert not (tmp_path / FILE_NAME).exists()
    write_the_first_version(tmp_path)
    assert HistoryReader(tmp_path).streaks(NOW, NOW + 99) == ()
    migrate(tmp_path, never)
    assert len(HistoryReader(tmp_path).streaks(NOW, NOW + 99)) == 1
