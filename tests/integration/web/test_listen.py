"""Where the web server listens: on one family, or on both."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from prober.errors import ListenError
from prober.web import server
from prober.web.server import WebServer, listen


@asynccontextmanager
async def listening(host: str) -> AsyncIterator[WebServer]:
    running = await listen(web.Application(), host, 0)
    try:
        yield running
    finally:
        await running.close()


def reaches(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=10).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "ipv4", "ipv6", "local"),
    [
        ("", True, True, "http://127.0.0.1"),
        ("0.0.0.0", True, False, "http://127.0.0.1"),
        ("::", False, True, "http://[::1]"),
        ("127.0.0.1", True, False, "http://127.0.0.1"),
        ("::1", False, True, "http://[::1]"),
    ],
)
async def test_it_listens_on_the_families_that_are_named(
    host: str, ipv4: bool, ipv6: bool, local: str
) -> None:
    async with listening(host) as running:
        assert reaches("127.0.0.1", running.port) is ipv4
        assert reaches("::1", running.port) is ipv6
        assert running.local_url == f"{local}:{running.port}"
        assert running.url.startswith("http://")


@pytest.mark.parametrize("missing", [socket.AF_INET, socket.AF_INET6])
async def test_a_kernel_without_one_family_serves_the_other(
    missing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = server._bound

    def without(family: int, address: tuple[object, ...]) -> socket.socket:
        if family == missing:
            raise OSError(97, "Address family not supported by protocol")
        return bound(family, address)

    monkeypatch.setattr(server, "_bound", without)
    async with listening("") as running:
        assert reaches("127.0.0.1", running.port) is (missing == socket.AF_INET6)
        assert reaches("::1", running.port) is (missing == socket.AF_INET)


@pytest.mark.parametrize("taken", ["0.0.0.0", "::"])
async def test_a_port_that_one_family_has_given_away_is_taken(taken: str) -> None:
    async with listening(taken) as other:
        with pytest.raises(ListenError, match=r"address already in use.*set --port to another"):
            await listen(web.Application(), "", other.port, setting="--port")
