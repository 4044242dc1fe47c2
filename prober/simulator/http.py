"""Requests as they are read from a socket, answers as they are written to it: plain HTTP/1.1.

Written by hand, since a server that can misbehave must hold every byte itself.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 4 * 1024 * 1024

Headers = tuple[tuple[str, str], ...]


class BadRequestError(ValueError):
    """What came is no request that this server can read."""


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """Return the target without its query, as it was encoded."""
        return self.target.partition("?")[0]

    @property
    def wants_close(self) -> bool:
        """Tell whether the client asks for the connection to be closed after the answer."""
        return self.headers.get("connection", "").lower() == "close"


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer; its length is announced as it is."""

    status: int
    headers: Headers
    body: bytes

    def with_header(self, name: str, value: str | None) -> "Response":
        """Return the answer with a header set anew, or without it for None."""
        kept = tuple(pair for pair in self.headers if pair[0].lower() != name.lower())
        added = () if value is None else ((name, value),)
        return Response(self.status, kept + added, self.body)


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """Return the next request, or None at the end of the connection; raises BadRequestError."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError as error:
        raise BadRequestError("the head is too long") from error
    first, *lines = head.decode("latin-1").split("\r\n")
    method, _, rest = first.partition(" ")
    target, _, version = rest.partition(" ")
    if not version.startswith("HTTP/1."):
        raise BadRequestError("this is not HTTP/1.1")
    pairs = (line.partition(":") for line in lines if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return Request(method, target, headers, await _read_body(reader, headers))


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if "transfer-encoding" in headers:
        raise BadRequestError("send a Content-Length: chunks are not read here")
    announced = headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced) > MAX_BODY_BYTES:
        raise BadRequestError("the body is too long")
    return await reader.readexactly(int(announced))


def head(
    response: Response, *, framing: tuple[str, str] | None = None, close: bool = False
) -> bytes:
    """Return status line and headers; `framing` replaces the header with the true length."""
    reason = HTTPStatus(response.status).phrase if response.status in _KNOWN else "Unknown"
    pairs = (*response.headers, framing or content_length(len(response.body)))
    if close:
        pairs = (*pairs, ("Connection", "close"))
    lines = "".join(f"{name}: {value}\r\n" for name, value in pairs)
    return f"HTTP/1.1 {response.status} {reason}\r\n{lines}\r\n".encode("latin-1")


def content_length(length: int) -> tuple[str, str]:
    """Return the header that announces a body of so many bytes."""
    return ("Content-Length", str(length))


_KNOWN = frozenset(status.value for status in HTTPStatus)
