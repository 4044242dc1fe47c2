"""What may come beside a body, byte by byte: nothing that an honest server does is refused."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from prober.http_client.attempt_timing import Phase
from prober.http_client.protocol import (
    MAX_FRAMING_BYTES,
    MAX_INTERIM_RESPONSES,
    LimitedResponseHandler,
)
from prober.http_client.timing import Attempt, start_attempt
from prober.outcomes import TimingFallback

INTERIM = b"HTTP/1.1 103 Early Hints\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Wire(asyncio.Transport):
    """A transport that does nothing but to be hung up."""

    def __init__(self) -> None:
        super().__init__()
        self.hung_up = False

    def abort(self) -> None:
        self.hung_up = True

    def close(self) -> None:
        self.hung_up = True

    def is_closing(self) -> bool:
        return self.hung_up

    def pause_reading(self) -> None:
        """Go on."""

    def resume_reading(self) -> None:
        """Go on."""


async def a_handler() -> tuple[LimitedResponseHandler, Wire]:
    handler, wire = LimitedResponseHandler(asyncio.get_running_loop()), Wire()
    handler.connection_made(wire)
    handler.set_response_params(read_until_eof=True, auto_decompress=False)
    return handler, wire


async def all_passed_on(handler: LimitedResponseHandler) -> None:
    while handler._pending:  # noqa: ASYNC110
        await asyncio.sleep(0)


HONEST = {
    "an answer": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "some interim responses": INTERIM * MAX_INTERIM_RESPONSES,
    "a large body": b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + bytes(9_000_000),
    "small chunks": CHUNKED + b"2\r\n{}\r\n" * 40_000,
}
HOSTILE = {
    "too many interim responses": INTERIM * (MAX_INTERIM_RESPONSES + 1),
    "a flood of interim responses": INTERIM * 100_000,
    "an endless chunk extension": CHUNKED + b"5;x=" + b"x" * (MAX_FRAMING_BYTES + 1),
    "chunks of one byte": CHUNKED + b"1\r\nx\r\n" * 200_000,
}


@pytest.mark.parametrize("data", HONEST.values(), ids=HONEST)
async def test_what_is_within_bounds_is_passed_on(data: bytes) -> None:
    handler, wire = await a_handler()
    for start in range(0, len(data), 65_536):
        handler.data_received(data[start : start + 65_536])
        await all_passed_on(handler)
    assert handler.exception() is None
    assert not wire.hung_up


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
async def test_what_is_beyond_them_is_hung_up_on(data: bytes) -> None:
    handler, wire = await a_handler()
    handler.data_received(data)
    await all_passed_on(handler)
    assert "more than" in str(handler.exception())
    assert wire.hung_up
    assert len(handler) < 1000  # heads that wait to be read


async def test_much_is_passed_on_in_turns_and_in_order() -> None:
    handler, _ = await a_handler()
    body = bytes(range(256)) * 4096
    chunks = b"".join(b"8\r\n%b\r\n" % body[n : n + 8] for n in range(0, len(body), 8))
    handler.data_received(CHUNKED)
    message, reader = await handler.read()
    assert message.code == 200
    handler.data_received(chunks[:90_001])
    assert handler._pending
    assert handler.should_close
    handler.data_received(chunks[90_001:] + b"0\r\n\r\n")
    assert await reader.read() == body
    assert not handler._pending
    assert not handler.should_close


async def test_what_waits_for_its_turn_is_passed_on_when_the_connection_ends() -> None:
    handler, _ = await a_handler()
    handler.data_received(b"HTTP/1.1 200 OK\r\n\r\n")
    _, reader = await handler.read()
    handler._pending += b"x" * 9000
    handler.data_received(b"y")
    handler.connection_lost(None)
    assert await reader.read() == b"x" * 9000 + b"y"


async def test_nothing_is_passed_on_once_hung_up() -> None:
    for end in (LimitedResponseHandler.close, LimitedResponseHandler.abort):
        handler, _ = await a_handler()
        handler._pending += b"x" * 9000
        end(handler)
        assert not handler._pending


async def test_each_answer_of_a_connection_counts_anew() -> None:
    handler, wire = await a_handler()
    for _ in range(5):
        handler.set_response_params(read_until_eof=True, auto_decompress=False)
        handler.data_received(INTERIM * MAX_INTERIM_RESPONSES)
    assert not wire.hung_up


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


async def under_way(*, through_tunnel: bool = False) -> tuple[Attempt, LimitedResponseHandler]:
    """Return an attempt whose request has been sent, and its connection."""
    attempt = start_attempt(through_tunnel=through_tunnel)
    handler, _ = await a_handler()
    attempt.timing.request_begins()
    now = attempt.timing.began
    attempt.timing.sent(now, now, 100, blocked=False)
    return attempt, handler


async def test_the_wait_ends_with_the_head() -> None:
    attempt, handler = await under_way()
    handler.data_received(HEAD[:9])
    assert attempt.timing.phase == "wait"
    handler.data_received(HEAD[9:])
    assert attempt.timing.phase == "transfer"
    assert not attempt.timing.whole
    handler.data_received(b"{}")
    assert attempt.timing.whole


@pytest.mark.parametrize("after", [b"HTTP/1.1 200 OK\r\n\r\n", b"junk", b""])
async def test_what_comes_after_a_whole_answer_is_not_waited_for(after: bytes) -> None:
    attempt, handler = await under_way()
    handler.data_received(HEAD + b"{}")
    wire = dict(attempt.timing.wire_nanoseconds)
    if after:
        handler.data_received(after)
    handler.eof_received()
    handler.connection_lost(None)
    assert attempt.timing.wire_nanoseconds == wire
    assert attempt.timing.fallback is None


async def test_an_answer_that_ends_with_its_connection_ends_then() -> None:
    attempt, handler = await under_way()
    handler.data_received(b"HTTP/1.1 200 OK\r\n\r\n{}")
    handler.connection_lost(None)
    assert attempt.timing.wire_nanoseconds[Phase.TRANSFER] > 0
    assert attempt.timing.fallback is TimingFallback.END_OF_STREAM


async def test_an_interim_answer_is_waited_beyond() -> None:
    attempt, handler = await under_way()
    handler.data_received(INTERIM)
    assert attempt.timing.phase == "wait"
    assert not attempt.timing.whole
    handler.data_received(HEAD)
    assert attempt.timing.phase == "transfer"


@pytest.mark.parametrize(("status", "opened"), [(b"200", True), (b"407", False), (b"100", False)])
async def test_a_proxys_answer_is_no_answer_of_the_server(status: bytes, opened: bool) -> None:
    attempt, handler = await under_way(through_tunnel=True)
    handler.data_received(b"HTTP/1.1 " + status + b" Whatever\r\nContent-Length: 0\r\n\r\n")
    assert attempt.timing.phase == "resolve"  # nothing connected here
    assert attempt.timing.tunnel_pending is not opened
    assert not attempt.timing.whole


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("data", [b"", HEAD, HEAD + b"{}", HEAD + b"{", CHUNKED + b"2\r\n{}\r\n"])
@pytest.mark.usefixtures("without_collector")
async def test_a_lost_connection_leaves_nothing_for_the_collector(data: bytes) -> None:
    handler, _ = await a_handler()
    if data:
        handler.data_received(data)
        await handler.read()  # as whoever asked does
    handler.connection_lost(None)
    left = weakref.ref(handler)
    del handler
    await asyncio.sleep(0)
    assert left() is None
