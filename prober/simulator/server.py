"""The simulator's server, on raw streams so that it can violate the protocol.

WIRE faults are functions that get the raw connection and end it. The certificates, valid and
invalid, are issued by a CA that exists as long as the process.
"""

import asyncio
import socket
import ssl
import struct
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import trustme

from prober.simulator.faults import TIMING, FaultLayer
from prober.simulator.http import (
    MAX_HEAD_BYTES,
    BadRequestError,
    Request,
    Response,
    content_length,
    head,
    read_request,
)
from prober.simulator.state import Decision, SimulatorState

DRIP_SECONDS = 1.0
HOLD_SECONDS = 300.0
BOMB_BYTES = 1024 * 1024 * 1024
ENDLESS_BYTES = 4 * 1024 * 1024
_BLOCK = 64 * 1024
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"  # RFC 1952, 2.3

WireFault = Callable[[asyncio.StreamWriter, Response], Awaitable[None]]


async def _reset(writer: asyncio.StreamWriter, _: Response) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _close(_writer: asyncio.StreamWriter, _: Response) -> None:
    return


async def _hang(_writer: asyncio.StreamWriter, _: Response) -> None:
    await asyncio.sleep(HOLD_SECONDS)


async def _drip(writer: asyncio.StreamWriter, response: Response) -> None:
    for byte in (head(response) + response.body)[: int(HOLD_SECONDS / DRIP_SECONDS)]:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(DRIP_SECONDS)


async def _truncated(writer: asyncio.StreamWriter, response: Response) -> None:
    writer.write(
        head(response, framing=content_length(len(response.body) + 100))
        + response.body[: len(response.body) // 2]
    )
    await writer.drain()


async def _truncated_chunks(writer: asyncio.StreamWriter, response: Response) -> None:
    lines = head(response, framing=("Transfer-Encoding", "chunked"))
    writer.write(lines + f"{len(response.body):x}\r\n".encode() + response.body[:10])
    await writer.drain()


async def _length_too_long(writer: asyncio.StreamWriter, response: Response) -> None:
    writer.write(head(response, framing=content_length(len(response.body) + 100)) + response.body)
    await writer.drain()
    await asyncio.sleep(HOLD_SECONDS)


async def _length_too_short(writer: asyncio.StreamWriter, response: Response) -> None:
    writer.write(
        head(response, framing=content_length(len(response.body) // 2), close=True) + response.body
    )
    await writer.drain()


async def _gzip_bomb(writer: asyncio.StreamWriter, response: Response) -> None:
    zipped = response.with_header("Content-Encoding", "gzip")
    writer.write(head(zipped, framing=("Connection", "close")))
    writer.write(_GZIP_HEADER)
    # A full flush makes a block that can be repeated, so a small buffer gives a large body.
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    block = deflate.compress(bytes(1024 * 1024)) + deflate.flush(zlib.Z_FULL_FLUSH)
    for _ in range(BOMB_BYTES // (1024 * 1024)):
        if writer.is_closing():
            return
        writer.write(block)
        await writer.drain()


async def _gzip_corrupt(writer: asyncio.StreamWriter, response: Response) -> None:
    writer.write(head(response.with_header("Content-Encoding", "gzip")) + response.body)
    await writer.drain()


async def _garbage(writer: asyncio.StreamWriter, _: Response) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n")
    await writer.drain()


async def _endless_head(writer: asyncio.StreamWriter, _response: Response) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX-Endless: ")
    for _ in range(ENDLESS_BYTES // _BLOCK):
        writer.write(b"x" * _BLOCK)
        await writer.drain()


WIRE_FAULTS: Mapping[str, WireFault] = MappingProxyType(
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


NAMES = ("localhost", "127.0.0.1", "::1")
_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Certificates:
    """TLS contexts: a valid one, and one for each certificate fault."""

    def __init__(self) -> None:
        self._authority = trustme.CA()
        self._contexts = {
            None: _context(self._authority.issue_cert(*NAMES)),
            "certificate_expired": _context(
                self._authority.issue_cert(*NAMES, not_after=_LONG_AGO)
            ),
            "certificate_of_another": _context(self._authority.issue_cert("another.example")),
            "certificate_unknown": _context(trustme.CA().issue_cert(*NAMES)),
        }

    def context(self, fault: str | None) -> ssl.SSLContext | None:
        """Return the TLS context for a fault, None if it is not a certificate fault."""
        return self._contexts.get(fault)

    def write_authority(self, path: Path) -> None:
        """Write the certificate of the CA that clients need to trust, as PEM."""
        self._authority.cert_pem.write_to_path(path)


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


_BACKLOG = 1024
_CLIENT_HELLO_BYTES = 16 * 1024


class PlatformServer:
    """Serves the simulated platform on one address, with TLS if certificates are given."""

    def __init__(self, state: SimulatorState, certificates: Certificates | None) -> None:
        self._state = state
        self._certificates = certificates
        self._server: asyncio.Server | None = None
        self._black_hole: list[socket.socket] = []
        self._speaks_tls = False
        self._conversations: set[asyncio.Task[None]] = set()
        self.address = ("", 0)

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 selects a free port. Raises OSError."""
        self.address = (host, port)
        await self._listen()

    async def restart_listener(self) -> None:
        """Apply the active LISTENER or HANDSHAKE fault: listen, refuse, or never accept."""
        fault = self._state.listener_fault()
        await self._close_listener()
        if fault is None:
            await self._listen()
        elif fault.name == "black_hole":
            self._open_black_hole()

    async def close(self) -> None:
        """Stop listening and close all connections."""
        await self._close_listener()
        for task in self._conversations:
            task.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)

    async def _listen(self) -> None:
        host, port = self.address
        context = self._context()
        self._speaks_tls = context is not None
        self._server = await asyncio.start_server(
            self._on_connection, host, port, limit=MAX_HEAD_BYTES, backlog=_BACKLOG, ssl=context
        )
        self.address = self._server.sockets[0].getsockname()[:2]

    def _context(self) -> ssl.SSLContext | None:
        if self._certificates is None:
            return None
        fault = self._state.handshake_fault()
        return self._certificates.context(None if fault is None else fault.name)

    async def _close_listener(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for each in self._black_hole:
            each.close()
        self._black_hole.clear()

    def _open_black_hole(self) -> None:
        """Listen with a backlog of one, and fill it: further TCP handshakes get no response."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(self.address)
        listener.listen(0)
        self._black_hole.append(listener)
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(self.address)
            self._black_hole.append(filler)

    async def _on_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 -- asyncio runs this in a task of its own
        self._conversations.add(task)
        try:
            fault = self._state.handshake_fault()
            if fault is not None and not self._speaks_tls:
                await self._refuse_handshake(fault.name, reader, writer)
            else:
                await self._serve_connection(reader, writer)
        except (OSError, asyncio.IncompleteReadError, BadRequestError, asyncio.CancelledError):
            pass  # clients may disconnect, and cancellation means that the server closes
        finally:
            self._conversations.discard(task)
            writer.close()

    async def _refuse_handshake(
        self, fault: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Fail the TLS handshake in the way that the fault describes."""
        await reader.read(_CLIENT_HELLO_BYTES)
        if fault == "not_tls":
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await writer.drain()
        if fault == "handshake_hang":
            await asyncio.sleep(HOLD_SECONDS)

    async def _serve_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while (request := await read_request(reader)) is not None:
            decision = self._state.decide(request, time.time())
            response = await self._timed(decision, request)
            self._state.log(request, decision, response.status, time.time())
            fault = decision.fault
            if fault is not None and fault.layer is FaultLayer.WIRE:
                await WIRE_FAULTS[fault.name](writer, response)
                return
            body = b"" if request.method == "HEAD" else response.body
            writer.write(head(response, close=request.wants_close) + body)
            await writer.drain()
            if request.wants_close or decision.tenant is None:
                return

    async def _timed(self, decision: Decision, request: Request) -> Response:
        """Wait for the platform's response time, and report the time that it really took."""
        if decision.server_seconds is None:
            return decision.response
        began = time.perf_counter()
        await asyncio.sleep(decision.server_seconds)
        taken_ms = (time.perf_counter() - began) * 1000
        timed = decision.response.with_header(TIMING, f"total;dur={taken_ms:.3f}")
        return timed if decision.fault is None else decision.fault.transform(timed, request)
