"""The directory where a prober keeps what must outlive it; one prober at a time owns it."""

import fcntl
import os
from pathlib import Path
from typing import Self

from prober.errors import StateDirectoryError

_LOCK_NAME = "lock"


class StateDirectory:
    """A directory that exists, is private, and belongs to this process until `close`."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def acquire(cls, path: Path) -> Self:
        """Make the directory if need be and take it.

        Raises StateDirectoryError if another prober has it, OSError if it cannot be written.
        """
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path / _LOCK_NAME, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(lock, 32).decode("ascii", "replace").strip()
            os.close(lock)
            raise StateDirectoryError(
                f"the state directory {path} is in use by another prober (process {owner}): end"
                " that one, or set state.directory in this one's configuration to another"
            ) from None
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
        return cls(path, lock)

    def close(self) -> None:
        """Let another prober have it."""
        os.close(self._lock)
