"""Connections are bounded: how many there are, and how long each may dawdle."""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from prober.web.auth import AccessPolicy
from prober.web.middleware import AuthMiddleware
from prober.web.server import (
    MAX_UNANSWERED_BYTES,
    ConnectionLimits,
    ConnectionManager,
    WebServer,
    listen,
)
from prober.web.tls import WebConfigReloader
from tests.integration.web.app_factory import Installation
from tests.integration.web.connections import (
    ALICE,
    PATIENT_SECONDS,
    TLS,
    USERS,
    ask,
    behind,
    client_tls,
    eventually,
    write_files,
)

SHORT = ConnectionLimits(
    connections=3, header_timeout_seconds=0.3, idle_timeout_seconds=0.4, write_timeout_seconds=0.5
)
HEALTHY = b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def connect(
    port: int, tls: ssl.SSLContext | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port, ssl=tls)


async def closed(reader: asyncio.StreamReader) -> bytes:
    """Return what comes until the server closes the connection."""
    async with asyncio.timeout(PATIENT_SECONDS):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def lets_in(server: WebServer, tls: ssl.SSLContext | None) -> bool:
    try:
        return (await ask(server.url + "/-/healthy", tls=tls))[0] == 200
    except OSError:
        return False


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: a\r\nX: "])
async def test_a_head_that_does_not_come_is_not_waited_for(tmp_path: Path, sent: bytes) -> None:
    async with behind(write_files(tmp_path, ""), bounds=SHORT) as server:
        reader, writer = await connect(server.port)
        writer.write(sent)
        assert await closed(reader) == b""
        writer.close()


async def test_a_head_that_drips_is_not_waited_for(tmp_path: Path) -> None:
    async with behind(write_files(tmp_path, ""), bounds=SHORT) as server:
        reader, writer = await connect(server.port)
        waiting = asyncio.create_task(closed(reader))
        for letter in b"GET / HTTP/1.1\r\nX: " + b"a" * 200:
            writer.write(bytes([letter]))
            done, _ = await asyncio.wait({waiting}, timeout=0.05)
            if done:
                break
        assert waiting.done()
        writer.close()


async def test_a_connection_without_a_next_request_is_closed(tmp_path: Path) -> None:
    bounds = ConnectionLimits(header_timeout_seconds=300, idle_timeout_seconds=0.4)
    async with behind(write_files(tmp_path, ""), bounds=bounds) as server:
        reader, writer = await connect(server.port)
        writer.write(HEALTHY)
        assert (await closed(reader)).endswith(b"healthy\n")
        writer.close()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"])
async def test_a_handshake_that_does_not_come_is_not_waited_for(
    tmp_path: Path, sent: bytes
) -> None:
    async with behind(write_files(tmp_path, TLS), bounds=SHORT) as server:
        reader, writer = await connect(server.port)
        writer.write(sent)
        await closed(reader)
        writer.close()
        await eventually(lambda: lets_in(server, client_tls()))  # a slow handshake is cut as well


@pytest.mark.parametrize("web_yml", ["", TLS])
async def test_no_more_are_connected_than_allowed(tmp_path: Path, web_yml: str) -> None:
    bounds = ConnectionLimits(connections=3)
    async with behind(write_files(tmp_path, web_yml), bounds=bounds) as server:
        held = [await connect(server.port) for _ in range(3)]  # handshakes count as well
        reader, writer = await connect(server.port)
        reported = await closed(reader)
        assert reported.startswith(b"HTTP/1.1 503") is (web_yml == "")
        writer.close()
        for _, each in held:
            each.close()
        tls = client_tls() if web_yml else None
        await eventually(lambda: lets_in(server, tls))  # as soon as it has seen the others leave


async def test_a_full_house_says_so(tmp_path: Path) -> None:
    async with behind(write_files(tmp_path, ""), bounds=ConnectionLimits(connections=0)) as server:
        reader, writer = await connect(server.port)
        head, _, body = (await closed(reader)).partition(b"\r\n\r\n")
        assert b"Content-Length: %d" % len(body) in head
        assert body == b"too many connections: see web.max_connections\n"
        writer.close()


@pytest.mark.parametrize("web_yml", ["", TLS])
async def test_who_reads_no_answer_is_let_go(tmp_path: Path, web_yml: str) -> None:
    installation = Installation(None)
    installation.exposition = b"x" * 30_000_000
    bounds = replace(SHORT, header_timeout_seconds=300)
    async with behind(write_files(tmp_path, web_yml), installation, bounds) as server:
        reader, writer = await connect(server.port, client_tls() if web_yml else None)
        del reader
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        await eventually(lambda: server.connections == 1)
        await eventually(lambda: server.connections == 0)
        writer.transport.abort()


async def test_few_scrapes_are_answered_at_once(tmp_path: Path) -> None:
    installation = Installation(None)
    installation.exposition = b"x" * 30_000_000
    async with behind(write_files(tmp_path, ""), installation) as server:
        slow = [await connect(server.port) for _ in range(8)]
        for _, writer in slow:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")

        async def is_refused() -> bool:
            status, _, text = await ask(server.url + "/metrics")
            return status == 503 and text.startswith("too many scrapes: 8")

        async def is_answered() -> bool:
            return (await ask(server.url + "/metrics"))[0] == 200

        await eventually(is_refused)
        for _, writer in slow:
            writer.transport.abort()
        await eventually(is_answered)


@pytest.mark.parametrize(
    "sent", [b"\x00\x01garbage\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n"]
)
async def test_what_is_no_http_is_answered_with_the_headers_of_all_answers(
    tmp_path: Path, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with behind(write_files(tmp_path, "")) as server:
        reader, writer = await connect(server.port)
        writer.write(sent)
        response = await closed(reader)
        writer.close()
    assert response.startswith(b"HTTP/1.0 400 ")
    assert b"Content-Security-Policy: default-src 'none'" in response
    assert b"aiohttp" not in response
    assert caplog.records == []


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    app, web_config = web.Application(), WebConfigReloader(AccessPolicy(writes_are_open=True))
    AuthMiddleware(web_config, body_seconds=0.2).install(app)
    listening = await listen(app, "127.0.0.1", 0, ConnectionManager(web_config))
    reader, writer = await connect(listening.port)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n123")
    assert b" 408 " in await reader.readline()
    writer.close()
    await listening.close()


async def test_a_body_that_is_too_large_or_a_strangers_is_not_read(
    tmp_path: Path,
) -> None:
    async with behind(write_files(tmp_path, USERS)) as server:
        status, _, _ = await ask(server.url + "/", "POST", ALICE, data=b"x" * 100_000)
        assert status == 413
        reader, writer = await connect(server.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n")
        assert b" 401 " in await reader.readline()  # a stranger's is not read at all
        writer.transport.abort()


@pytest.mark.parametrize("auth", [None, ALICE], ids=["stranger", "user"])
@pytest.mark.parametrize(
    ("head", "more"),
    [
        ("Transfer-Encoding: chunked", b"1;" + b"x" * 2000 + b"\r\nx\r\n"),
        ("Transfer-Encoding: chunked", b"1;x=" + b"y" * 60_000),
        ("Content-Length: 5000000000", b"x" * 60_000),
    ],
    ids=["small chunks", "one extension", "length"],
)
async def test_what_never_ends_is_not_read_for_ever(
    tmp_path: Path, head: str, more: bytes, auth: str | None
) -> None:
    bounds = ConnectionLimits(
        header_timeout_seconds=300, idle_timeout_seconds=300, write_timeout_seconds=300
    )
    async with behind(write_files(tmp_path, USERS), bounds=bounds) as server:
        _, writer = await connect(server.port)
        credentials = "" if auth is None else f"Authorization: {auth}\r\n"
        writer.write(f"POST / HTTP/1.1\r\nHost: a\r\n{credentials}{head}\r\n\r\n".encode())
        sent = 0
        with suppress(ConnectionError):
            async with asyncio.timeout(PATIENT_SECONDS):
                while True:
                    writer.write(more)
                    await writer.drain()
                    sent += len(more)
        assert sent < 100 * MAX_UNANSWERED_BYTES  # the kernel holds some of it
        writer.close()


MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}
FORM = "application/x-www-form-urlencoded"
WORD = b'--x\r\nContent-Disposition: form-data; name="word"'
UNREADABLE = [
    ({"Content-Encoding": "gzip"}, b"no gzip at all"),
    ({"Content-Encoding": "deflate"}, b"\x00\x01"),
    ({"Content-Type": "multipart/form-data"}, b"--x\r\n"),
    (MULTIPART, b"--x\r\nnothing"),
    (MULTIPART, b"\x00" * 100),
    (MULTIPART, WORD + b'; filename="f"\r\n\r\ndata\r\n--x--\r\n'),
    (MULTIPART, WORD + b"\r\nContent-Type: text/plain; charset=klingon\r\n\r\nx\r\n--x--\r\n"),
    (MULTIPART, WORD + b"\r\nContent-Transfer-Encoding: klingon\r\n\r\nx\r\n--x--\r\n"),
    ({"Content-Type": f"{FORM}; charset=klingon"}, b"a=b"),
    ({"Content-Type": f"{FORM}; charset=utf-16"}, b"a=b"),
    ({"Content-Type": FORM}, b"\xff\xfe=%ff"),
]


@pytest.mark.parametrize("auth", [None, ALICE], ids=["stranger", "user"])
@pytest.mark.parametrize(("headers", "body"), UNREADABLE)
@pytest.mark.parametrize("path", ["/tenants/acme/probes/datasets/run", "/", "/none", "/-/reload"])
async def test_no_body_causes_a_traceback_or_a_500(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    path: str,
    headers: dict[str, str],
    body: bytes,
    auth: str | None,
) -> None:
    async with behind(write_files(tmp_path, USERS), ad_hoc=True) as server:
        for method in ("POST", "GET", "PUT"):
            status, _, _ = await ask(
                server.url + path, method, auth, data=body, headers=dict(headers)
            )
            assert status < 500, (method, path)
            if auth is None:
                assert status in {400, 401}
    assert caplog.records == []


async def test_one_address_does_not_take_all_connections(tmp_path: Path) -> None:
    bounds = ConnectionLimits(connections=20)
    async with behind(write_files(tmp_path, ""), bounds=bounds) as server:
        held = [await connect(server.port) for _ in range(30)]
        await eventually(lambda: server.connections == 10)
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", server.port, local_addr=("127.0.0.2", 0)
        )
        writer.write(HEALTHY.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert (await closed(reader)).endswith(b"healthy\n")
        for _, each in (*held, (reader, writer)):
            each.transport.abort()
        await eventually(lambda: server.connections == 0)


async def test_some_connections_are_left_for_addresses_that_have_none(tmp_path: Path) -> None:
    bounds = ConnectionLimits(connections=20)
    async with behind(write_files(tmp_path, ""), bounds=bounds) as server:
        held = []
        for number in range(40):
            address = (f"127.0.1.{1 + number // 8}", 0)
            held.append(await asyncio.open_connection("127.0.0.1", server.port, local_addr=address))
        await eventually(lambda: server.connections == 18)  # 8, 7, and one for each other
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", server.port, local_addr=("127.0.0.9", 0)
        )
        writer.write(HEALTHY.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert (await closed(reader)).endswith(b"healthy\n")
        for _, each in (*held, (reader, writer)):
            each.transport.abort()
        await eventually(lambda: server.connections == 0)


async def after_a_response(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection on which one request was responded to: others were too slow."""
    while True:
        reader, writer = await connect(port)
        writer.write(HEALTHY)
        try:
            await reader.readuntil(b"healthy\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
        else:
            return reader, writer


async def test_the_head_of_a_later_request_is_not_waited_for_either(tmp_path: Path) -> None:
    bounds = ConnectionLimits(header_timeout_seconds=0.3, idle_timeout_seconds=300)
    async with behind(write_files(tmp_path, ""), bounds=bounds) as server:
        reader, writer = await after_a_response(server.port)
        writer.write(b"GET / HTTP/1.1\r\nX: ")
        assert await closed(reader) == b""
        writer.close()
