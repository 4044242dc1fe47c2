"""HTTP archives (HAR 1.2), as the network view of a browser exports them."""

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, ValidationError

from prober.models import Failure, HttpExchange, Phases, Response
from prober.outcomes import FailureKind
from prober.recorded.models import RecordedExchange, RecordedExchangeError
from prober.recorded.secrets import header_secrets
from prober.redaction import Redactor

MAX_ENTRIES = 1000
"""An archive with more entries of the API is refused."""

_API_PATH = re.compile(r"/api/")
_MAX_MILLISECONDS = 86_400_000.0
_BROWSER_ERRORS = (
    ("NAME_NOT_RESOLVED", FailureKind.DNS),
    ("NAME_RESOLUTION", FailureKind.DNS),
    ("UNKNOWN_HOST", FailureKind.DNS),
    ("CONNECTION_REFUSED", FailureKind.CONNECTION_REFUSED),
    ("ADDRESS_UNREACHABLE", FailureKind.UNREACHABLE),
    ("INTERNET_DISCONNECTED", FailureKind.UNREACHABLE),
    ("NETWORK_CHANGED", FailureKind.UNREACHABLE),
    ("CONNECTION_TIMED_OUT", FailureKind.CONNECT_TIMEOUT),
    ("PROXY", FailureKind.PROXY),
    ("TUNNEL", FailureKind.PROXY),
    ("CERT_DATE_INVALID", FailureKind.CERTIFICATE_EXPIRED),
    ("CERT_COMMON_NAME_INVALID", FailureKind.CERTIFICATE_NAME_MISMATCH),
    ("CERT_", FailureKind.TLS_CERTIFICATE),
    ("SSL_", FailureKind.TLS_HANDSHAKE),
    ("CONNECTION_RESET", FailureKind.CONNECTION_RESET),
    ("CONNECTION_CLOSED", FailureKind.CONNECTION_RESET),
    ("EMPTY_RESPONSE", FailureKind.CONNECTION_RESET),
    ("CONTENT_LENGTH_MISMATCH", FailureKind.TRUNCATED),
    ("INCOMPLETE_CHUNKED_ENCODING", FailureKind.TRUNCATED),
    ("INVALID_HTTP_RESPONSE", FailureKind.PROTOCOL_ERROR),
    ("PROTOCOL_ERROR", FailureKind.PROTOCOL_ERROR),
    ("CONTENT_DECODING_FAILED", FailureKind.PROTOCOL_ERROR),
    ("TIMED_OUT", FailureKind.RESPONSE_TIMEOUT),
)
"""What Chromium's `net::ERR_...` say; the first that occurs."""

_Milliseconds = Annotated[float, Field(ge=-1, le=_MAX_MILLISECONDS, allow_inf_nan=False)]


class _Header(BaseModel):
    name: str
    value: str


class _Request(BaseModel):
    method: str = ""
    url: str = ""
    headers: tuple[_Header, ...] = ()


class _Content(BaseModel):
    size: int = 0
    text: str | None = None
    encoding: str | None = None


class _Response(BaseModel):
    status: int = 0
    headers: tuple[_Header, ...] = ()
    content: _Content = _Content()
    error: str | None = Field(default=None, alias="_error")


class _Timings(BaseModel):
    dns: _Milliseconds | None = None
    connect: _Milliseconds | None = None
    ssl: _Milliseconds | None = None
    send: _Milliseconds | None = None
    wait: _Milliseconds | None = None
    receive: _Milliseconds | None = None

    def phases(self) -> Phases:
        tls = _seconds(self.ssl)
        connect = _seconds(self.connect)
        if connect is not None and tls is not None:  # `connect` includes `ssl`
            connect = max(0.0, connect - tls)
        return Phases(
            _seconds(self.dns),
            connect,
            tls,
            _seconds(self.send),
            _seconds(self.wait),
            _seconds(self.receive),
        )


class _Entry(BaseModel):
    request: _Request
    response: _Response
    timings: _Timings = _Timings()
    remote_address: str | None = Field(default=None, alias="serverIPAddress")


class _Log(BaseModel):
    entries: tuple[_Entry, ...]


class HttpArchive(BaseModel):
    """An archive, as far as it is read."""

    log: _Log


def is_archive(document: object) -> bool:
    """Return whether a JSON document is meant to be an archive."""
    if not isinstance(document, dict):
        return False
    log = document.get("log")
    return isinstance(log, dict) and "entries" in log


def parse_archive(document: object) -> tuple[RecordedExchange, ...]:
    """Return the exchanges of an archive; raises RecordedExchangeError.

    A page of the platform makes many requests: if any of them are to the API, only those are read.
    """
    try:
        entries = HttpArchive.model_validate(document).log.entries
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise RecordedExchangeError(
            f"it is an HTTP archive (HAR), but not version 1.2: {place}: {first['msg']}"
        ) from error
    numbered = list(enumerate(entries, 1))
    chosen = [each for each in numbered if _is_api(each[1].request.url)] or numbered
    if not chosen:
        raise RecordedExchangeError("it is an HTTP archive (HAR) without entries")
    if len(chosen) > MAX_ENTRIES:
        raise RecordedExchangeError(f"it has more than {MAX_ENTRIES} entries: filter them first")
    note = () if len(chosen) == len(numbered) else (_left_out(len(chosen), len(numbered)),)
    return tuple(_recorded(number, entry, note) for number, entry in chosen)


def _is_api(url: str) -> bool:
    try:
        return _API_PATH.search(urlsplit(url).path) is not None
    except ValueError:
        return False


def _left_out(chosen: int, count: int) -> str:
    return f"of {count} entries the {chosen} with /api/ in their path are read"


def _recorded(number: int, entry: _Entry, notes: Sequence[str]) -> RecordedExchange:
    secrets = header_secrets((each.name, each.value) for each in entry.request.headers)
    redactor = Redactor(secrets, token_shaped=True)
    phases = entry.timings.phases()
    exchange = HttpExchange(
        method=entry.request.method,
        url=redactor.text(entry.request.url),
        total_seconds=sum(seconds for _, seconds in phases.as_pairs()),
        phases=phases,
        response=_response(number, entry.response, redactor),
        failure=_failure(number, entry.response),
        remote_address=entry.remote_address or None,
        redactor=redactor,
    )
    return RecordedExchange(exchange, notes=(f"entry {number} of the archive", *notes))


def _response(number: int, response: _Response, redactor: Redactor) -> Response | None:
    if response.status == 0:
        return None
    content = response.content
    if content.text is None and content.size > 0:
        raise RecordedExchangeError(
            f"entry {number} of the archive has no body: export it with content (in Chromium,"
            " 'Save all as HAR with content')"
        )
    # Browsers join several fields of one name by line ends.
    headers = tuple(
        (redactor.text(header.name), redactor.text(value))
        for header in response.headers
        for value in header.value.split("\n")
        if not header.name.startswith(":")
    )
    return Response(response.status, headers, redactor.data(_body(number, content)))


def _body(number: int, content: _Content) -> bytes:
    text = content.text or ""
    if content.encoding != "base64":
        return text.encode(errors="replace")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RecordedExchangeError(
            f"the body of entry {number} of the archive is not base64: {error}"
        ) from error


def _failure(number: int, response: _Response) -> Failure | None:
    if response.status != 0 and response.error is None:
        return None
    said = (response.error or "").upper()
    for words, kind in _BROWSER_ERRORS:
        if words in said:
            return Failure(kind, f"the browser says {response.error}")
    if response.status != 0:
        return None
    raise RecordedExchangeError(
        f"entry {number} of the archive has no response, and does not say why"
        f" ({response.error or 'a browser blocks requests to other sites, and cancels some'}):"
        " remove it"
    )


def _seconds(milliseconds: Literal[-1] | float | None) -> float | None:
    """Return a duration in seconds; -1 means none."""
    return None if milliseconds is None or milliseconds < 0 else milliseconds / 1000
