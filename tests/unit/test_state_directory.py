import os
import stat
from pathlib import Path

import pytest

from prober.errors import StateDirectoryError
from prober.state_directory import StateDirectory, read_address


def test_it_is_made_private_and_belongs_to_one(tmp_path: Path) -> None:
    path = tmp_path / "a" / "state"
    one = StateDirectory.acquire(path)
    assert path.stat().st_mode & 0o777 == 0o700
    with pytest.raises(StateDirectoryError, match=r"in use by another prober \(process \d+\)"):
        StateDirectory.acquire(path)
    one.close()
    StateDirectory.acquire(path).close()


def test_what_is_no_directory_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"exists|Not a directory"):
        StateDirectory.acquire(tmp_path / "file")


def test_a_lock_that_is_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    state, victim = tmp_path / "state", tmp_path / "victim"
    state.mkdir()
    victim.write_text("precious")
    (state / "lock").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic link"):
        StateDirectory.acquire(state)
    assert victim.read_text() == "precious"


def test_a_lock_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "lock")
    with pytest.raises(OSError, match="not a regular file"):
        StateDirectory.acquire(tmp_path)


def test_a_disk_that_was_full_can_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: int, _content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        StateDirectory.acquire(tmp_path)
    monkeypatch.undo()
    StateDirectory.acquire(tmp_path).close()


URLS = ("http://127.0.0.1:9824", "https://[::1]:443", "http://prober.example.com:80")


def test_the_address_of_a_prober_is_known_while_it_runs(tmp_path: Path) -> None:
    assert read_address(tmp_path) is None
    directory = StateDirectory.acquire(tmp_path)
    for url in URLS:
        directory.write_address(url)
        assert read_address(tmp_path) == url
    assert stat.S_IMODE((tmp_path / "address").stat().st_mode) == 0o600
    directory.close()
    assert read_address(tmp_path) is None


@pytest.mark.parametrize(
    "content",
    [b"", b"ftp://127.0.0.1:1", b"http://a@b:1", b"http://127.0.0.1:1/x?y", b"\xff", b"x" * 9999],
)
def test_what_is_no_address_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "address").write_bytes(content)
    assert read_address(tmp_path) is None


def test_no_link_and_no_pipe_is_followed_for_an_address(tmp_path: Path) -> None:
    (tmp_path / "other").write_text(URLS[0])
    (tmp_path / "address").symlink_to(tmp_path / "other")
    assert read_address(tmp_path) is None
    (tmp_path / "address").unlink()
    os.mkfifo(tmp_path / "address")
    assert read_address(tmp_path) is None
