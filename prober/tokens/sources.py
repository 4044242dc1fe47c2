"""Reads tokens and client secrets from environment variables and files, and watches for changes.

A file may be read while somebody writes it. So a reading is accepted only if the file has not been
changed for a while, or if later readings show the same: see `is_stable`.
"""

import asyncio
import errno
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from prober.errors import TokenUnavailableError
from prober.file_changes import FileChanges
from prober.file_signature import Signature, stat_signature
from prober.models import TokenSource, TokenSourceKind

_QUOTES = frozenset("\"'`\u201c\u201d\u2018\u2019")
_ASSIGNMENT = re.compile(r"(export\s+)?[A-Z][A-Z0-9_]*_[A-Z0-9_]*\s*=\s*[^=\s]")
MAX_TOKEN_BYTES = 16 * 1024
_RESOURCE_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
STABLE_SECONDS = 0.25
"""How long a file must be unchanged. A writer is assumed to pause for less than this."""


@dataclass(frozen=True, slots=True)
class SourceReading:
    """The content of a source at one time: a secret, or the `problem` why there is none.

    `signature` changes with the file. `changed_at` is when the file last changed, in epoch seconds;
    None if unknown, so that only later readings can confirm this one.
    """

    secret: SecretStr | None = None
    problem: str = ""
    signature: Signature = ()
    changed_at: float | None = None

    def same_content(self, other: "SourceReading") -> bool:
        """Return whether another reading has the same content, whatever happened to the file."""
        return (self.secret, self.problem) == (other.secret, other.problem)


class SecretSource(Protocol):
    """A place that a secret is read from."""

    def read(self, known: SourceReading | None) -> SourceReading:
        """Return the present reading, or `known` itself if the source is unchanged. May block."""
        ...


def is_stable(reading: SourceReading, seen_since: float, now: float) -> bool:
    """Return whether a reading may be accepted that has been the same since `seen_since`. Pure."""
    if now - seen_since >= STABLE_SECONDS:
        return True
    return reading.changed_at is not None and now - reading.changed_at >= STABLE_SECONDS


def parse_token(content: bytes, where: str) -> SecretStr:
    """Return the token in `content`: one line; a BOM and surrounding white space are ignored.

    Raises TokenUnavailableError. Its text never contains what was read, since that may be a secret.
    """
    if len(content) > MAX_TOKEN_BYTES:
        raise TokenUnavailableError(f"{where} is longer than {MAX_TOKEN_BYTES} bytes")
    try:
        text = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise TokenUnavailableError(f"{where} is not UTF-8 text") from None
    if not text:
        raise TokenUnavailableError(f"{where} is empty: write the token into it")
    if text[0] in _QUOTES or text[-1] in _QUOTES:
        raise TokenUnavailableError(f"{where} has quotes: write the token without them")
    if text.lower().startswith("bearer "):
        raise TokenUnavailableError(f"{where} begins with 'Bearer': write the token alone")
    if _ASSIGNMENT.match(text):
        raise TokenUnavailableError(f"{where} has the form NAME=value: write the value alone")
    if any(character.isspace() for character in text):
        raise TokenUnavailableError(f"{where} contains white space: only one token is allowed")
    if not (text.isascii() and text.isprintable()):
        raise TokenUnavailableError(
            f"{where} has characters that are not allowed in an HTTP header"
        )
    return SecretStr(text)


class EnvironmentSource:
    """A secret in an environment variable."""

    def __init__(self, variable: str, environ: Mapping[str, str]) -> None:
        self._variable = variable
        self._environ = environ

    def read(self, known: SourceReading | None) -> SourceReading:  # noqa: ARG002 -- nothing to save
        """See `SecretSource`."""
        value = self._environ.get(self._variable)
        where = f"the environment variable {self._variable}"
        if value is None:
            return SourceReading(problem=f"{where} is not set", changed_at=0.0)
        # 0.0: unchanged since the process started, and never half written, so stable at once.
        return _reading(value.encode("utf-8", "surrogateescape"), where, (), 0.0)


class FileSource:
    """A secret in a file; symbolic links are followed. Read again only if the file has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, known: SourceReading | None) -> SourceReading:
        """See `SecretSource`."""
        where = f"the token file {self._path}"
        try:
            if not stat.S_ISREG(self._path.stat().st_mode):  # opening a pipe could block forever
                return SourceReading(problem=f"{where} is not a regular file")
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                signature, changed_at = stat_signature(status), status.st_ctime
                if known is not None and known.signature == signature:
                    return known
                content = file.read(MAX_TOKEN_BYTES + 1)
        except ValueError:  # a null character in the path
            return SourceReading(problem=f"{where!r} is not a path")
        except OSError as error:
            if error.errno in _RESOURCE_ERRNOS and known is not None:
                return known  # out of descriptors or memory: says nothing about the file
            return SourceReading(problem=f"{where} cannot be read: {error.strerror}")
        return _reading(content, where, signature, changed_at)


def open_source(source: TokenSource, environ: Mapping[str, str]) -> SecretSource:
    """Return the source of a token, or for OAuth that of the client's secret."""
    stored = source if source.client is None else source.client.secret
    if stored.kind is TokenSourceKind.ENVIRONMENT:
        return EnvironmentSource(stored.location, environ)
    return FileSource(Path(stored.location))


def _watched_file(source: TokenSource) -> Path | None:
    stored = source if source.client is None else source.client.secret
    return Path(stored.location) if stored.kind is TokenSourceKind.FILE else None


def _reading(content: bytes, where: str, signature: Signature, changed_at: float) -> SourceReading:
    try:
        return SourceReading(parse_token(content, where), "", signature, changed_at)
    except TokenUnavailableError as error:
        # An empty or unusable file is often about to be written: wait for a second reading.
        return SourceReading(None, str(error), signature, None)


_MAX_POLLS = 12
"""How often one source is read in a row while it keeps changing: for three seconds."""


def _read_guarded(source: SecretSource, known: SourceReading | None) -> SourceReading:
    """Read a source; an exception must not keep other sources from being read."""
    try:
        return source.read(known)
    except Exception as error:  # noqa: BLE001 -- it becomes a problem of this source alone
        return SourceReading(problem=f"it cannot be read: {type(error).__name__}")


class SourceWatcher:
    """Reads the sources of all tenants, and calls `on_change(tenant, reading)` for new content.

    Files are read in a thread. Concurrent requests for one source share one read. `now` returns
    epoch seconds.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        now: Callable[[], float],
        on_change: Callable[[str, SourceReading], None],
    ) -> None:
        self._environ = environ
        self._now = now
        self._on_change = on_change
        self._sources: dict[str, SecretSource] = {}
        self._accepted: dict[str, SourceReading] = {}
        self._seen_since: dict[str, tuple[SourceReading, float]] = {}
        self._read_tasks: dict[str, asyncio.Task[None]] = {}
        self._files: dict[str, Path] = {}
        self._file_changes = FileChanges()

    def add(self, tenant: str, source: TokenSource) -> None:
        """Watch a source; it replaces the previous one of the tenant."""
        self.drop(tenant)
        self._sources[tenant] = open_source(source, self._environ)
        file = _watched_file(source)
        if file is not None:
            self._files[tenant] = file

    def drop(self, tenant: str) -> None:
        """Stop watching a tenant's source."""
        for known in (self._sources, self._accepted, self._seen_since, self._files):
            known.pop(tenant, None)

    def close(self) -> None:
        """Stop watching all files."""
        self._file_changes.close()

    def accepted(self, tenant: str) -> SourceReading | None:
        """Return the accepted reading of a source; None before it was first read."""
        return self._accepted.get(tenant)

    async def current(self, tenant: str) -> SourceReading:
        """Return the accepted reading of a source; waits only if it was never read before."""
        if tenant not in self._accepted and tenant in self._sources:
            await self.read(tenant)
        return self._accepted.get(tenant, SourceReading(problem="it has not been read yet"))

    async def load(self) -> None:
        """Read every source until it is stable; accept what there is if one keeps changing."""
        for _ in range(_MAX_POLLS):
            await self.poll()
            if self._accepted.keys() == self._sources.keys():
                return
            await asyncio.sleep(STABLE_SECONDS)
        for tenant in self._sources.keys() - self._accepted.keys():
            self._accept(tenant, self._seen_since[tenant][0])

    async def poll(self, tenants: Iterable[str] | None = None) -> None:
        """Read these sources once; None: all of them."""
        names = list(self._sources if tenants is None else tenants)
        to_read = [
            (name, self._sources[name], self._accepted.get(name))
            for name in names
            if name in self._sources
        ]
        readings = await asyncio.to_thread(
            lambda: [_read_guarded(source, known) for _, source, known in to_read]
        )
        for (name, source, _), reading in zip(to_read, readings, strict=True):
            if self._sources.get(name) is source:  # else a reload has removed it meanwhile
                self._on_reading(name, reading)

    async def poll_all(self, seconds: float) -> None:
        """Read all sources after `seconds`, or before if a change of a file is notified."""
        await self._file_changes.watch(self._files.values())
        changed = await self._file_changes.wait(seconds)
        if changed:
            await self._read([name for name, file in self._files.items() if file in changed])
        await self.poll()

    async def _read(self, tenants: Sequence[str]) -> None:
        """Read these sources until their present content is accepted."""
        names = tenants
        for _ in range(_MAX_POLLS):
            await self.poll(names)
            names = [name for name in names if not self._is_accepted(name)]
            if not names:
                return
            await asyncio.sleep(STABLE_SECONDS)

    def _is_accepted(self, tenant: str) -> bool:
        seen = self._seen_since.get(tenant)
        return seen is None or seen[0] == self._accepted.get(tenant)

    async def read(self, tenant: str) -> None:
        """Read a source until its present content is accepted."""
        task = self._read_tasks.get(tenant)
        if task is None:
            task = asyncio.create_task(self._read([tenant]), name=f"read token of {tenant}")
            self._read_tasks[tenant] = task
            task.add_done_callback(lambda _: self._read_tasks.pop(tenant))
        # Shielded, since others may wait for the same read when this caller is cancelled.
        await asyncio.shield(task)

    def _on_reading(self, tenant: str, reading: SourceReading) -> None:
        now = self._now()
        last, since = self._seen_since.get(tenant, (reading, now))
        # The usual case: an unchanged source returns the very same object.
        if reading is last and reading is self._accepted.get(tenant):
            return
        since = since if last == reading else now
        self._seen_since[tenant] = reading, since
        if is_stable(reading, since, now):
            self._accept(tenant, reading)

    def _accept(self, tenant: str, reading: SourceReading) -> None:
        before = self._accepted.get(tenant)
        self._accepted[tenant] = reading
        # A file that was written again with the same token is no change.
        if before is None or not before.same_content(reading):
            self._on_change(tenant, reading)
