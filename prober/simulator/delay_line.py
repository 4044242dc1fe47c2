"""A stretch of network: relays TCP, delays what comes back, and can be cut."""

import asyncio
from contextlib import suppress

_CHUNK_BYTES = 64 * 1024
_IN_FLIGHT_CHUNKS = 64


class DelayLine:
    """Relays connections to `target`; whatever the target sends arrives `delay_seconds` later."""

    def __init__(self, target: tuple[str, int], delay_seconds: float = 0.0) -> None:
        self.delay_seconds = delay_seconds
        self._target = target
        self._address = ("127.0.0.1", 0)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Return the port, which stays the same when the line is cut and restored."""
        return self._address[1]

    @property
    def is_cut(self) -> bool:
        """Tell whether connections are refused."""
        return self._server is None

    async def start(self) -> None:
        """Begin to relay."""
        self._server = await asyncio.start_server(self._accepted, *self._address)
        self._address = self._server.sockets[0].getsockname()[:2]

    async def cut(self) -> None:
        """Refuse new connections and drop those that are open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def restore(self) -> None:
        """Relay again."""
        if self._server is None:
            await self.start()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 -- asyncio runs this in a task of its own
        self._connections.add(task)
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            try:
                await self._relay((reader, writer), (far_reader, far_writer))
            finally:
                far_writer.close()
        except (OSError, asyncio.CancelledError):
            pass  # either end may go away at any time
        finally:
            self._connections.discard(task)
            writer.close()

    async def _relay(
        self,
        near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        """Relay until the target has closed, or either end fails."""
        there = asyncio.create_task(_pass_on(near[0], far[1]), name="delay line: there")
        back = asyncio.create_task(self._pass_back(far[0], near[1]), name="delay line: back")
        try:
            await back
        finally:
            for task in (there, back):
                task.cancel()
            await asyncio.gather(there, back, return_exceptions=True)

    async def _pass_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clock = asyncio.get_running_loop().time
        line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_IN_FLIGHT_CHUNKS)

        async def receive() -> None:
            data = b"-"
            while data:
                try:
                    data = await reader.read(_CHUNK_BYTES)
                except OSError:
                    data = b""
                await line.put((clock() + self.delay_seconds, data))

        receiving = asyncio.create_task(receive(), name="delay line: receive")
        try:
            while True:
                due, data = await line.get()
                await asyncio.sleep(max(0.0, due - clock()))
                if not data:
                    return
                writer.write(data)
                await writer.drain()
        finally:
            receiving.cancel()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
