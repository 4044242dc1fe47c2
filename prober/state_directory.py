"""The directory for state that survives a restart; one prober at a time may use it.

While a prober runs, a file in it names the address that it serves, for commands on the same
machine: the configuration on disk may have been edited since, or be invalid by now.
"""

import errno
import fcntl
import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import Self

from prober.errors import StateDirectoryError

_LOCK_NAME = "lock"
_ADDRESS_NAME = "address"
_ADDRESS = re.compile(
    r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}(?:/[A-Za-z0-9._~-]+)*"
)
_MAX_ADDRESS_BYTES = 512


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
        try:
            os.ftruncate(lock, 0)
            os.write(lock, f"{os.getpid()}\n".encode())
        except OSError:  # a full disk: without this the next try would find the lock taken
            os.close(lock)
            raise
        return cls(path, lock)

    def write_address(self, url: str) -> None:
        """Save the URL of the web server; raises OSError."""
        file, new = self.path / _ADDRESS_NAME, self.path / f"{_ADDRESS_NAME}.new"
        flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK
        written = os.open(new, flags, 0o600)
        try:
            os.write(written, f"{url}\n".encode())
        finally:
            os.close(written)
        new.replace(file)  # a reader sees the old address or the new one, and no half of it

    def close(self) -> None:
        """Remove the address and release the lock."""
        with suppress(OSError):
            (self.path / _ADDRESS_NAME).unlink()
        os.close(self._lock)


def read_address(directory: Path) -> str | None:
    """Return the URL that the prober with this state directory serves; None if none is known.

    A prober that was killed leaves its address behind.
    """
    with suppress(OSError, ValueError):
        file = os.open(directory / _ADDRESS_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if stat.S_ISREG(os.fstat(file).st_mode):
                text = os.read(file, _MAX_ADDRESS_BYTES).decode("ascii").strip()
                return text if _ADDRESS.fullmatch(text) else None
        finally:
            os.close(file)
    return None
