"""The simulated platform's socket: raw streams, since it must be able to do everything wrong."""

import asyncio
import socket
import ssl
import time
from contextlib import suppress

from prober.simulator.certificates import Certificates
from prober.simulator.faults import TIMING, Stage
from prober.simulator.http import (
    MAX_HEAD_BYTES,
    Answer,
    BadRequestError,
    Request,
    head,
    read_request,
)
from prober.simulator.misbehaviour import HOLD_SECONDS, MISBEHAVIOURS
from prober.simulator.world import Decision, World

_BACKLOG = 1024
_CLIENT_HELLO_BYTES = 16 * 1024


class PlatformServer:
    """Serves a world on one address, with TLS if certificates are given."""

    def __init__(self, world: World, certificates: Certificates | None) -> None:
        self._world = world
        self._certificates = certificates
        self._server: asyncio.Server | None = None
        self._black_hole: list[socket.socket] = []
        self._speaks_tls = False
        self._conversations: set[asyncio.Task[None]] = set()
        self.address = ("", 0)

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one. Raises OSError."""
        self.address = (host, port)
        await self._listen()

    async def listen_anew(self) -> None:
        """Listen, refuse, never accept, or shake hands badly, as the world's faults have it."""
        fault = self._world.listener_fault()
        await self._unlisten()
        if fault is None:
            await self._listen()
        elif fault.name == "black_hole":
            self._open_black_hole()

    async def close(self) -> None:
        """End everything."""
        await self._unlisten()
        for task in self._conversations:
            task.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)

    async def _listen(self) -> None:
        host, port = self.address
        context = self._context()
        self._speaks_tls = context is not None
        self._server = await asyncio.start_server(
            self._accepted, host, port, limit=MAX_HEAD_BYTES, backlog=_BACKLOG, ssl=context
        )
        self.address = self._server.sockets[0].getsockname()[:2]

    def _context(self) -> ssl.SSLContext | None:
        if self._certificates is None:
            return None
        fault = self._world.handshake_fault()
        return self._certificates.context(None if fault is None else fault.name)

    async def _unlisten(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for each in self._black_hole:
            each.close()
        self._black_hole.clear()

    def _open_black_hole(self) -> None:
        """Listen with a queue for one, and fill it: further handshakes of TCP go unanswered."""
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

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 -- asyncio runs this in a task of its own
        self._conversations.add(task)
        try:
            fault = self._world.handshake_fault()
            if fault is not None and not self._speaks_tls:
                await self._refuse_handshake(fault.name, reader, writer)
            else:
                await self._converse(reader, writer)
        except (OSError, asyncio.IncompleteReadError, BadRequestError, asyncio.CancelledError):
            pass  # a client that goes away is no news, and a cancelled server is closing
        finally:
            self._conversations.discard(task)
            writer.close()

    async def _refuse_handshake(
        self, fault: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Behave as one who cannot, or will not, speak TLS."""
        await reader.read(_CLIENT_HELLO_BYTES)
        if fault == "not_tls":
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await writer.drain()
        if fault == "handshake_hang":
            await asyncio.sleep(HOLD_SECONDS)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await read_request(reader)) is not None:
            decision = self._world.decide(request, time.time())
            answer = await self._timed(decision, request)
            self._world.log(request, decision, answer.status, time.time())
            fault = decision.fault
            if fault is not None and fault.stage is Stage.WIRE:
                await MISBEHAVIOURS[fault.name](writer, answer)
                return
            writer.write(head(answer, close=request.wants_close) + answer.body)
            await writer.drain()
            if request.wants_close or decision.tenant is None:
                return

    async def _timed(self, decision: Decision, request: Request) -> Answer:
        """Take the platform's time, and state it as it truly was."""
        if decision.server_seconds is None:
            return decision.answer
        began = time.perf_counter()
        await asyncio.sleep(decision.server_seconds)
        taken_ms = (time.perf_counter() - began) * 1000
        timed = decision.answer.with_header(TIMING, f"total;dur={taken_ms:.3f}")
        return timed if decision.fault is None else decision.fault.alter(timed, request)
