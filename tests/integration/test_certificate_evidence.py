"""A certificate that fails verification is evidence: who issued it, to whom, and its dates.

It is read in a second handshake on a connection of its own, over which nothing is sent.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from pydantic import SecretStr

from prober.classifier.rules import classify
from prober.http_client import certificate_inspector
from prober.http_client.certificate_inspector import (
    CertificateInspector,
    TlsServer,
    parse_certificate,
)
from prober.http_client.client import ProbeHttpClient
from prober.http_client.timing import EventLoopLagMonitor
from prober.models import Expectations, HttpExchange, Request, TransportOptions, Verdict
from prober.outcomes import Culprit, Reason
from prober.recorded.parse import parse_recorded
from prober.render.documents import explanation_document
from tests.builders import a_probe, a_transport

PAST, FUTURE = (
    tuple(datetime(year, 1, 1, tzinfo=UTC) for year in years)
    for years in ((2001, 2002), (2200, 2201))
)
GOOD = (PAST[0], FUTURE[1])
TOKEN = "the-secret-token"
OUR_AUTHORITY, THEIR_AUTHORITY = "Good Authority", "Inspecting Proxy"


@dataclass
class Server:
    """A TLS server that counts connections, and keeps whatever is sent within TLS."""

    port: int = 0
    connections: int = 0
    received: bytearray = field(default_factory=bytearray)
    has_received: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True)
class World:
    """An authority that the tenant trusts, and one that it does not."""

    ca_file: Path
    ours: trustme.CA
    theirs: trustme.CA

    def certificate(self, kind: str) -> trustme.LeafCert:
        authority = self.theirs if kind.startswith("inspected") else self.ours
        name = "other.test" if kind == "another-host" else "127.0.0.1"
        since, until = {
            "expired": PAST,
            "inspected-and-expired": PAST,
            "not-yet-valid": FUTURE,
        }.get(kind, GOOD)
        return authority.issue_cert(
            name, common_name="the server", not_before=since, not_after=until
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    ours = trustme.CA(organization_name=OUR_AUTHORITY)
    theirs = trustme.CA(organization_name=THEIR_AUTHORITY)
    file = tmp_path_factory.mktemp("tls") / "ca.pem"
    ours.cert_pem.write_to_path(file)
    return World(file, ours, theirs)


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[int]:
    """Serve connections on a port; afterwards none is left."""
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # the client refused the certificate, or the test is over
        finally:
            writer.transport.abort()
            await asyncio.sleep(0)  # the transport closes its socket in the next turn of the loop

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def serving(leaf: trustme.LeafCert) -> AsyncIterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    server = Server()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        await writer.start_tls(context)
        while data := await reader.read(65_536):
            server.received += data
            server.has_received.set()

    async with listening(serve) as server.port:
        yield server


async def probe_once(
    client: ProbeHttpClient, port: int, options: TransportOptions
) -> tuple[HttpExchange, Verdict]:
    authorization, secrets = SecretStr(f"Bearer {TOKEN}"), (SecretStr(TOKEN),)
    request = Request("GET", f"https://127.0.0.1:{port}/api", (), None, authorization, secrets)
    exchange = await client.exchange(request, a_probe(), options)
    return exchange, classify(exchange, Expectations())


def trusting(world: World) -> TransportOptions:
    return a_transport(ca_file=world.ca_file)


CASES = {
    "expired": (Reason.CERTIFICATE_EXPIRED, Culprit.PLATFORM, OUR_AUTHORITY),
    "not-yet-valid": (Reason.CERTIFICATE_EXPIRED, Culprit.PLATFORM, OUR_AUTHORITY),
    "inspected": (Reason.TLS_CERTIFICATE, Culprit.NETWORK, THEIR_AUTHORITY),
    "inspected-and-expired": (Reason.TLS_CERTIFICATE, Culprit.NETWORK, THEIR_AUTHORITY),
    "another-host": (Reason.CERTIFICATE_NAME_MISMATCH, Culprit.UNDECIDED, OUR_AUTHORITY),
}


@pytest.mark.parametrize("kind", CASES)
async def test_a_bad_certificate_is_shown_and_nothing_is_sent(world: World, kind: str) -> None:
    reason, culprit, issuer = CASES[kind]
    leaf = world.certificate(kind)
    async with serving(leaf) as server, ProbeHttpClient(EventLoopLagMonitor()) as client:
        exchange, verdict = await probe_once(client, server.port, trusting(world))

    assert (verdict.reason, verdict.culprit) == (reason, culprit)
    assert issuer in verdict.evidence
    assert issuer in verdict.facts["certificate_issuer"]
    assert "the server" in verdict.facts["certificate_subject"]
    certificate = exchange.presented_certificate
    assert certificate is not None
    year = datetime.fromtimestamp(certificate.not_after_timestamp_seconds, UTC).year
    assert str(year) in verdict.facts["certificate_validity"]
    # The one that failed, and the one that reads the certificate.
    assert (server.connections, bytes(server.received)) == (2, b"")


async def test_a_secret_in_a_name_is_removed_before_the_name_is_cut(world: World) -> None:
    """A server that knows the token can have a certificate with it, in any encoding."""
    encoded = "".join(f"%{ord(each):02x}" for each in TOKEN)
    for padding in range(100, 160, 7):
        leaf = world.theirs.issue_cert("127.0.0.1", organization_name="x" * padding + encoded)
        async with serving(leaf) as server, ProbeHttpClient(EventLoopLagMonitor()) as client:
            exchange, _ = await probe_once(client, server.port, trusting(world))
        certificate = exchange.presented_certificate
        assert certificate is not None
        assert encoded[:15] not in certificate.subject


async def test_a_good_certificate_is_not_inspected(world: World) -> None:
    async with (
        serving(world.certificate("good")) as server,
        ProbeHttpClient(EventLoopLagMonitor()) as client,
    ):
        request = asyncio.create_task(probe_once(client, server.port, trusting(world)))
        await server.has_received.wait()
        request.cancel()
        with suppress(asyncio.CancelledError):
            await request
    assert server.connections == 1


async def test_many_failures_read_the_certificate_once(world: World) -> None:
    async with (
        serving(world.certificate("inspected")) as server,
        ProbeHttpClient(EventLoopLagMonitor()) as client,
    ):
        options = trusting(world)
        every = await asyncio.gather(*(probe_once(client, server.port, options) for _ in range(5)))
        every.append(await probe_once(client, server.port, options))
    assert {exchange.presented_certificate for exchange, _ in every} == {
        every[0][0].presented_certificate
    }
    assert every[0][0].presented_certificate is not None
    assert server.connections == 6 + 1


async def test_the_certificate_is_read_again_after_a_minute(world: World) -> None:
    clock = [1000.0]
    inspector = CertificateInspector(lambda: clock[0])
    async with serving(world.certificate("inspected")) as server:
        tls_server = TlsServer("127.0.0.1", server.port, ("127.0.0.1", server.port))
        for clock[0], connections in ((1000.0, 1), (1059.9, 1), (1060.0, 2), (1061.0, 2)):
            assert await inspector.inspect(tls_server) is not None
            assert server.connections == connections


async def test_a_server_that_says_nothing_costs_a_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(certificate_inspector, "TIMEOUT_SECONDS", 0.05)
    connections = 0

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.read()

    inspector = CertificateInspector()
    async with listening(serve) as port:
        for _ in range(2):
            server = TlsServer("127.0.0.1", port, ("127.0.0.1", port))
            assert await inspector.inspect(server) is None
    assert connections == 1  # what failed is not tried again within the minute either


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 Connection established\r\n\r\n", b"HTTP/1.1 200\r\n\r\n"]
)
async def test_through_a_proxy_the_certificate_behind_it_is_read(world: World, head: bytes) -> None:
    heads: list[bytes] = []
    async with (
        serving(world.certificate("inspected")) as server,
        tunnelling(server.port, heads, head) as proxy,
        ProbeHttpClient(EventLoopLagMonitor()) as client,
    ):
        proxy_url = f"http://user:pass%20word@127.0.0.1:{proxy}"
        options = a_transport(ca_file=world.ca_file, proxy_url=proxy_url)
        _, verdict = await probe_once(client, server.port, options)
    assert verdict.reason is Reason.TLS_CERTIFICATE
    assert THEIR_AUTHORITY in verdict.evidence
    assert len(heads) == 2
    assert heads[1].startswith(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n".encode())
    assert b"Proxy-Authorization: Basic dXNlcjpwYXNzIHdvcmQ=" in heads[1]
    assert TOKEN.encode() not in b"".join(heads)


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 407 No\r\n\r\n",
        b"\r\n\r\n",
        b"",
        b"x" * 100_000,
        b"HTTP/1.1 200 OK\r\n\r\nnot TLS",
    ],
    ids=["refused", "empty-head", "closed", "endless-head", "no-tls"],
)
async def test_a_proxy_that_misbehaves_leaves_no_evidence_and_no_error(response: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response)
        await writer.drain()

    async with listening(serve) as port:
        server = TlsServer("good.test", 443, ("127.0.0.1", port), f"http://127.0.0.1:{port}")
        assert await CertificateInspector().inspect(server) is None


@asynccontextmanager
async def tunnelling(port: int, heads: list[bytes], head: bytes) -> AsyncIterator[int]:
    """A proxy that opens tunnels to one port, and keeps the heads of the requests."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        try:
            await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))
        finally:
            far_writer.transport.abort()

    async with listening(serve) as proxy:
        yield proxy


async def test_the_certificate_is_saved_with_the_result_and_explained_again(world: World) -> None:
    async with (
        serving(world.certificate("inspected")) as server,
        ProbeHttpClient(EventLoopLagMonitor()) as client,
    ):
        exchange, verdict = await probe_once(client, server.port, trusting(world))
    document = explanation_document(exchange, verdict, Expectations())
    [recorded] = parse_recorded(json.dumps(document).encode())
    assert recorded.exchange.presented_certificate == exchange.presented_certificate
    assert classify(recorded.exchange, Expectations()).evidence == verdict.evidence


@pytest.mark.parametrize("der", [b"", b"no certificate", b"0\x80", b"\x30\x82\xff\xff" * 9])
def test_bytes_that_are_no_certificate_are_no_error(der: bytes) -> None:
    assert parse_certificate(der) is None
