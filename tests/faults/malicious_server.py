"""Servers that do what the simulator does not: raw streams, one function for each misbehaviour.

Each is given a connection and ends it; `asked` is what most do first. Whatever is endless ends
after a bounded time or size: the prober must have gone long before.
"""

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter
Talk = Callable[[Reader, Writer], Awaitable[None]]

MIB = 1024 * 1024
HOLD_SECONDS = 60.0
ENDLESS_SECONDS = 10.0
TIMING = b"Server-Timing: total;dur=1.5\r\n"
JSON = b"Content-Type: application/json\r\n"
GOOD_BODY = b'{"status": "ok", "datasets": [{}]}'


async def asked(reader: Reader) -> None:
    """Wait for the end of a request's head."""
    await reader.readuntil(b"\r\n\r\n")


def whole(body: bytes = GOOD_BODY, status: str = "200 OK", headers: bytes = TIMING + JSON) -> bytes:
    """Return a whole answer."""
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (
        status.encode(),
        headers,
        len(body),
        body,
    )


def says(*parts: bytes, pause_seconds: float = 0.0) -> Talk:
    """Say `parts` to every request, and close."""

    async def talk(reader: Reader, writer: Writer) -> None:
        await asked(reader)
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_seconds)

    return talk


def endless(beginning: bytes, block: bytes, most_bytes: int = 4096 * MIB) -> Talk:
    """Say `beginning`, then `block` again and again."""

    async def talk(reader: Reader, writer: Writer) -> None:
        await asked(reader)
        writer.write(beginning)
        until, sent = time.monotonic() + ENDLESS_SECONDS, 0
        while sent < most_bytes and time.monotonic() < until and not writer.is_closing():
            writer.write(block)
            sent += len(block)
            await writer.drain()
            await asyncio.sleep(0)  # drain alone lets nobody else run

    return talk


def reset_after(said: bytes) -> Talk:
    """Send a reset after the request and `said`."""

    async def talk(reader: Reader, writer: Writer) -> None:
        await asked(reader)
        if said:
            writer.write(said)
            await writer.drain()
            await asyncio.sleep(0.1)  # a reset overtakes what has not been read
        _reset(writer)

    return talk


async def resets_handshake(reader: Reader, writer: Writer) -> None:
    """Send a reset in answer to a TLS hello."""
    await reader.read(1)
    _reset(writer)


def _reset(writer: Writer) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def half_close_after(said: bytes) -> Talk:
    """End our own direction after `said`, and go on listening."""

    async def talk(reader: Reader, writer: Writer) -> None:
        await asked(reader)
        writer.write(said)
        await writer.drain()
        writer.write_eof()
        await reader.read()  # until the other side has gone

    return talk


async def hangs(_reader: Reader, _writer: Writer) -> None:
    """Accept, and do nothing at all."""
    await asyncio.sleep(HOLD_SECONDS)


async def closes(_reader: Reader, _writer: Writer) -> None:
    """Accept, and close."""


def by_path(path_end: bytes, response: bytes, otherwise: bytes) -> Talk:
    """Send `response` to requests whose path ends so, and `otherwise` to all others."""

    async def talk(reader: Reader, writer: Writer) -> None:
        request_line = (await reader.readuntil(b"\r\n")).split()
        await asked(reader)
        matches = request_line[1].split(b"?")[0].endswith(path_end)
        writer.write(response if matches else otherwise)
        await writer.drain()

    return talk


async def poisons(reader: Reader, writer: Writer) -> None:
    """Answer every request of a connection with two answers: the second lies in wait."""
    while True:
        await asked(reader)
        writer.write(whole() + whole(b'{"status": "error", "message": "poison"}', "500 Oops"))
        await writer.drain()


async def forwards_nothing_but_log_in(reader: Reader, writer: Writer) -> None:
    """Be a proxy that demands a log-in, for CONNECT and for plain requests alike."""
    await says(
        b"HTTP/1.1 407 Proxy Authentication Required\r\n"
        b'Proxy-Authenticate: Basic realm="office"\r\nContent-Length: 0\r\n\r\n'
    )(reader, writer)
