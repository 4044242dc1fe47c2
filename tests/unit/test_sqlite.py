import sqlite3
import stat
from pathlib import Path

import pytest

from prober.sqlite import SchemaSpec, open_to_read, open_to_write

ONE = ("CREATE TABLE note (text TEXT)",)
TWO = ("ALTER TABLE note ADD COLUMN at REAL", "UPDATE note SET at = 0")
BROKEN = ("CREATE TABLE other (text TEXT)", "CREATE TABLE note (text TEXT)")


def a_format(*migrations: tuple[str, ...]) -> SchemaSpec:
    return SchemaSpec("notebook", 4711, migrations)


def never(path: Path, why: str) -> None:
    pytest.fail(f"{path} was set aside: {why}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notes.sqlite3"


def test_a_new_file_is_private_and_of_the_last_version(path: Path) -> None:
    connection = open_to_write(path, a_format(ONE, TWO), never)
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    connection.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_of_an_earlier_version_is_brought_up_to_date_with_all_it_holds(path: Path) -> None:
    connection = open_to_write(path, a_format(ONE), never)
    with connection:
        connection.execute("INSERT INTO note VALUES ('kept')")
    connection.close()
    assert open_to_read(path, a_format(ONE, TWO)) is None
    connection = open_to_write(path, a_format(ONE, TWO), never)
    assert connection.execute("SELECT * FROM note").fetchall() == [("kept", 0.0)]
    connection.close()


def test_a_step_that_fails_leaves_the_version_before(path: Path) -> None:
    open_to_write(path, a_format(ONE), never).close()
    with pytest.raises(OSError, match="note already exists"):
        open_to_write(path, a_format(ONE, BROKEN), never)
    connection = open_to_write(path, a_format(ONE), never)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("note",)]
    connection.close()


def test_a_file_of_a_later_version_is_set_aside(path: Path) -> None:
    open_to_write(path, a_format(ONE, TWO), never).close()
    reported: list[tuple[str, str]] = []
    open_to_write(path, a_format(ONE), lambda new, why: reported.append((new.name, why))).close()
    why = "its version is 2, this prober writes version 1"
    assert reported == [("notes.sqlite3.aside-1", why)]


def test_a_file_that_was_just_born_cannot_be_read_yet(path: Path) -> None:
    sqlite3.connect(path).execute("PRAGMA journal_mode = WAL").connection.close()
    assert path.stat().st_size > 0
    assert open_to_read(path, a_format(ONE)) is None
