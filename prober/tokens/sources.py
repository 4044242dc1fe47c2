"""Reading secrets where they lie: environment variables and files.

A file may be looked at while it is being written. So a look is believed only when the file has been
left alone for a while, or when later looks show the same: see `is_settled`.

What lies in every tenant's source, as far as it is to be believed.
"""

import asyncio
import errno
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from prober.errors import TokenUnavailableError
from prober.file_signature import stat_signature
from prober.models import TokenSource, TokenSourceKind

_QUOTES = frozenset("\"'`\u201c\u201d\u2018\u2019")
_ASSIGNMENT = re.compile(r"(export\s+)?[A-Z][A-Z0-9_]*_[A-Z0-9_]*\s*=\s*[^=\s]")
MAX_TOKEN_BYTES = 16 * 1024
_RESOURCE_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
STABLE_SECONDS = 0.25
"""How long a file must have been left alone; pauses of a writer are shorter than this."""


@dataclass(frozen=True, slots=True)
class SourceReading:
    """What lay in a source at one look: a secret, or the `problem` that there was none.

    `version` changes with the file. `changed_at` is when it last did, in epoch seconds; None: not
    known, so that only later looks can confirm the first.
    """

    secret: SecretStr | None = None
    problem: str = ""
    version: tuple[int, ...] = ()
    changed_at: float | None = None

    def same_content(self, other: "SourceReading") -> bool:
        """Tell whether another look found the same, whatever became of the file."""
        return (self.secret, self.problem) == (other.secret, other.problem)


class SecretSource(Protocol):
    """Where a secret comes from."""

    def read(self, known: SourceReading | None) -> SourceReading:
        """Return what is there now; `known` itself when nothing has changed since. May block."""
        ...


def is_stable(sighting: SourceReading, seen_since: float, now: float) -> bool:
    """Tell whether a sighting is to be believed that has been the same `seen_since`. Pure."""
    if now - seen_since >= STABLE_SECONDS:
        return True
    return sighting.changed_at is not None and now - sighting.changed_at >= STABLE_SECONDS


def parse_token(content: bytes, where: str) -> SecretStr:
    """Return the token in `content`: one line, a BOM before and white space around it tolerated.

    Raises TokenUnavailableError, whose text says what is wrong and never what was read.
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
        raise TokenUnavailableError(f"{where} has white space inside: one token alone may be there")
    if not (text.isascii() and text.isprintable()):
        raise TokenUnavailableError(f"{where} has characters that no HTTP header can carry")
    return SecretStr(text)


class EnvironmentSource:
    """A secret in an environment variable; a variable is never half written."""

    def __init__(self, variable: str, environ: Mapping[str, str]) -> None:
        self._variable = variable
        self._environ = environ

    def read(self, known: SourceReading | None) -> SourceReading:  # noqa: ARG002 -- nothing to save
        """See `Source`."""
        value = self._environ.get(self._variable)
        where = f"the environment variable {self._variable}"
        if value is None:
            return SourceReading(problem=f"{where} is not set", changed_at=0.0)
        return _reading(value.encode("utf-8", "surrogateescape"), where, (), 0.0)


class FileSource:
    """A secret in a file, symbolic links followed; read again only when the file has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, known: SourceReading | None) -> SourceReading:
        """See `Source`."""
        where = f"the token file {self._path}"
        try:
            if not stat.S_ISREG(self._path.stat().st_mode):  # opening a pipe could block for ever
                return SourceReading(problem=f"{where} is no regular file")
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                version, changed_at = stat_signature(status), status.st_ctime
                if known is not None and known.version == version:
                    return known
                content = file.read(MAX_TOKEN_BYTES + 1)
        except ValueError:  # a NUL within, which no path can have
            return SourceReading(problem=f"{where!r} is no path")
        except OSError as error:
            if error.errno in _RESOURCE_ERRNOS and known is not None:
                return known  # it says nothing about the file
            return SourceReading(problem=f"{where} cannot be read: {error.strerror}")
        return _reading(content, where, version, changed_at)


def open_source(source: TokenSource, environ: Mapping[str, str]) -> SecretSource:
    """Return the reader of a variable or a file; of an OAuth source, of its client's secret."""
    place = source if source.client is None else source.client.secret
    if place.kind is TokenSourceKind.ENVIRONMENT:
        return EnvironmentSource(place.location, environ)
    return FileSource(Path(place.location))


def _reading(
    content: bytes, where: str, version: tuple[int, ...], changed_at: float
) -> SourceReading:
    try:
        return SourceReading(parse_token(content, where), "", version, changed_at)
    except TokenUnavailableError as error:
        # An empty file is often one that is about to be filled.
        return SourceReading(None, str(error), version, None)


_POLL_BATCH = 25
_MAX_POLLS = 12
"""So often a source that keeps changing is looked at in one go: three seconds."""


def _guarded(source: SecretSource, known: SourceReading | None) -> SourceReading:
    """Read a source; whatever is wrong with one, the others are read all the same."""
    try:
        return source.read(known)
    except Exception as error:  # noqa: BLE001 -- it becomes a problem of this source alone
        return SourceReading(problem=f"it cannot be read: {type(error).__name__}")


class SourceWatcher:
    """Sources by tenant. `now` tells epoch seconds; `on_news(tenant, sighting)` hears what is new.

    Files are read in a thread. Those who want a source read at the same time share one reading.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        now: Callable[[], float],
        on_change: Callable[[str, SourceReading], None],
    ) -> None:
        self._environ = environ
        self._now = now
        self._on_news = on_change
        self._sources: dict[str, SecretSource] = {}
        self._believed: dict[str, SourceReading] = {}
        self._seen_since: dict[str, tuple[SourceReading, float]] = {}
        self._reading: dict[str, asyncio.Task[None]] = {}

    def add(self, tenant: str, source: TokenSource) -> None:
        """Watch a source, in place of the tenant's last one."""
        self.drop(tenant)
        self._sources[tenant] = open_source(source, self._environ)

    def drop(self, tenant: str) -> None:
        """Watch a tenant's source no longer."""
        for known in (self._sources, self._believed, self._seen_since):
            known.pop(tenant, None)

    async def current(self, tenant: str) -> SourceReading:
        """Return what is in a source; only one that was never read yet makes one wait."""
        if tenant not in self._believed and tenant in self._sources:
            await self.read(tenant)
        return self._believed.get(tenant, SourceReading(problem="it has not been read yet"))

    async def load(self) -> None:
        """Read every source, so that each is believed; of one that keeps changing, what it has."""
        for _ in range(_MAX_POLLS):
            await self.poll()
            if self._believed.keys() == self._sources.keys():
                return
            await asyncio.sleep(STABLE_SECONDS)
        for tenant in self._sources.keys() - self._believed.keys():
            self._accept(tenant, self._seen_since[tenant][0])

    async def poll(self, tenants: Iterable[str] | None = None) -> None:
        """Look at these sources once, or at all."""
        names = list(self._sources if tenants is None else tenants)
        asked = [
            (name, self._sources[name], self._believed.get(name))
            for name in names
            if name in self._sources
        ]
        sightings = await asyncio.to_thread(
            lambda: [_guarded(source, known) for _, source, known in asked]
        )
        for (name, source, _), sighting in zip(asked, sightings, strict=True):
            if self._sources.get(name) is source:  # else a reload has taken it away meanwhile
                self._on_reading(name, sighting)

    async def poll_all(self, seconds: float) -> None:
        """Look at all sources, a few at a time, so that it takes about so long.

        All at once would hold the event loop: a thread that looks has the interpreter, too.
        """
        names = list(self._sources)
        slices = max(1, -(-len(names) // _POLL_BATCH))
        for number in range(slices):
            await asyncio.sleep(seconds / slices)
            await self.poll(names[number::slices])

    async def read(self, tenant: str) -> None:
        """Look at a source until it is believed as it is now."""
        task = self._reading.get(tenant)
        if task is None:
            task = asyncio.create_task(self._read(tenant), name=f"read token of {tenant}")
            self._reading[tenant] = task
            task.add_done_callback(lambda _: self._reading.pop(tenant))
        await asyncio.shield(task)

    async def _read(self, tenant: str) -> None:
        for _ in range(_MAX_POLLS):
            await self.poll([tenant])
            seen = self._seen_since.get(tenant)
            if seen is None or seen[0] == self._believed.get(tenant):
                return
            await asyncio.sleep(STABLE_SECONDS)

    def _on_reading(self, tenant: str, sighting: SourceReading) -> None:
        now = self._now()
        last, since = self._seen_since.get(tenant, (sighting, now))
        if sighting is last and sighting is self._believed.get(tenant):
            return  # as nearly always
        since = since if last == sighting else now
        self._seen_since[tenant] = sighting, since
        if is_stable(sighting, since, now):
            self._accept(tenant, sighting)

    def _accept(self, tenant: str, sighting: SourceReading) -> None:
        before = self._believed.get(tenant)
        self._believed[tenant] = sighting
        if before is None or not before.same_content(sighting):
            self._on_news(tenant, sighting)
