"""An API and a network that take a known time, known by the kernel's own receive stamps.

A program of its own. Each response is delayed by a server's and a network's time. Whatever was
ordered, what it really took is measured: from the kernel's stamp of the request to the moment
before the response is sent. `Server-Timing` bears the server's part, `X-Network` the rest, both in
milliseconds, and `X-Number` counts the requests. `GET /truth` returns, as a list by that number,
[path, true seconds from request to response, seconds that the sending call took, seconds that this
side of a TLS handshake took].
No two responses take equally long: at an even pace each would else come just when another run
begins.
"""

import argparse
import heapq
import json
import random
import selectors
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass, field

from prober.http_client.kernel_timing import (
    StampingEnabled,
    enable_receive_stamps,
    read_clocks,
    stamp_of,
)

NETWORK_HEADER = "x-network"
NUMBER_HEADER = "x-number"
TRUTH_PATH = "/truth"
_BODY = b'{"status": "ok", "datasets": [{}]}'
_HEAD = (
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
    "Connection: close\r\nServer-Timing: total;dur={server:.4f}\r\nX-Network: {network:.4f}\r\n"
    "X-Number: {number}\r\n\r\n"
)
_ANCILLARY_BYTES = 128
_MILLISECOND = 1e6


@dataclass(slots=True)
class Connection:
    """One client; nanoseconds of the monotonic clock. `tls` is None on a plain one."""

    socket: socket.socket
    tls: ssl.SSLObject | None = None
    incoming: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)
    outgoing: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)
    arrived: int = 0
    handshake: int = 0
    has_shaken_hands: bool = False

    def receive(self) -> bytes | None:
        """Return what was received, None if it was for TLS alone, b"" at the end."""
        try:
            data, ancillary, _, _ = self.socket.recvmsg(65536, _ANCILLARY_BYTES)
        except OSError:
            return b""
        clocks = read_clocks()
        stamp = stamp_of(ancillary)
        self.arrived = clocks.monotonic if stamp is None else stamp - clocks.offset
        if self.tls is None or not data:
            return data
        self.incoming.write(data)
        try:
            if not self.has_shaken_hands:
                self._shake_hands(self.tls)
            return self.tls.read(65536)
        except ssl.SSLWantReadError:
            return None
        except (ssl.SSLError, OSError):
            return b""

    def send(self, data: bytes) -> tuple[int, int]:
        """Send data; return the times before and after the system call."""
        if self.tls is not None:
            self.tls.write(data)
            data = self.outgoing.read()
        before = time.perf_counter_ns()
        with suppress(OSError):
            self.socket.send(data)
        return before, time.perf_counter_ns()

    def _shake_hands(self, tls: ssl.SSLObject) -> None:
        try:
            tls.do_handshake()
            self.has_shaken_hands = True
        finally:
            flight = self.outgoing.read()
            if flight:
                if not self.has_shaken_hands:  # no client waits for what follows
                    self.handshake += time.perf_counter_ns() - self.arrived
                self.socket.send(flight)


class TimedServer:
    """One thread, one selector, one heap of responses that are due."""

    def __init__(
        self,
        port: int,
        server_seconds: float,
        network_seconds: float,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._stamping = StampingEnabled()
        self._server_seconds = server_seconds
        self._network_seconds = network_seconds
        self._context = context
        self._selector = selectors.DefaultSelector()
        self._due: list[tuple[int, int, int, int, Connection]] = []
        self._truth: list[tuple[str, float, float, float]] = []
        self._listening = socket.create_server(("127.0.0.1", port), backlog=1024)
        enable_receive_stamps(self._listening)  # accepted sockets inherit it
        self._listening.setblocking(False)
        self._selector.register(self._listening, selectors.EVENT_READ)

    def serve(self) -> None:
        """Serve until ended."""
        while True:
            wait = None
            if self._due:
                wait = max(0.0, (self._due[0][0] - time.perf_counter_ns()) / 1e9)
            for key, _ in self._selector.select(wait):
                if key.data is None:
                    self._accept()
                else:
                    self._receive(key.data)
            while self._due and self._due[0][0] <= time.perf_counter_ns():
                self._respond(*heapq.heappop(self._due)[1:])

    def _accept(self) -> None:
        accepted, _ = self._listening.accept()
        enable_receive_stamps(accepted)
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(accepted)
        if self._context is not None:
            connection.tls = self._context.wrap_bio(
                connection.incoming, connection.outgoing, server_side=True
            )
        self._selector.register(accepted, selectors.EVENT_READ, connection)

    def _receive(self, connection: Connection) -> None:
        data = connection.receive()
        if data is None:
            return
        if not data.endswith(b"\r\n\r\n"):  # it closes: no client sends less than a whole head
            self._selector.unregister(connection.socket)
            connection.socket.close()
            return
        path = data.split(b" ", 2)[1].decode()
        if path == TRUTH_PATH:
            self._tell(connection)
            return
        server = round(_about(self._server_seconds) * 1e9)
        due = connection.arrived + server + round(_about(self._network_seconds) * 1e9)
        number = len(self._truth)
        self._truth.append((path, 0.0, 0.0, 0.0))
        heapq.heappush(self._due, (due, number, connection.arrived, server, connection))

    def _respond(self, number: int, arrived: int, server: int, connection: Connection) -> None:
        network = time.perf_counter_ns() - arrived - server
        head = _HEAD.format(
            length=len(_BODY),
            server=server / _MILLISECOND,
            network=network / _MILLISECOND,
            number=number,
        )
        before, after = connection.send(head.encode() + _BODY)
        path = self._truth[number][0]
        self._truth[number] = (
            path,
            (before - arrived) / 1e9,
            (after - before) / 1e9,
            connection.handshake / 1e9,
        )

    def _tell(self, connection: Connection) -> None:
        body = json.dumps(self._truth).encode()
        head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        content = head.encode() + body
        if connection.tls is not None:
            connection.tls.write(content)
            content = connection.outgoing.read()
        connection.socket.setblocking(True)
        connection.socket.sendall(content)
        connection.socket.setblocking(False)


def _about(seconds: float) -> float:
    return seconds * random.uniform(0.5, 1.5)  # noqa: S311 -- no secret


def main() -> None:
    """Serve until ended."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("port", type=int)
    arguments.add_argument("--server-ms", type=float, default=40.0)
    arguments.add_argument("--network-ms", type=float, default=20.0)
    arguments.add_argument("--certificate", help="PEM file with key and chain: serve TLS")
    options = arguments.parse_args()
    context = None
    if options.certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate)
    seconds = options.server_ms / 1e3, options.network_ms / 1e3
    TimedServer(options.port, *seconds, context).serve()


if __name__ == "__main__":
    main()
