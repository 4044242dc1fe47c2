"""Reading secrets where they lie: environment variables and files.

A file may be looked at while it is being written. So a look is believed only when the file has been
left alone for a while, or when later looks show the same: see `is_settled`.
"""

import errno
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from prober.credential import TokenSource, TokenSourceKind
from prober.errors import TokenUnavailableError
from prober.file_version import version_of

MAX_TOKEN_BYTES = 16 * 1024
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
SETTLE_SECONDS = 0.25
"""How long a file must have been left alone; pauses of a writer are shorter than this."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What lay in a source at one look: a secret, or the `problem` that there was none.

    `version` changes with the file. `changed_at` is when it last did, in epoch seconds; None: not
    known, so that only later looks can confirm the first.
    """

    secret: SecretStr | None = None
    problem: str = ""
    version: tuple[int, ...] = ()
    changed_at: float | None = None

    def same_content(self, other: "Sighting") -> bool:
        """Tell whether another look found the same, whatever became of the file."""
        return (self.secret, self.problem) == (other.secret, other.problem)


class Source(Protocol):
    """Where a secret comes from."""

    def look(self, known: Sighting | None) -> Sighting:
        """Return what is there now; `known` itself when nothing has changed since. May block."""
        ...


def is_settled(sighting: Sighting, seen_since: float, now: float) -> bool:
    """Tell whether a sighting is to be believed that has been the same `seen_since`. Pure."""
    if now - seen_since >= SETTLE_SECONDS:
        return True
    return sighting.changed_at is not None and now - sighting.changed_at >= SETTLE_SECONDS


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

    def look(self, known: Sighting | None) -> Sighting:  # noqa: ARG002 -- nothing to save
        """See `Source`."""
        value = self._environ.get(self._variable)
        where = f"the environment variable {self._variable}"
        if value is None:
            return Sighting(problem=f"{where} is not set", changed_at=0.0)
        return _sighting(value.encode("utf-8", "surrogateescape"), where, (), 0.0)


class FileSource:
    """A secret in a file, symbolic links followed; read again only when the file has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def look(self, known: Sighting | None) -> Sighting:
        """See `Source`."""
        where = f"the token file {self._path}"
        try:
            if not stat.S_ISREG(self._path.stat().st_mode):  # opening a pipe could block for ever
                return Sighting(problem=f"{where} is no regular file")
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                version, changed_at = version_of(status), status.st_ctime
                if known is not None and known.version == version:
                    return known
                content = file.read(MAX_TOKEN_BYTES + 1)
        except OSError as error:
            if error.errno in _SHORTAGES and known is not None:
                return known  # it says nothing about the file
            return Sighting(problem=f"{where} cannot be read: {error.strerror}")
        return _sighting(content, where, version, changed_at)


def open_source(source: TokenSource, environ: Mapping[str, str]) -> Source:
    """Return the reader of a variable or a file; of an OAuth source, of its client's secret."""
    place = source if source.client is None else source.client.secret
    if place.kind is TokenSourceKind.ENVIRONMENT:
        return EnvironmentSource(place.location, environ)
    return FileSource(Path(place.location))


def _sighting(content: bytes, where: str, version: tuple[int, ...], changed_at: float) -> Sighting:
    try:
        return Sighting(parse_token(content, where), "", version, changed_at)
    except TokenUnavailableError as error:
        # An empty file is often one that is about to be filled.
        return Sighting(None, str(error), version, None)
