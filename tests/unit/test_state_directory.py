import os
from pathlib import Path

import pytest

from prober.errors import StateDirectoryError
from prober.state_directory import StateDirectory


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
