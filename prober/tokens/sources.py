"""Reading tokens where they lie: environment variables and files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from prober.errors import TokenUnavailableError
from prober.model import TokenSource, TokenSourceKind

MAX_TOKEN_BYTES = 16 * 1024


class Source(Protocol):
    """Where one tenant's token comes from."""

    def read(self) -> SecretStr:
        """Return the present token; raises TokenUnavailableError."""
        ...


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
    """A token in an environment variable."""

    def __init__(self, variable: str, environ: Mapping[str, str]) -> None:
        self._variable = variable
        self._environ = environ

    def read(self) -> SecretStr:
        """See `Source`."""
        value = self._environ.get(self._variable)
        where = f"the environment variable {self._variable}"
        if value is None:
            raise TokenUnavailableError(f"{where} is not set")
        return parse_token(value.encode("utf-8", "surrogateescape"), where)


class FileSource:
    """A token in a file, read again when the file has changed, symbolic links followed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int, int] | None = None
        self._token: SecretStr | None = None

    def read(self) -> SecretStr:
        """See `Source`."""
        where = f"the token file {self._path}"
        try:
            status = self._path.stat()
            seen = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
            if self._token is None or seen != self._seen:
                with self._path.open("rb") as file:
                    content = file.read(MAX_TOKEN_BYTES + 1)
                self._token = None
                self._token = parse_token(content, where)
                self._seen = seen
        except OSError as error:
            self._token = None
            raise TokenUnavailableError(f"{where} cannot be read: {error.strerror}") from None
        return self._token


def open_source(source: TokenSource, environ: Mapping[str, str]) -> Source:
    """Return the reader of what the settings name."""
    if source.kind is TokenSourceKind.ENVIRONMENT:
        return EnvironmentSource(source.location, environ)
    return FileSource(Path(source.location))
