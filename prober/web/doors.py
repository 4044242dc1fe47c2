"""One connection of a client: TLS, and bounds on how many there are and how long each may dawdle.

Sockets are accepted here and not by the loop's own server, so that handshakes count as connections,
and each connection takes the certificate that is in force when it is made.
"""

import asyncio
import socket
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError

from prober.access.keeper import AccessKeeper
from prober.access.rules import client_network, is_admitted
from prober.web.headers import answer_headers

_AFTER_AN_ERROR_SECONDS = 0.2
MAX_UNANSWERED_BYTES = 256 * 1024
"""So much may come over a connection before a request on it is answered: heads, bodies, and what
holds nothing, such as the extensions of chunks (RFC 9112, 7.1.1)."""
RESERVED_CONNECTIONS = 16
"""So many are kept for addresses that have none yet: for health and metrics."""
# What reading a request raises when it is not what its head says.
_CLIENTS_MISTAKES = (
    web.RequestPayloadError,
    HttpProcessingError,
    ClientPayloadError,
    ConnectionError,
    zlib.error,
)
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    b"Content-Length: 46\r\n\r\ntoo many connections: see web.max_connections\n"
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many connections there may be, and how long each may dawdle.

    One address has at most `share_of_address` of them.

    `head_seconds` is for TLS, then for a request's head; `stalled_seconds` for who reads slowly,
    from the moment that sending has to wait until nearly all is sent.
    """

    connections: int = 512
    share_of_address: float = 0.5
    head_seconds: float = 10.0
    idle_seconds: float = 75.0
    stalled_seconds: float = 60.0


class Doors:
    """All connections of one server."""

    def __init__(self, keeper: AccessKeeper | None = None, bounds: Bounds | None = None) -> None:
        self.keeper = keeper or AccessKeeper()
        self.bounds = bounds or Bounds()
        self._open: dict[Door, str] = {}
        self._of_address: Counter[str] = Counter()
        self._handshakes: set[asyncio.Task[None]] = set()

    @property
    def number(self) -> int:
        """How many clients are connected."""
        return len(self._open)

    async def take_in(self, listener: socket.socket, server: web.Server) -> None:
        """Take in whoever connects, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, peer = await loop.sock_accept(listener)
            except OSError:  # out of descriptors, or whoever it was has left
                await asyncio.sleep(_AFTER_AN_ERROR_SECONDS)
                continue
            address = client_network(str(peer[0]))
            if not self._has_room_for(address):
                self._turn_away(accepted)
                continue
            door = Door(self, server, loop)
            self._open[door] = address
            self._of_address[address] += 1
            task = loop.create_task(self._shake_hands(accepted, door), name="new connection")
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    def left(self, door: "Door") -> None:
        """Count a connection no longer."""
        address = self._open.pop(door, None)
        if address is not None:
            self._of_address[address] -= 1
            if not self._of_address[address]:
                del self._of_address[address]

    def _has_room_for(self, address: str) -> bool:
        """Tell whether an address may have one more connection.

        One that has none yet may have it while there is any; others leave a few for such ones.
        """
        most, mine = self.bounds.connections, self._of_address[address]
        if mine == 0:
            return self.number < most
        reserved = min(RESERVED_CONNECTIONS, most // 4)
        share = max(1, int(most * self.bounds.share_of_address))
        return self.number < most - reserved and mine < share

    def close(self) -> None:
        """End what has not got as far as a request; the rest ends with its server."""
        for task in list(self._handshakes):
            task.cancel()

    async def _shake_hands(self, accepted: socket.socket, door: "Door") -> None:
        loop, context = asyncio.get_running_loop(), self.keeper.context
        limit = None if context is None else self.bounds.head_seconds
        try:
            await loop.connect_accepted_socket(
                lambda: door, accepted, ssl=context, ssl_handshake_timeout=limit
            )
        except OSError:  # a stranger's mistake: no certificate, no TLS at all
            self.left(door)
        except asyncio.CancelledError:
            self.left(door)
            raise

    def _turn_away(self, accepted: socket.socket) -> None:
        with accepted, suppress(OSError):
            if self.keeper.context is None:
                accepted.send(_FULL)


class Door(web.RequestHandler):
    """One connection."""

    def __init__(self, doors: Doors, server: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # as the library's own runner takes it
            keepalive_timeout=doors.bounds.idle_seconds,
            lingering_time=0,  # what was refused is not read to its end
        )
        self._doors = doors
        self._reads_head = False
        self._requests = 0
        self._unanswered_bytes = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request, after TLS if there is any."""
        super().connection_made(transport)
        certificate = transport.get_extra_info("peercert")
        if is_admitted(self._doors.keeper.access.tls, certificate):
            self._expect_within(self._doors.bounds.head_seconds)
        else:
            self._give_up()

    def data_received(self, data: bytes) -> None:
        """Read on; from the first byte of a request on, its head has to come in time."""
        self._unanswered_bytes += len(data)
        if self._unanswered_bytes > MAX_UNANSWERED_BYTES:
            self._give_up()
            return
        if not (self._reads_head or self._requests):
            self._reads_head = True
            self._expect_within(self._doors.bounds.head_seconds)
        super().data_received(data)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Wait as long as an answer takes."""
        self._requests += 1
        self._reads_head = False
        self._silence()
        try:
            yield
        finally:
            self._requests -= 1
            self._unanswered_bytes = 0
            self._expect_within(self._doors.bounds.idle_seconds)

    def pause_writing(self) -> None:
        """Wait for who reads slowly, but not for ever: what is unread is held in memory."""
        super().pause_writing()
        self._stall = self._loop.call_later(self._doors.bounds.stalled_seconds, self._give_up)

    def resume_writing(self) -> None:
        """Send on."""
        super().resume_writing()
        if self._stall is not None:
            self._stall.cancel()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget it."""
        self._silence()
        if self._stall is not None:
            self._stall.cancel()
        self._doors.left(self)
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP without a word in the log, and with the headers of all answers."""
        if status == web.HTTPBadRequest.status_code or isinstance(exc, _CLIENTS_MISTAKES):
            answer: web.StreamResponse = web.Response(status=400, text="this is no HTTP\n")
            answer.force_close()
        else:
            answer = super().handle_error(request, status, exc, message)
        headers = answer_headers(self._doors.keeper.access.headers, is_tls=request.secure)
        answer.headers.update(headers)
        return answer

    def log_exception(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 -- the library's
        """Log a fault of ours; what a client does wrong is none."""
        if not isinstance(kwargs.get("exc_info"), _CLIENTS_MISTAKES):
            super().log_exception(*args, **kwargs)

    def _expect_within(self, seconds: float) -> None:
        self._silence()
        self._alarm = self._loop.call_later(seconds, self._give_up)

    def _silence(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()

    def _give_up(self) -> None:
        if self.transport is not None:
            self.transport.abort()
