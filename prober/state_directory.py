"""The directory for state that survives a restart; one prober at a time may use it."""

import errno
import fcntl
import os
import stat
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
        # No symbolic link is followed, since its target would be overwritten below. To open a pipe
        # could block, hence O_NONBLOCK.
        flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK
        lock = os.open(path / _LOCK_NAME, flags, 0o600)
        if not stat.S_ISREG(os.fstat(lock).st_mode):
            os.close(lock)
            raise OSError(errno.EINVAL, "is not a regular file", str(path / _LOCK_NAME))
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
