"""What comes over the wire: bounds on all of it beside the body, and where a response ends.

aiohttp bounds each line of a head and waits with a body that nobody reads, but it takes any number
of interim answers (1xx) and chunk extensions of any length, as fast as they come: a server that
sends nothing else would fill the memory and stall the event loop for all tenants.
"""

import asyncio
import functools
import time
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.http_parser import RawResponseMessage
from aiohttp.streams import StreamReader

from prober.exchange.phases import Attempt, current_attempt
from prober.http_client.attempt_timing import Phase
from prober.http_client.kernel_timing import TimedSocket

MAX_INTERIM_ANSWERS = 16
MAX_FRAMING_BYTES = 256 * 1024
"""Heads and framing of one answer may be so long, and beyond that as long as its body."""
_SLICE_BYTES = 16 * 1024  # what is parsed before the bounds are looked at again

_FINAL_STATUS = 200
_FIRST_REDIRECT = 300
_SWITCHING_PROTOCOLS = 101

_Message = tuple[RawResponseMessage, StreamReader]


class BoundedHandler(ResponseHandler):
    """The protocol of one connection; beyond its bounds it says why, and hangs up."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._received_bytes = 0
        self._heads = 0
        self._body: StreamReader | None = None
        self._attempt: Attempt | None = None
        self._socket: TimedSocket | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note which of the attempt's sockets this is."""
        super().connection_made(transport)
        attempt, connected = current_attempt(), transport.get_extra_info("socket")
        if attempt is not None and connected is not None:
            number = connected.fileno()
            self._socket = next((s for s in attempt.sockets if s.fileno() == number), None)

    def set_response_params(self, **parameters: Any) -> None:  # noqa: ANN401 -- aiohttp's own
        """Take note that a request is under way: what comes now is its answer."""
        self._received_bytes, self._heads, self._body = 0, 0, None
        self._attempt = current_attempt()
        if self._attempt is not None and not self._attempt.timing.tunnel_pending:
            self._attempt.use(self._socket)
        super().set_response_params(**parameters)

    def data_received(self, data: bytes) -> None:
        """Pass on what came, as long as it is within bounds."""
        if len(data) <= _SLICE_BYTES:
            self._pass_on(data)
        else:
            for start in range(0, len(data), _SLICE_BYTES):
                self._pass_on(data[start : start + _SLICE_BYTES])
        self._mark_whole()

    def eof_received(self) -> None:
        """Mark the end of an answer that ends with its connection."""
        self._mark_end()
        super().eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Mark the end of an answer that ends with its connection."""
        self._mark_end()
        super().connection_lost(exc)
        # The body knows this connection: held in a ring, both would wait for the collector.
        self._body = self._attempt = self._socket = None

    def close(self) -> None:
        """See `ResponseHandler.close`: with TLS something more is sent."""
        self._let_go()
        super().close()

    def abort(self) -> None:
        """See `ResponseHandler.abort`."""
        self._let_go()
        super().abort()

    def feed_data(self, data: _Message, size: int = 0) -> None:
        """Take note of a parsed head."""
        self._heads += 1
        self._body = data[1]
        self._mark_head(data[0].code)
        super().feed_data(data, size)

    def _mark_head(self, status: int) -> None:
        if self._attempt is None:
            return
        timing = self._attempt.timing
        if timing.tunnel_pending:
            if _FINAL_STATUS <= status < _FIRST_REDIRECT:
                timing.tunnel_opened()
        elif status >= _FINAL_STATUS or status == _SWITCHING_PROTOCOLS:
            timing.head_arrived()

    def _mark_whole(self) -> None:
        """Take note that the response is complete: what comes from now on is none of it."""
        if self._attempt is None or self._body is None or not self._body.is_eof():
            return
        if self._attempt.timing.phase is Phase.TRANSFER:
            self._attempt.timing.whole = True

    def _let_go(self) -> None:
        if self._attempt is not None and self._socket is self._attempt.connection:
            self._attempt.let_go()

    def _mark_end(self) -> None:
        if self._attempt is not None:
            self._attempt.timing.stream_ended(time.perf_counter_ns())

    def _pass_on(self, data: bytes) -> None:
        if self.exception() is not None:
            return
        self._received_bytes += len(data)
        super().data_received(data)
        too_much = self._too_much()
        if too_much is not None:
            self._hang_up(BadHttpMessage(too_much))

    def _hang_up(self, error: BadHttpMessage) -> None:
        if self._body is not None and not self._body.is_eof():
            self._body.set_exception(error)
        self.set_exception(error)
        if self.transport is not None:
            self.transport.abort()

    def _too_much(self) -> str | None:
        if self._heads > MAX_INTERIM_ANSWERS:
            return f"more than {MAX_INTERIM_ANSWERS} interim answers"
        body_bytes = 0 if self._body is None else self._body.total_bytes
        if self._received_bytes - 2 * body_bytes > MAX_FRAMING_BYTES:
            return f"more than {MAX_FRAMING_BYTES} bytes around the body"
        return None


class BoundedConnector(aiohttp.TCPConnector):
    """A connector whose connections keep to the bounds."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 -- aiohttp's own
        super().__init__(**options)
        # aiohttp has no public way to this; a test floods a client and would tell if it were gone.
        made: functools.partial[Any] = functools.partial(BoundedHandler, loop=self._loop)
        self._factory = made
