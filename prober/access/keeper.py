"""Holds what web.yml says, and picks up its changes, and those of the files that it names.

A change that cannot be used, or that would open a door, changes nothing and is logged.
"""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import structlog

from prober.access.rules import Access, objection_to_change
from prober.access.tls import server_context
from prober.errors import ProberError
from prober.file_version import Version, file_version

WATCH_SECONDS = 1.0

_Signature = tuple[Version, ...]
"""Of each file: inode, size and time of change; None for one that is not there."""


class AccessKeeper:
    """`access` and `context` are those in force now; a connection made before keeps its own."""

    def __init__(
        self,
        access: Access | None = None,
        reread: Callable[[], Access] | None = None,
        logger: structlog.typing.FilteringBoundLogger | None = None,
        period_seconds: float = WATCH_SECONDS,
    ) -> None:
        """Take what holds at first; raises TlsConfigurationError, `reread` any ProberError."""
        self.access = access or Access()
        self._used = _signature(self.access.files)
        self.context: ssl.SSLContext | None = _context(self.access)
        self._reread = reread
        self._logger = logger or structlog.get_logger("prober")
        self._period_seconds = period_seconds
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch, if there is anything to be watched."""
        if self._reread is not None and self.access.files:
            self._task = asyncio.create_task(self._watch(self._reread), name="web access")

    async def close(self) -> None:
        """Watch no longer."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self, reread: Callable[[], Access]) -> None:
        """Take up a change once the files have been still for a period: no half of one is read."""
        seen = self._used
        while True:
            await asyncio.sleep(self._period_seconds)
            files = self.access.files
            before, seen = seen, await asyncio.to_thread(_signature, files)
            if seen == self._used or seen != before:
                continue
            await self._take_up(reread)
            self._used = seen if self.access.files == files else ()  # of others nothing is known

    async def _take_up(self, reread: Callable[[], Access]) -> None:
        try:
            access, context = await asyncio.to_thread(_opened, reread)
            objection = objection_to_change(self.access, access)
        except ProberError as error:
            objection = str(error)
        if objection is not None:
            self._logger.error("web.access_not_changed", message=f"{objection}; the old stays")
            return
        self.access, self.context = access, context
        self._logger.info("web.access_changed", users=len(access.users), tls=context is not None)


def _opened(reread: Callable[[], Access]) -> tuple[Access, ssl.SSLContext | None]:
    access = reread()
    return access, _context(access)


def _context(access: Access) -> ssl.SSLContext | None:
    return None if access.tls is None else server_context(access.tls)


def _signature(files: tuple[Path, ...]) -> _Signature:
    return tuple(map(file_version, files))
