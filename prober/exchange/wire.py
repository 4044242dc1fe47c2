"""Bounds on what comes over the wire beside the body: heads, interim answers, framing of chunks.

aiohttp bounds each line of a head and waits with a body that nobody reads, but it takes any number
of interim answers (1xx) and chunk extensions of any length, as fast as they come: a server that
sends nothing else would fill the memory and stall the event loop for all tenants.
"""

import asyncio
import functools
from typing import Any

from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.http_parser import RawResponseMessage
from aiohttp.streams import StreamReader

from prober.exchange.phases import TimedConnector

MAX_INTERIM_ANSWERS = 16
MAX_FRAMING_BYTES = 256 * 1024
"""Heads and framing of one answer may be so long, and beyond that as long as its body."""
_SLICE_BYTES = 16 * 1024  # what is parsed before the bounds are looked at again

_Message = tuple[RawResponseMessage, StreamReader]


class BoundedHandler(ResponseHandler):
    """The protocol of one connection; beyond its bounds it says why, and hangs up."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._received_bytes = 0
        self._heads = 0
        self._body: StreamReader | None = None

    def set_response_params(self, **parameters: Any) -> None:  # noqa: ANN401 -- aiohttp's own
        """Take note that a request is under way: what comes now is its answer."""
        self._received_bytes, self._heads, self._body = 0, 0, None
        super().set_response_params(**parameters)

    def data_received(self, data: bytes) -> None:
        """Pass on what came, as long as it is within bounds."""
        if len(data) <= _SLICE_BYTES:  # no data at all has a meaning as well
            self._pass_on(data)
            return
        for start in range(0, len(data), _SLICE_BYTES):
            self._pass_on(data[start : start + _SLICE_BYTES])

    def feed_data(self, data: _Message, size: int = 0) -> None:
        """Take note of a parsed head."""
        self._heads += 1
        self._body = data[1]
        super().feed_data(data, size)

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


class BoundedConnector(TimedConnector):
    """A connector whose connections keep to the bounds."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 -- aiohttp's own
        super().__init__(**options)
        # aiohttp has no public way to this; a test floods a client and would tell if it were gone.
        made: functools.partial[Any] = functools.partial(BoundedHandler, loop=self._loop)
        self._factory = made
