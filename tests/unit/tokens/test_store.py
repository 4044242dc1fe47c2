"""The token store: what was saved is read, and no file keeps the daemon from starting."""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prober.outcomes import RejectionCause, TokenState
from prober.tokens.state_machine import TokenRecord
from prober.tokens.store import FILE_NAME, TokenStore

KILLS = 40
RECORD = TokenRecord(
    TokenState.REJECTED,
    "0badc0de",
    first_accepted_at=1.5,
    cause=RejectionCause.SUPERSEDED,
    contradicted=frozenset({"datasets", "sources"}),
    rotations=3,
)
moments = st.none() | st.floats(0, 4e9)
records = st.builds(
    TokenRecord,
    st.sampled_from(TokenState),
    st.none() | st.text(max_size=8),
    loaded_at=moments,
    stated_expiry=moments,
    last_accepted_at=moments,
    cause=st.none() | st.sampled_from(RejectionCause),
    contradicted=st.frozensets(st.text(max_size=5), max_size=3),
    rotations=st.integers(0, 10**6),
)


def unexpected(path: Path, why: str) -> None:
    raise AssertionError(f"{path} was set aside: {why}")


@settings(max_examples=settings().max_examples // 4)  # each syncs two files to the disk
@given(saved=st.dictionaries(st.text(max_size=8), records, max_size=4))
def test_what_was_saved_is_read(
    tmp_path_factory: pytest.TempPathFactory, saved: dict[str, TokenRecord]
) -> None:
    directory = tmp_path_factory.mktemp("ledger")
    file = TokenStore.open(directory, unexpected)
    file.save(saved)
    file.close()

    again = TokenStore.open(directory, unexpected)
    assert (again.records(), again.key) == (saved, file.key)
    again.close()


def test_nobody_else_may_read_it_and_its_key_is_its_own(tmp_path: Path) -> None:
    one = TokenStore.open(tmp_path, unexpected)
    (tmp_path / "other").mkdir()
    other = TokenStore.open(tmp_path / "other", unexpected)

    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert len(one.key) == 32
    assert one.key != other.key
    one.close()
    other.close()


def test_a_reader_sees_what_a_daemon_has_saved_while_it_runs(tmp_path: Path) -> None:
    assert TokenStore.read(tmp_path) is None
    writer = TokenStore.open(tmp_path, unexpected)
    writer.save({"acme": RECORD})

    reader = TokenStore.read(tmp_path)
    assert reader is not None
    assert (reader.records(), reader.key) == ({"acme": RECORD}, writer.key)
    with pytest.raises(OSError, match="readonly"):
        reader.save({"acme": RECORD})
    reader.close()
    writer.close()


def of_noise(path: Path) -> None:
    path.write_bytes(b"\x00\xffnot a database" * 400)


def of_another_program(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE token (tenant TEXT)")
    connection.close()


def of_a_later_version(path: Path) -> None:
    TokenStore.open(path.parent, unexpected).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 9")
    connection.close()


def of_a_key_that_is_text(path: Path) -> None:
    TokenStore.open(path.parent, unexpected).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE fingerprint_key SET key = 'text'")
    connection.close()


def of_half_its_pages(path: Path) -> None:
    file = TokenStore.open(path.parent, unexpected)
    file.save({f"tenant-{number}": RECORD for number in range(200)})
    file.close()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("make", "reported"),
    [
        (of_noise, "it is corrupt: file is not a database"),
        (of_another_program, "it is not a token store of prober"),
        (of_a_later_version, "its version is 9, this prober writes version 1"),
        (of_half_its_pages, "it is corrupt: database disk image is malformed"),
        (of_a_key_that_is_text, "it is corrupt: its key is missing"),
    ],
)
def test_a_file_that_is_not_ours_to_use_is_set_aside(
    tmp_path: Path, make: Callable[[Path], None], reported: str
) -> None:
    path = tmp_path / FILE_NAME
    make(path)
    content = path.read_bytes()
    assert TokenStore.read(tmp_path) is None

    quarantined: list[tuple[Path, str]] = []
    file = TokenStore.open(tmp_path, lambda *quarantine: quarantined.append(quarantine))
    file.save({"acme": RECORD})

    aside = tmp_path / f"{FILE_NAME}.aside-1"
    assert quarantined == [(aside, reported)]
    assert aside.read_bytes() == content
    assert file.records() == {"acme": RECORD}
    file.close()
    file.close()


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"state": "asleep"}', '{"state": 1, "cause": 2}']
)
def test_a_record_that_makes_no_sense_is_left_out(tmp_path: Path, text: str) -> None:
    file = TokenStore.open(tmp_path, unexpected)
    file.save({"acme": RECORD})
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("INSERT INTO token VALUES ('other', ?)", (text,))
    connection.close()

    assert file.records() == {"acme": RECORD}
    file.close()


def test_a_record_that_is_no_text_is_left_out(tmp_path: Path) -> None:
    file = TokenStore.open(tmp_path, unexpected)
    file.save({"acme": RECORD})
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("INSERT INTO token VALUES ('other', CAST(x'ff' AS TEXT))")
        connection.execute("INSERT INTO token VALUES (CAST(x'fe' AS TEXT), 'name')")
    connection.close()

    assert file.records() == {"acme": RECORD}
    file.close()


def test_a_directory_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file or directory"):
        TokenStore.open(tmp_path / "none", unexpected)


class SlowConnection:
    """A connection with writes that wait until they may go on; it notes the order of calls."""

    def __init__(self) -> None:
        self.writing, self.may_write = threading.Event(), threading.Event()
        self.calls: list[str] = []
        self.text_factory: object = None

    def execute(self, _sql: str) -> "SlowConnection":
        return self

    def fetchone(self) -> tuple[bytes]:
        return (b"key",)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_error: object) -> None:
        self.calls.append("saved")

    def executemany(self, _sql: str, _rows: object) -> None:
        self.writing.set()
        assert self.may_write.wait(60)

    def close(self) -> None:
        self.calls.append("closed")


def test_a_connection_is_not_closed_while_a_thread_writes() -> None:
    """A save that is cancelled goes on in its thread; to close under it ended the process."""
    connection = SlowConnection()
    store = TokenStore(cast("sqlite3.Connection", connection))
    saving = threading.Thread(target=store.save, args=({"acme": RECORD},))
    closing = threading.Thread(target=store.close)
    saving.start()
    assert connection.writing.wait(60)
    closing.start()
    closing.join(0.05)  # it would have closed by now; if it is late, the test cannot fail wrongly
    connection.may_write.set()
    saving.join(60)
    closing.join(60)
    assert connection.calls == ["saved", "closed"]
