"""The directory for state that survives a restart; one prober at a time may use it."""

import fcntl
import os
from pathlib import Path
from typing import Self

from prober.errors import StateDirectoryError

_LOCK_NAME = "lock"


class StateDirectory:
    """An existing, private directory that is locked for this process until `close`."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def acquire(cls, path: Path) -> Self:
        """Create the directory if necessary, and lock it.

        Raises StateDirectoryError if another prober uses it, OSError if it is not writable.
        """
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path / _LOCK_NAME, os.O_CREAT | os.O_RDWR, 0o600)
        # flock and no existence check: the kernel drops the lock with the process, so a crash never
        # leaves a stale one behind.
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(lock, 32).decode("ascii", "replace").strip()
            os.close(lock)
            raise StateDirectoryError(
                f"the state directory {path} is in use by another prober (process {owner}): stop"
                " it, or set state.directory to another directory"
            ) from None
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
        return cls(path, lock)

    def close(self) -> None:
        """Release the lock."""
        os.close(self._lock)
