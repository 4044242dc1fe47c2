"""Reads HTTP/1.1 requests from a socket and serialises responses.

Written by hand, because a server that misbehaves on purpose needs control of every byte.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 4 * 1024 * 1024

Headers = tuple[tuple[str, str], ...]


class BadRequestError(ValueError):
    """The request is invalid or not supported by this server."""


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The target without its query, still percent-encoded."""
        return self.target.partition("?")[0]

    @property
    def wants_close(self) -> bool:
        """Whether the client wants the connection closed after the response."""
        return self.headers.get("connection", "").lower() == "close"


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response; the Content-Length is added when it is sent."""

    status: int
    headers: Headers
    body: bytes

    def with_header(self, name: str, value: str | None) -> "Response":
        """Return the response with a header replaced, or removed if `value` is None."""
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
        raise BadRequestError("the request head is too long") from error
    first, *lines = head.decode("latin-1").split("\r\n")
    method, _, rest = first.partition(" ")
    target, _, version = rest.partition(" ")
    if not version.startswith("HTTP/1."):
        raise BadRequestError("only HTTP/1.x is supported")
    pairs = (line.partition(":") for line in lines if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return Request(method, target, headers, await _read_body(reader, headers))


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if "transfer-encoding" in headers:
        raise BadRequestError("chunked requests are not supported: send a Content-Length")
    announced = headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced) > MAX_BODY_BYTES:
        raise BadRequestError("the body is too long")
    return await reader.readexactly(int(announced))


def head(
    response: Response, *, framing: tuple[str, str] | None = None, close: bool = False
) -> bytes:
    """Return status line and headers; `framing` replaces the correct Content-Length header."""
    reason = HTTPStatus(response.status).phrase if response.status in _KNOWN else "Unknown"
    pairs = (*response.headers, framing or content_length(len(response.body)))
    if close:
        pairs = (*pairs, ("Connection", "close"))
    lines = "".join(f"{name}: {value}\r\n" for name, value in pairs)
    return f"HTTP/1.1 {response.status} {reason}\r\n{lines}\r\n".encode("latin-1")


def content_length(length: int) -> tuple[str, str]:
    """Return a Content-Length header."""
    return ("Content-Length", str(length))


_KNOWN = frozenset(status.value for status in HTTPStatus)
