"""Linux's inotify through ctypes: which entries of directories have changed. See inotify(7).

Python has no module for it. Adding a watch looks up a path, which may block on a network file
system; reading events never blocks.
"""

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_IN_ATTRIB, _IN_CLOSE_WRITE = 0x4, 0x8
_IN_MOVED_FROM, _IN_MOVED_TO = 0x40, 0x80
_IN_CREATE, _IN_DELETE = 0x100, 0x200
_IN_DELETE_SELF, _IN_MOVE_SELF = 0x400, 0x800
_IN_IGNORED, _IN_MASK_ADD = 0x8000, 0x20000000
# Not IN_MODIFY: a log in the same directory would wake the daemon with each of its lines.
_CHANGES = (
    _IN_ATTRIB
    | _IN_CLOSE_WRITE
    | _IN_MOVED_FROM
    | _IN_MOVED_TO
    | _IN_CREATE
    | _IN_DELETE
    | _IN_DELETE_SELF
    | _IN_MOVE_SELF
)
_LEAVES = _IN_DELETE_SELF | _IN_MOVE_SELF
_EVENT = struct.Struct("iIII")  # watch descriptor, mask, cookie, length of the name that follows
_READ_BYTES = 64 * 1024
_OVERFLOW_WATCH = -1


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    """A change of the entry `name` of a watched directory; without a name, of what is watched.

    `watch` is None if the kernel has dropped events: then anything may have changed.
    """

    watch: int | None
    name: str


class Inotify:
    """An inotify instance; raises OSError where the system has none, or no more of them."""

    def __init__(self) -> None:
        try:
            self._libc = ctypes.CDLL(None, use_errno=True)
            self.fd: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        except AttributeError as error:  # no such function: not Linux
            raise OSError("this system has no inotify") from error
        if self.fd < 0:
            raise _last_error()

    def add(self, path: Path, *, only_leaving: bool = False) -> int:
        """Watch a directory or file; return the watch, the same one for the same inode.

        `only_leaving`: all that matters is whether it is moved or deleted, not what is in it.
        """
        mask = (_LEAVES if only_leaving else _CHANGES) | _IN_MASK_ADD
        watch: int = self._libc.inotify_add_watch(self.fd, os.fsencode(path), mask)
        if watch < 0:
            raise _last_error()
        return watch

    def remove(self, watch: int) -> None:
        """Remove a watch, if the kernel has not done so by itself."""
        self._libc.inotify_rm_watch(self.fd, watch)

    def read(self) -> Iterator[ChangeEvent]:
        """Yield the events that have come since the last call."""
        with suppress(BlockingIOError):
            while content := os.read(self.fd, _READ_BYTES):
                yield from parse_events(content)

    def close(self) -> None:
        """Close the instance and all of its watches."""
        os.close(self.fd)


def parse_events(content: bytes) -> Iterator[ChangeEvent]:
    """Yield the events in what was read from an inotify descriptor. Pure.

    The end of a watch is left out: what it follows from, such as a deletion, has its own event.
    """
    at = 0
    while at < len(content):
        watch, mask, _, length = _EVENT.unpack_from(content, at)
        at += _EVENT.size
        name = os.fsdecode(content[at : at + length].rstrip(b"\0"))
        if not mask & _IN_IGNORED:
            yield ChangeEvent(None if watch == _OVERFLOW_WATCH else watch, name)
        at += length


def _last_error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
