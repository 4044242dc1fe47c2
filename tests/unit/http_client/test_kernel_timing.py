"""The timed socket under asyncio and aiohttp, against servers on loopback that know the truth."""

import asyncio
import socket
import ssl
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
import trustme
from aiohttp.abc import AbstractResolver, ResolveResult

from prober.http_client import kernel_timing
from prober.http_client.attempt_timing import AttemptTiming, Phase
from prober.http_client.kernel_timing import (
    StampingEnabled,
    TimedSocket,
    is_closed_by_peer,
    read_tcp_info,
)
from prober.outcomes import TimingFallback

_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_BLOCKED_SECONDS = 0.08

Timings = list[TimedSocket]


@pytest.fixture(autouse=True)
def _stamping() -> object:
    stamping = StampingEnabled()
    yield stamping
    stamping.close()


class _Server(asyncio.Protocol):
    """Answers each request, and CONNECT by passing bytes on to the port that it names."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n"):
            self.transport.write(_RESPONSE)


@asynccontextmanager
async def _serving(host: str, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Server, host, 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def _proxy() -> AsyncIterator[int]:
    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        host, _, port = head.split()[1].decode().rpartition(":")
        further, onward = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_pass_on(reader, onward), _pass_on(further, writer))

    server = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


class _Names(AbstractResolver):
    """Resolves each name to one address that refuses at once and one that accepts."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        assert family == socket.AF_UNSPEC
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=0)
            for address, kind in (("::1", socket.AF_INET6), ("127.0.0.1", socket.AF_INET))
        ]

    async def close(self) -> None:
        pass


@asynccontextmanager
async def _session(
    timing: AttemptTiming | None, context: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[aiohttp.ClientSession, Timings]]:
    made: Timings = []

    def factory(address: tuple[int, int, int, str, tuple[object, ...]]) -> TimedSocket:
        made.append(TimedSocket(address[0], address[1], address[2], timing))
        return made[-1]

    connector = aiohttp.TCPConnector(socket_factory=factory, ssl=context or True, resolver=_Names())
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session, made


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def _contexts(authority: trustme.CA) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "::1", "both.test").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


async def _get(session: aiohttp.ClientSession, url: str, proxy: str | None = None) -> None:
    async with session.get(url, proxy=proxy) as response:
        assert await response.read() == b"ok"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_plain(host: str) -> None:
    timing = AttemptTiming(began=time.perf_counter_ns())
    async with _serving(host) as port, _session(timing) as (session, _):
        await _get(session, f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/")
    assert timing.fallback is None
    # Nobody marks the request here, so all of it belongs to connecting.
    assert set(timing.wire_nanoseconds) == {Phase.RESOLVE, Phase.CONNECT}
    assert timing.wire_nanoseconds[Phase.CONNECT] > 0
    assert timing.bound_nanoseconds > 0


async def test_tls(authority: trustme.CA) -> None:
    server, client = _contexts(authority)
    timing = AttemptTiming(began=time.perf_counter_ns())
    async with _serving("127.0.0.1", server) as port, _session(timing, client) as (session, made):
        await _get(session, f"https://127.0.0.1:{port}/")
        assert made[0].stamps
    assert timing.fallback is None


async def test_tls_through_a_proxy(authority: trustme.CA) -> None:
    server, client = _contexts(authority)
    timing = AttemptTiming(began=time.perf_counter_ns())
    async with (
        _serving("127.0.0.1", server) as port,
        _proxy() as proxy,
        _session(timing, client) as (session, made),
    ):
        await _get(session, f"https://127.0.0.1:{port}/", f"http://127.0.0.1:{proxy}")
        assert len(made) == 1
    assert timing.fallback is None


async def test_the_loser_of_a_race_of_addresses_sends_nothing() -> None:
    timing = AttemptTiming(began=time.perf_counter_ns())
    async with _serving("127.0.0.1") as port, _session(timing) as (session, made):
        await _get(session, f"http://both.test:{port}/")
        assert [each.family for each in made] == [socket.AF_INET6, socket.AF_INET]
        assert [each.connected for each in made] == [False, True]
    assert timing.fallback is None


async def test_a_connection_that_is_used_again_times_each_request_alone() -> None:
    async with _serving("127.0.0.1") as port, _session(None) as (session, made):
        url = f"http://127.0.0.1:{port}/"
        await _get(session, url)
        for _ in range(2):
            timing = AttemptTiming(began=time.perf_counter_ns())
            made[0].use_for(timing)
            timing.request_begins()
            await _get(session, url)
            timing.finished()
            made[0].use_for(None)
            assert timing.reused
            assert timing.fallback is None
            assert set(timing.wire_nanoseconds) == {Phase.SEND, Phase.WAIT}
        assert len(made) == 1


@pytest.mark.parametrize("tls", [False, True])
async def test_a_blocked_loop_does_not_make_the_network_slower(
    authority: trustme.CA, tls: bool
) -> None:
    """The server answers in a thread; the client's loop is held while the answer arrives."""
    server, client = _contexts(authority)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        answered = threading.Event()

        def answer() -> None:
            connection, _ = listening.accept()
            if tls:
                connection = server.wrap_socket(connection, server_side=True)
            while not connection.recv(65536).endswith(b"\r\n\r\n"):
                pass
            connection.sendall(_RESPONSE)
            answered.set()
            connection.recv(1)
            connection.close()

        timing = AttemptTiming(began=time.perf_counter_ns())
        loop = asyncio.get_running_loop()
        answering = loop.run_in_executor(None, answer)
        async with _session(timing, client) as (session, _):
            scheme = "https" if tls else "http"
            request = loop.create_task(_get(session, f"{scheme}://127.0.0.1:{port}/"))
            while not answered.is_set():
                await asyncio.sleep(0)
                if timing.bound_nanoseconds:  # something was sent
                    time.sleep(_BLOCKED_SECONDS)  # noqa: ASYNC251 -- it is what is tested
            time.sleep(_BLOCKED_SECONDS)  # noqa: ASYNC251
            held_until = time.perf_counter_ns()
            await request
        await answering
    timing.finished()
    assert timing.fallback is None
    own = held_until - timing.began - sum(timing.wire_nanoseconds.values())
    assert own >= _BLOCKED_SECONDS * 1e9


def _refuse(_: socket.socket) -> bool:
    return False


@pytest.mark.parametrize(
    ("module_attribute", "replacement", "why"),
    [
        ("enable_receive_stamps", _refuse, TimingFallback.UNSUPPORTED),
        ("stamp_of", lambda _: None, TimingFallback.MISSING_STAMP),
        ("stamp_of", lambda _: time.time_ns() + 10**9, TimingFallback.FUTURE_STAMP),
        ("read_tcp_info", lambda _: None, TimingFallback.UNSUPPORTED),
    ],
)
async def test_without_a_stamp_the_moment_of_the_read_counts(
    monkeypatch: pytest.MonkeyPatch,
    module_attribute: str,
    replacement: Callable[[socket.socket], object],
    why: TimingFallback,
) -> None:
    monkeypatch.setattr(kernel_timing, module_attribute, replacement)
    timing = AttemptTiming(began=time.perf_counter_ns())
    async with _serving("127.0.0.1") as port, _session(timing) as (session, _):
        await _get(session, f"http://127.0.0.1:{port}/")
    timing.finished()
    assert timing.fallback is why
    assert timing.wire_nanoseconds[Phase.CONNECT] > 0


async def test_what_the_kernel_knows_of_a_connection() -> None:
    async with _serving("127.0.0.1") as port, _session(None) as (session, made):
        await _get(session, f"http://127.0.0.1:{port}/")
        info = read_tcp_info(made[0])
        assert info is not None
        assert info.unacknowledged_segments == 0
        assert info.retransmissions == 0
        assert info.rtt_seconds > 0
        assert info.bytes_acknowledged is not None
    assert read_tcp_info(made[0]) is None  # closed


async def test_a_far_end_that_does_not_read_blocks_the_send() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        timing = AttemptTiming(began=0)
        with TimedSocket(socket.AF_INET, socket.SOCK_STREAM, 0, timing) as sock:
            sock.connect(listening.getsockname())
            sock.setblocking(False)
            timing.request_begins()
            block = bytes(1 << 20)

            def fill() -> None:
                for _ in range(1000):
                    sock.send(block)

            with pytest.raises(BlockingIOError):
                fill()
            assert timing.phase is Phase.SEND
            with pytest.raises(BlockingIOError):
                sock.sendmsg([block, block])
            assert timing.phase is Phase.SEND


async def test_an_unused_connection_is_not_kept_alive() -> None:
    with TimedSocket(socket.AF_INET, socket.SOCK_STREAM, 0, AttemptTiming(began=0)) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        sock.use_for(None)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
        sock.use_for(AttemptTiming(began=0))
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


@pytest.mark.parametrize("sends", ["send", "sendmsg"])
async def test_what_a_far_end_said_before_it_closed_is_read(sends: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        timing = AttemptTiming(began=0)
        with TimedSocket(socket.AF_INET, socket.SOCK_STREAM, 0, timing) as sock:
            sock.connect(listening.getsockname())
            far_end, _ = listening.accept()
            sock.send(b"not read")
            far_end.recv(1)
            far_end.send(b"why")
            far_end.close()  # with unread data, so that it resets
            count = sock.send(b"more") if sends == "send" else sock.sendmsg([b"mo", b"re"])
            assert count == 4
            assert sock.recv(100) == b"why"
            assert sock.recv(100) == b""


@pytest.mark.parametrize("unread", [b"", b"a session ticket"])
@pytest.mark.parametrize("ending", ["open", "closed", "reset"])
def test_whether_the_peer_has_closed_is_known_without_reading(unread: bytes, ending: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        near = socket.create_connection(listening.getsockname())
        far, _ = listening.accept()
    with near, far:
        near.setblocking(False)
        far.sendall(unread)
        if ending == "reset":
            far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if ending != "open":
            far.close()
        assert is_closed_by_peer(near) is (ending != "open")
        if ending != "reset" and unread:
            assert near.recv(100) == unread
