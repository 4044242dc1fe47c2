"""A platform and a network that take a known time: each answer tells how long they really took.

A program of its own. A timer of an event loop is exact to a millisecond, so what was ordered is not
what was had: `Server-Timing` bears the server's true time, `X-Network` the true delay after it,
both in milliseconds, measured up to the moment at which the answer is handed to the system. No two
take equally long: at an even pace each answer would else come just when another run begins.
"""

import argparse
import asyncio
import random
import time

import uvloop

NETWORK_HEADER = "x-network"
_BODY = b'{"status": "ok", "datasets": []}'
_HEAD = (
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
    "Connection: close\r\nServer-Timing: total;dur={server:.4f}\r\nX-Network: {network:.4f}\r\n\r\n"
)


class _Answering(asyncio.Protocol):
    def __init__(self, server_seconds: float, network_seconds: float) -> None:
        self._server_seconds = server_seconds
        self._network_seconds = network_seconds
        self._received = b""
        self._began = 0.0
        self._done = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.endswith(b"\r\n\r\n"):
            self._began = time.perf_counter()
            asyncio.get_running_loop().call_later(_about(self._server_seconds), self._served)

    def _served(self) -> None:
        self._done = time.perf_counter()
        asyncio.get_running_loop().call_later(_about(self._network_seconds), self._arrived)

    def _arrived(self) -> None:
        server = (self._done - self._began) * 1e3
        network = (time.perf_counter() - self._done) * 1e3
        head = _HEAD.format(length=len(_BODY), server=server, network=network)
        self._transport.write(head.encode() + _BODY)
        self._transport.close()


def _about(seconds: float) -> float:
    return seconds * random.uniform(0.5, 1.5)  # noqa: S311 -- no secret


def main() -> None:
    """Serve until ended."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("port", type=int)
    arguments.add_argument("--server-ms", type=float, default=40.0)
    arguments.add_argument("--network-ms", type=float, default=20.0)
    options = arguments.parse_args()

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(
            lambda: _Answering(options.server_ms / 1e3, options.network_ms / 1e3),
            "127.0.0.1",
            options.port,
            backlog=1024,
        )
        await server.serve_forever()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


if __name__ == "__main__":
    main()
