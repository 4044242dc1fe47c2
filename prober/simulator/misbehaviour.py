"""How WIRE faults are sent: each of these holds the raw connection, and ends it."""

import asyncio
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from prober.simulator.http import Answer, content_length, head

DRIP_SECONDS = 1.0
HOLD_SECONDS = 300.0
BOMB_BYTES = 1024 * 1024 * 1024
ENDLESS_BYTES = 4 * 1024 * 1024
_BLOCK = 64 * 1024
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"  # RFC 1952, 2.3

Misbehave = Callable[[asyncio.StreamWriter, Answer], Awaitable[None]]


async def _reset(writer: asyncio.StreamWriter, _: Answer) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _close(_writer: asyncio.StreamWriter, _: Answer) -> None:
    return


async def _hang(_writer: asyncio.StreamWriter, _: Answer) -> None:
    await asyncio.sleep(HOLD_SECONDS)


async def _drip(writer: asyncio.StreamWriter, answer: Answer) -> None:
    for byte in (head(answer) + answer.body)[: int(HOLD_SECONDS / DRIP_SECONDS)]:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(DRIP_SECONDS)


async def _truncated(writer: asyncio.StreamWriter, answer: Answer) -> None:
    writer.write(
        head(answer, framing=content_length(len(answer.body) + 100))
        + answer.body[: len(answer.body) // 2]
    )
    await writer.drain()


async def _truncated_chunks(writer: asyncio.StreamWriter, answer: Answer) -> None:
    lines = head(answer, framing=("Transfer-Encoding", "chunked"))
    writer.write(lines + f"{len(answer.body):x}\r\n".encode() + answer.body[:10])
    await writer.drain()


async def _length_too_long(writer: asyncio.StreamWriter, answer: Answer) -> None:
    writer.write(head(answer, framing=content_length(len(answer.body) + 100)) + answer.body)
    await writer.drain()
    await asyncio.sleep(HOLD_SECONDS)


async def _length_too_short(writer: asyncio.StreamWriter, answer: Answer) -> None:
    writer.write(
        head(answer, framing=content_length(len(answer.body) // 2), close=True) + answer.body
    )
    await writer.drain()


async def _gzip_bomb(writer: asyncio.StreamWriter, answer: Answer) -> None:
    zipped = answer.with_header("Content-Encoding", "gzip")
    writer.write(head(zipped, framing=("Connection", "close")))
    writer.write(_GZIP_HEADER)
    # A full flush makes a block that may be repeated: cheap for who sends it.
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    block = deflate.compress(bytes(1024 * 1024)) + deflate.flush(zlib.Z_FULL_FLUSH)
    for _ in range(BOMB_BYTES // (1024 * 1024)):
        if writer.is_closing():
            return
        writer.write(block)
        await writer.drain()


async def _gzip_corrupt(writer: asyncio.StreamWriter, answer: Answer) -> None:
    writer.write(head(answer.with_header("Content-Encoding", "gzip")) + answer.body)
    await writer.drain()


async def _garbage(writer: asyncio.StreamWriter, _: Answer) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n")
    await writer.drain()


async def _endless_head(writer: asyncio.StreamWriter, _answer: Answer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX-Endless: ")
    for _ in range(ENDLESS_BYTES // _BLOCK):
        writer.write(b"x" * _BLOCK)
        await writer.drain()


MISBEHAVIOURS: Mapping[str, Misbehave] = MappingProxyType(
    {
        "reset": _reset,
        "close": _close,
        "hang": _hang,
        "drip": _drip,
        "truncated": _truncated,
        "truncated_chunks": _truncated_chunks,
        "length_too_long": _length_too_long,
        "length_too_short": _length_too_short,
        "gzip_bomb": _gzip_bomb,
        "gzip_corrupt": _gzip_corrupt,
        "garbage": _garbage,
        "endless_head": _endless_head,
    }
)
