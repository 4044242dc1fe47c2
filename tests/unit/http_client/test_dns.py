"""Looking up names in threads: shares of each name, answers, failures, and an end at once."""

import asyncio
import socket
import threading
from typing import TypeAlias

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from prober.http_client.dns import MAX_LOOKUPS, MAX_LOOKUPS_PER_NAME, ThreadResolver
from prober.http_client.errors import AttemptProgress, map_exception
from prober.outcomes import FailureKind

AddressInfo: TypeAlias = tuple[socket.AddressFamily, int, int, str, tuple[str | int, ...]]
ANSWER: list[AddressInfo] = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 443))]


LIMIT_SECONDS = 120.0


class Lookups:
    """A lookup under control: names that begin with `slow` wait to be let go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.let_go = threading.Event()

    def __call__(self, host: str, _port: int, _family: socket.AddressFamily) -> list[AddressInfo]:
        self.asked.append(host)
        if host.startswith("slow"):
            self.let_go.wait(LIMIT_SECONDS)
        if host == "unknown":
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        if host == "odd":
            raise UnicodeError("label too long")
        return ANSWER


async def until(what: int, lookups: Lookups) -> None:
    async with asyncio.timeout(60):
        while len(lookups.asked) < what:  # noqa: ASYNC110 -- it is threads that ask
            await asyncio.sleep(0.001)


async def test_a_name_is_looked_up() -> None:
    found = await ThreadResolver(Lookups()).resolve("acme.example", 443)
    assert [(each["host"], each["port"]) for each in found] == [("192.0.2.7", 443)]


@pytest.mark.parametrize("name", ["unknown", "odd"])
async def test_a_name_that_cannot_be_found_is_an_error_of_the_system(name: str) -> None:
    with pytest.raises(socket.gaierror):
        await ThreadResolver(Lookups()).resolve(name)


async def test_a_name_that_hangs_has_its_share_and_no_more() -> None:
    lookups = Lookups()
    resolver = ThreadResolver(lookups)
    asking = [asyncio.create_task(resolver.resolve("slow")) for _ in range(20)]
    await until(MAX_LOOKUPS_PER_NAME, lookups)
    assert await resolver.resolve("quick")
    assert lookups.asked.count("slow") == MAX_LOOKUPS_PER_NAME
    lookups.let_go.set()
    assert all(await asyncio.gather(*asking))


async def test_who_gives_up_leaves_the_share_taken() -> None:
    lookups = Lookups()
    resolver = ThreadResolver(lookups)
    for _ in range(3 * MAX_LOOKUPS_PER_NAME):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(resolver.resolve("slow"), 0.001)
    assert lookups.asked.count("slow") <= MAX_LOOKUPS_PER_NAME
    lookups.let_go.set()
    assert await resolver.resolve("slow")


async def test_all_names_together_have_a_bound() -> None:
    lookups = Lookups()
    resolver = ThreadResolver(lookups)
    asking = [
        asyncio.create_task(resolver.resolve(f"slow-{number}")) for number in range(MAX_LOOKUPS + 5)
    ]
    await until(MAX_LOOKUPS, lookups)
    assert len(lookups.asked) == MAX_LOOKUPS
    lookups.let_go.set()
    assert all(await asyncio.gather(*asking))


async def test_closing_waits_for_nothing() -> None:
    lookups = Lookups()
    resolver = ThreadResolver(lookups)
    asking = asyncio.create_task(resolver.resolve("slow"))
    await until(1, lookups)
    async with asyncio.timeout(60):
        await resolver.close()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert all(thread.daemon for thread in threading.enumerate() if "look up" in thread.name)
    lookups.let_go.set()


async def test_without_a_thread_the_machine_is_short_and_not_the_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def cannot(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", cannot)
    resolver = ThreadResolver(lambda *_: [])
    with pytest.raises(OSError, match="no thread") as caught:
        await resolver.resolve("a.example")
    key = ConnectionKey("a.example", 443, True, True, None, None, None)
    wrapped = aiohttp.ClientConnectorDNSError(key, caught.value)
    assert map_exception(wrapped, AttemptProgress("resolve")).kind is FailureKind.RESOURCE_EXHAUSTED
