"""A server with responses that cost much to read; run as a process of its own: prints its port.

The first part of a path names what it sends.
"""

import asyncio
import gzip
import json
import sys
from collections.abc import Callable

_TIMING = b"Server-Timing: total;dur=0.01\r\n"
_MIB = 1024 * 1024


def _whole(body: bytes, fields: bytes = _TIMING) -> bytes:
    return b"HTTP/1.1 400 Bad\r\n%bContent-Length: %d\r\n\r\n%b" % (fields, len(body), body)


def _gzipped(body: bytes) -> bytes:
    return _whole(body, _TIMING + b"Content-Encoding: gzip\r\n")


def _message(text: str) -> bytes:
    return _whole(json.dumps({"status": "error", "message": text, "path": text}).encode())


def _chunks(count: int) -> bytes:
    head = b"HTTP/1.1 400 Bad\r\n" + _TIMING + b"Transfer-Encoding: chunked\r\n\r\n"
    return head + b"1\r\n \r\n" * count + b"0\r\n\r\n"


def _fields(line: bytes, count: int) -> bytes:
    return _whole(b"{}", line * count)


BEHAVIOURS: dict[str, Callable[[], bytes]] = {
    "empty-members": lambda: _gzipped(gzip.compress(b"", mtime=0) * 52_000),
    "small-members": lambda: _gzipped(gzip.compress(b"x", mtime=0) * 40_000),
    "gzip-bomb": lambda: _gzipped(gzip.compress(bytes(200 * _MIB), 1)),
    "stacked-bomb": lambda: _whole(
        gzip.compress(gzip.compress(bytes(100 * _MIB), 9)), b"Content-Encoding: gzip, gzip\r\n"
    ),
    "timings": lambda: _fields(b'Server-Timing: a;desc="%b"\r\n' % (b'\\"' * 2000), 200),
    "many-keys": lambda: _whole(
        ("{" + ",".join(f'"k{n}":{n}' for n in range(8_000)) + "}").encode()
    ),
    "deep": lambda: _whole(b'{"a":' * 150_000),
    "lists": lambda: _whole(b"[" + b"[]," * 30_000 + b"[]]"),
    "long-numbers": lambda: _whole(b"[" + b"9" * _MIB),
    "html": lambda: _whole(b"<title>" + b"<p " * 300_000),
    "percent": lambda: _message("%2541" * 100_000),
    "entities": lambda: _message("&#x26;" * 100_000),
    "base64": lambda: _message("QUFBQUFB" * 60_000),
    "escapes": lambda: _message("\\u0041" * 60_000),
    "zero-width": lambda: _message("\u200b" * 150_000),
    "encoded-headers": lambda: _fields(b"X-Echo: " + b"%2541" * 1500 + b"\r\n", 30),
    "many-headers": lambda: _fields(b"X-Request-Id: &#x41;QUFB%41\r\n", 250),
    "small-chunks": lambda: _chunks(50_000),
    "interim": lambda: b"HTTP/1.1 100 Continue\r\n\r\n" * 50_000,
    "challenges": lambda: _fields(b"WWW-Authenticate: " + b"Bearer a=b, " * 2000 + b"\r\n", 10),
}
"""What each behaviour sends; the response of any other name is good."""
_OK = b'{"status": "ok", "datasets": [{"id": "0123456789abcdef", "name": "a", "owner": "b"}]}'
_GOOD = b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (_TIMING, len(_OK), _OK)


async def main() -> None:
    made = {name: make() for name, make in BEHAVIOURS.items()}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            name = head.split(b"/", 2)[1].decode("latin-1").partition(" ")[0]
            writer.write(made.get(name, _GOOD))
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        except (OSError, asyncio.IncompleteReadError):
            return

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
