"""An API and a network that take a known time, known by the kernel's own receive stamps.

A program of its own. Each response is delayed by a server's and a network's time. Whatever was
ordered, what it really took is measured: from the kernel's stamp of the request to the moment
before the response is sent. `Server-Timing` bears the server's part, `X-Network` the rest, both in
milliseconds, and `X-Number` counts the requests. `GET /truth` returns, as a list by that number,
[path, true seconds from request to response, seconds that the sending call took].
No two responses take equally long: at an even pace each would else come just when another run
begins.
"""

import argparse
import heapq
import json
import random
import selectors
import socket
import time

from prober.http_client.kernel_timing import (
    StampingEnabled,
    enable_receive_stamps,
    read_clocks,
    stamp_of,
)

NETWORK_HEADER = "x-network"
NUMBER_HEADER = "x-number"
TRUTH_PATH = "/truth"
_BODY = b'{"status": "ok", "datasets": []}'
_HEAD = (
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
    "Connection: close\r\nServer-Timing: total;dur={server:.4f}\r\nX-Network: {network:.4f}\r\n"
    "X-Number: {number}\r\n\r\n"
)
_ANCILLARY_BYTES = 128
_MILLISECOND = 1e6


class TimedServer:
    """One thread, one selector, one heap of responses that are due."""

    def __init__(self, port: int, server_seconds: float, network_seconds: float) -> None:
        self._stamping = StampingEnabled()
        self._server_seconds = server_seconds
        self._network_seconds = network_seconds
        self._selector = selectors.DefaultSelector()
        self._due: list[tuple[int, int, int, int, socket.socket]] = []
        self._truth: list[tuple[str, float, float]] = []
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
                if key.fileobj is self._listening:
                    self._accept()
                else:
                    self._receive(key.fileobj)  # type: ignore[arg-type]
            while self._due and self._due[0][0] <= time.perf_counter_ns():
                self._respond(*heapq.heappop(self._due)[1:])

    def _accept(self) -> None:
        connection, _ = self._listening.accept()
        enable_receive_stamps(connection)
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(connection, selectors.EVENT_READ)

    def _receive(self, connection: socket.socket) -> None:
        try:
            data, ancillary, _, _ = connection.recvmsg(65536, _ANCILLARY_BYTES)
        except OSError:
            data, ancillary = b"", []
        clocks = read_clocks()
        if not data.endswith(b"\r\n\r\n"):  # it closes: no client sends less than a whole head
            self._selector.unregister(connection)
            connection.close()
            return
        path = data.split(b" ", 2)[1].decode()
        if path == TRUTH_PATH:
            self._tell(connection)
            return
        stamp = stamp_of(ancillary)
        arrived = clocks.monotonic if stamp is None else stamp - clocks.offset
        server = round(_about(self._server_seconds) * 1e9)
        due = arrived + server + round(_about(self._network_seconds) * 1e9)
        number = len(self._truth)
        self._truth.append((path, 0.0, 0.0))
        heapq.heappush(self._due, (due, number, arrived, server, connection))

    def _respond(self, number: int, arrived: int, server: int, connection: socket.socket) -> None:
        network = time.perf_counter_ns() - arrived - server
        head = _HEAD.format(
            length=len(_BODY),
            server=server / _MILLISECOND,
            network=network / _MILLISECOND,
            number=number,
        )
        response = head.encode() + _BODY
        before = time.perf_counter_ns()
        try:
            connection.send(response)
        except OSError:
            return
        after = time.perf_counter_ns()
        path = self._truth[number][0]
        self._truth[number] = (path, (before - arrived) / 1e9, (after - before) / 1e9)

    def _tell(self, connection: socket.socket) -> None:
        body = json.dumps(self._truth).encode()
        head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.setblocking(True)
        connection.sendall(head.encode() + body)
        connection.setblocking(False)


def _about(seconds: float) -> float:
    return seconds * random.uniform(0.5, 1.5)  # noqa: S311 -- no secret


def main() -> None:
    """Serve until ended."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("port", type=int)
    arguments.add_argument("--server-ms", type=float, default=40.0)
    arguments.add_argument("--network-ms", type=float, default=20.0)
    options = arguments.parse_args()
    TimedServer(options.port, options.server_ms / 1e3, options.network_ms / 1e3).serve()


if __name__ == "__main__":
    main()
