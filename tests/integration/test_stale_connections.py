"""A server may close a kept connection at any time; what it received is what the result says.

The server counts connections and requests: a request is repeated once, and never silently.
"""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import trustme
from pydantic import SecretStr

from prober.classifier.rules import classify
from prober.http_client.client import ProbeHttpClient
from prober.http_client.timing import EventLoopLagMonitor
from prober.models import (
    ConnectionPolicy,
    Expectations,
    HttpExchange,
    Request,
    TransportOptions,
)
from prober.outcomes import FailureKind
from tests.builders import a_probe, a_transport

_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
_INTERIM = b"HTTP/1.1 103 Early Hints\r\n\r\n"
_STALE_WORDS = "the server had closed a kept connection"

Behaviour = Callable[["Server", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """Serves one request well on each connection, and then does as `second` says."""

    second: Behaviour
    always: bool = False
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            if not (self.always and self.connections > 1):
                await self.respond(reader, writer)
            await self.second(self, reader, writer)
        writer.close()

    async def receive(self, reader: asyncio.StreamReader) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = [
            int(line[15:]) for line in head.lower().split(b"\r\n") if b"content-length:" in line
        ]
        body = await reader.readexactly(length[0]) if length else b""
        self.requests.append(head.split(b" ")[0] + b" " + body)

    async def respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.receive(reader)
        writer.write(_RESPONSE)
        await writer.drain()


async def _serve_on(
    server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await server.respond(reader, writer)


async def _close(server: Server, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close while nothing is under way."""
    writer.close()
    await writer.wait_closed()
    server.closed.set()


async def _reset(server: Server, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    server.closed.set()


async def _close_at_first_byte(
    server: Server, reader: asyncio.StreamReader, _: asyncio.StreamWriter
) -> None:
    """Close with most of the request unread, which the kernel turns into a reset."""
    await reader.readexactly(1)
    server.requests.append(b"begun")


async def _close_after_request(
    server: Server, reader: asyncio.StreamReader, _: asyncio.StreamWriter
) -> None:
    await server.receive(reader)


async def _reset_after_request(
    server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await server.receive(reader)
    writer.transport.abort()


async def _close_within_head(
    server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await server.receive(reader)
    writer.write(_RESPONSE[:9])
    await writer.drain()


async def _close_after_interim(
    server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await server.receive(reader)
    writer.write(_INTERIM)
    await writer.drain()


@asynccontextmanager
async def running(server: Server, authority: trustme.CA | None) -> AsyncIterator[Server]:
    context = None
    if authority is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(context)
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context) as listening:
        scheme = "http" if authority is None else "https"
        server.url = f"{scheme}://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
        yield server


@pytest.fixture(params=["http", "https"])
def authority(request: pytest.FixtureRequest) -> trustme.CA | None:
    return trustme.CA() if request.param == "https" else None


@pytest.fixture
def options(authority: trustme.CA | None, tmp_path: Path) -> TransportOptions:
    if authority is None:
        return a_transport(proxy_from_environment=False)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return a_transport(proxy_from_environment=False, ca_file=tmp_path / "ca.pem")


@dataclass
class Connections:
    """How clients and servers connect: by HTTP or HTTPS."""

    authority: trustme.CA | None
    options: TransportOptions

    @asynccontextmanager
    async def after_a_first(
        self, server: Server, method: str
    ) -> AsyncIterator[Callable[[], Awaitable[HttpExchange]]]:
        """Serve, and send a first request on a kept connection. What is yielded sends another."""
        async with (
            running(server, self.authority),
            after_a_first(server, method, self.options) as send,
        ):
            yield send


@pytest.fixture
def connections(authority: trustme.CA | None, options: TransportOptions) -> Connections:
    return Connections(authority, options)


PROBE = a_probe(connection=ConnectionPolicy.REUSE, timeout_seconds=30.0)


def a_request(server: Server, method: str) -> Request:
    body = b'{"size": 1}' if method == "POST" else None
    return Request(method, server.url, (), body, SecretStr("Bearer x"), ())


def the_request(method: str) -> bytes:
    return b'POST {"size": 1}' if method == "POST" else b"GET "


@asynccontextmanager
async def after_a_first(
    server: Server, method: str, options: TransportOptions
) -> AsyncIterator[Callable[[], Awaitable[HttpExchange]]]:
    """A client with a kept connection; what is yielded sends the request."""
    async with ProbeHttpClient(EventLoopLagMonitor()) as client:

        async def send() -> HttpExchange:
            return await client.exchange(a_request(server, method), PROBE, options)

        first = await send()
        assert first.failure is None
        assert (first.connection_reused, first.stale_connection_retries) == (False, 0)
        yield send


METHODS = pytest.mark.parametrize("method", ["GET", "POST"])


@METHODS
async def test_an_open_connection_is_used_again(method: str, connections: Connections) -> None:
    server = Server(_serve_on)
    async with connections.after_a_first(server, method) as send:
        second = await send()
    assert second.connection_reused
    assert second.stale_connection_retries == 0
    assert (server.connections, server.requests) == (1, [the_request(method)] * 2)


@METHODS
@pytest.mark.parametrize("closing", [_close, _reset])
async def test_a_connection_that_was_closed_is_not_used(
    method: str, closing: Behaviour, connections: Connections
) -> None:
    server = Server(closing)
    async with connections.after_a_first(server, method) as send:
        await server.closed.wait()
        second = await send()
    assert second.failure is None
    assert not second.connection_reused
    assert second.phases.connect is not None
    assert second.stale_connection_retries == 0
    assert (server.connections, server.requests) == (2, [the_request(method)] * 2)


@METHODS
@pytest.mark.parametrize(
    "closing", [_close_at_first_byte, _close_after_request, _reset_after_request]
)
async def test_a_request_without_a_response_is_sent_once_more_on_a_new_connection(
    method: str, closing: Behaviour, connections: Connections
) -> None:
    server = Server(closing)
    async with connections.after_a_first(server, method) as send:
        second = await send()
    assert second.failure is None
    assert second.stale_connection_retries == 1
    assert not second.connection_reused
    assert second.phases.connect is not None
    assert (second.phases.tls is None) == (connections.authority is None)
    assert sum(seconds for _, seconds in second.phases.as_pairs()) == pytest.approx(
        second.total_seconds
    )
    assert server.connections == 2
    assert len(server.requests) == 3
    assert server.requests[-1] == the_request(method)
    assert _STALE_WORDS in classify(second, Expectations()).facts["stale_connection"]


@METHODS
@pytest.mark.parametrize("closing", [_close_at_first_byte, _close_after_request])
async def test_a_repeated_request_is_not_repeated_again(
    method: str, closing: Behaviour, connections: Connections
) -> None:
    server = Server(closing, always=True)
    async with connections.after_a_first(server, method) as send:
        second = await send()
    assert second.failure is not None
    assert second.failure.kind is FailureKind.CONNECTION_RESET
    assert second.stale_connection_retries == 1
    assert (server.connections, len(server.requests)) == (2, 3)
    assert _STALE_WORDS in classify(second, Expectations()).evidence


@METHODS
@pytest.mark.parametrize("closing", [_close_within_head, _close_after_interim])
async def test_a_request_that_was_responded_to_is_not_repeated(
    method: str, closing: Behaviour, connections: Connections
) -> None:
    server = Server(closing)
    async with connections.after_a_first(server, method) as send:
        second = await send()
    assert second.failure is not None
    assert second.connection_reused
    assert second.stale_connection_retries == 0
    assert (server.connections, server.requests) == (1, [the_request(method)] * 2)


@METHODS
async def test_a_request_on_a_new_connection_is_not_repeated(
    method: str, authority: trustme.CA | None, options: TransportOptions
) -> None:
    async with (
        running(Server(_close_after_request, always=True, connections=1), authority) as server,
        ProbeHttpClient(EventLoopLagMonitor()) as client,
    ):
        only = await client.exchange(a_request(server, method), PROBE, options)
    assert only.failure is not None
    assert only.stale_connection_retries == 0
    assert (server.connections, server.requests) == (2, [the_request(method)])


@METHODS
async def test_a_repeated_request_uses_no_other_kept_connection(
    method: str, connections: Connections
) -> None:
    """Several connections are kept, and the server closes each at its second request."""
    server = Server(_close_after_request)
    async with connections.after_a_first(server, method) as send:
        # One of these repeats its request; afterwards there are three kept connections.
        await asyncio.gather(send(), send(), send())
        before = server.connections
        result = await send()
    assert result.stale_connection_retries == 1
    assert server.connections == before + 1


async def test_the_new_connection_is_kept(connections: Connections) -> None:
    """Each connection serves one request, so the third run finds a stale connection again."""
    server = Server(_close_after_request)
    async with connections.after_a_first(server, "POST") as send:
        assert [(await send()).stale_connection_retries for _ in range(2)] == [1, 1]
    assert (server.connections, len(server.requests)) == (3, 5)


@METHODS
async def test_a_close_that_the_event_loop_has_not_read_is_found_before_use(method: str) -> None:
    """The server runs in a thread, and the loop is held until it has closed."""
    received: list[bytes] = []
    may_close, has_closed = threading.Event(), threading.Event()

    def serve() -> None:
        for number in range(2):
            connection, _ = listening.accept()
            with connection:
                head = b""
                end = b"}" if method == "POST" else b"\r\n\r\n"
                while not head.endswith(end):
                    head += connection.recv(65536)
                received.append(head)
                connection.sendall(_RESPONSE)
                if number == 0:
                    may_close.wait(30)
                    connection.shutdown(socket.SHUT_RDWR)
            has_closed.set()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Server(_close, url=f"http://127.0.0.1:{listening.getsockname()[1]}/")
        thread = threading.Thread(target=serve)
        thread.start()
        options = a_transport(proxy_from_environment=False)
        async with after_a_first(server, method, options) as send:
            may_close.set()
            has_closed.wait(30)  # no await: the loop reads nothing meanwhile
            second = await send()
        thread.join(30)
    assert second.failure is None
    assert not second.connection_reused
    assert second.stale_connection_retries == 0
    assert len(received) == 2


async def _tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A proxy that opens the tunnel that CONNECT asks for."""

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                target.write(data)
        target.close()

    head = await reader.readuntil(b"\r\n\r\n")
    port = int(head.split(b" ")[1].rpartition(b":")[2])
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))


@METHODS
@pytest.mark.parametrize(
    ("behaviour", "retries"), [(_serve_on, 0), (_close_after_request, 1)], ids=["open", "stale"]
)
@pytest.mark.parametrize("authority", ["https"], indirect=True)
async def test_a_tunnel_of_a_proxy_is_kept_as_any_connection(
    method: str,
    behaviour: Behaviour,
    retries: int,
    authority: trustme.CA | None,
    options: TransportOptions,
) -> None:
    async with await asyncio.start_server(_tunnel, "127.0.0.1", 0) as proxy:
        proxy_url = f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
        async with (
            running(Server(behaviour), authority) as server,
            after_a_first(server, method, replace(options, proxy_url=proxy_url)) as send,
        ):
            second = await send()
    assert second.failure is None
    assert second.via_proxy
    assert second.connection_reused == (retries == 0)
    assert (second.phases.wait is None, second.phases.connect is None) == (False, retries == 0)
    assert second.stale_connection_retries == retries
    assert (server.connections, len(server.requests)) == (1 + retries, 2 + retries)
