"""The least error that this machine allows: a bare socket asks `known_target`, at an even pace.

A program of its own; it knows nothing of HTTP, and takes the time as soon as bytes have come. What
it errs by is the target's own loop, the system, and the other programs on the machine. Prints JSON:
the errors of the network's time, in seconds.
"""

import argparse
import asyncio
import json
import time

import uvloop

_REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class _Asking(asyncio.Protocol):
    def __init__(self, errors: list[float]) -> None:
        self._errors = errors
        self._received = b""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._sent_at = time.perf_counter()
        transport.write(_REQUEST)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._received_at = time.perf_counter()
        self._received += data

    def connection_lost(self, _: Exception | None) -> None:
        head = self._received.partition(b"\r\n\r\n")[0].decode().lower()
        known = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
        server = float(known["server-timing"].partition("dur=")[2])
        true_seconds = (server + float(known["x-network"])) / 1e3
        self._errors.append(self._received_at - self._sent_at - true_seconds)
        self.ended.set_result(None)


async def _errors(port: int, rate: float, number: int) -> list[float]:
    errors: list[float] = []
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def ask() -> None:
        _, asking = await loop.create_connection(lambda: _Asking(errors), "127.0.0.1", port)
        await asking.ended

    async with asyncio.TaskGroup() as group:
        for count in range(number):
            await asyncio.sleep(began + count / rate - loop.time())
            group.create_task(ask())
    return errors


def main() -> None:
    """Ask so many times, and tell."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("port", type=int)
    arguments.add_argument("--rate", type=float, required=True)
    arguments.add_argument("--number", type=int, required=True)
    options = arguments.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(_errors(options.port, options.rate, options.number))))  # noqa: T201


if __name__ == "__main__":
    main()
