"""Limits on what a server may send, and the end of each response.

aiohttp limits each line of a head, and pauses the transport while a body is not read. But it
accepts any number of interim responses (1xx), and chunk extensions of any length, as fast as they
arrive: a server that sends nothing else would fill the memory and block the event loop.

`LimitedBodyReader` decompresses a body up to a limit, which stops decompression bombs. Pure.
"""

import asyncio
import functools
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.http_parser import RawResponseMessage
from aiohttp.streams import StreamReader

from prober.http_client.attempt_timing import Phase
from prober.http_client.kernel_timing import TimedSocket, is_closed_by_peer
from prober.http_client.timing import Attempt, current_attempt

MAX_INTERIM_RESPONSES = 16
MAX_FRAMING_BYTES = 256 * 1024
"""The limit of heads and framing of one response; more is allowed up to the length of its body."""
_SLICE_BYTES = 4 * 1024  # the limits are checked after each slice
MAX_TURN_SECONDS = 0.0004
"""CPU time for parsing the data of one connection, before the event loop does other work.
Very small chunks take long to parse and to read; most responses take a tenth of this."""

_FINAL_STATUS = 200
_FIRST_REDIRECT = 300
_SWITCHING_PROTOCOLS = 101

_Message = tuple[RawResponseMessage, StreamReader]


class LimitedResponseHandler(ResponseHandler):
    """The protocol of one connection, which it aborts with a reason when a limit is passed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._received_bytes = 0
        self._pending = bytearray()
        self._heads = 0
        self._body: StreamReader | None = None
        self._attempt: Attempt | None = None
        self._socket: TimedSocket | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Find the attempt's socket of this connection."""
        super().connection_made(transport)
        attempt, connected = current_attempt(), transport.get_extra_info("socket")
        if attempt is not None and connected is not None:
            number = connected.fileno()
            self._socket = next((s for s in attempt.sockets if s.fileno() == number), None)

    def is_connected(self) -> bool:
        """Return whether the connection is open, as far as the kernel knows.

        aiohttp calls this before it uses a kept connection. The server may have closed it without
        the event loop having noticed; a request on it would fail.
        """
        if not super().is_connected():
            return False
        kept = self._socket
        return kept is None or (kept.fileno() >= 0 and not is_closed_by_peer(kept))

    def set_response_params(self, **parameters: Any) -> None:  # noqa: ANN401 -- aiohttp's own
        """Start a request: what arrives from now on is its response."""
        self._received_bytes, self._heads, self._body = 0, 0, None
        self._attempt = attempt = current_attempt()
        if attempt is not None:
            if self._socket is not None and self._socket not in attempt.sockets:
                attempt.timing.tunnel_opened()  # a kept connection: its tunnel is open already
            if not attempt.timing.tunnel_pending:
                attempt.use(self._socket)
        super().set_response_params(**parameters)

    @property
    def should_close(self) -> bool:
        """See `ResponseHandler.should_close`. Data that is still pending belongs to no response."""
        return bool(self._pending) or super().should_close

    def data_received(self, data: bytes) -> None:
        """Parse data up to the limits; large data in several turns of the event loop."""
        if self._pending:
            self._pending += data
            return
        done = self._forward_turn(data)
        if done < len(data) and self.exception() is None:
            self._pending += data[done:]
            self._pause_transport_reading()
            self._loop.call_soon(self._forward_pending)

    def eof_received(self) -> None:
        """Record the end of a response that ends with its connection."""
        self._forward_all()
        self._on_end()
        super().eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Record the end of a response that ends with its connection."""
        self._forward_all()
        self._on_end()
        super().connection_lost(exc)
        # Body and connection refer to each other; this frees them without the garbage collector.
        self._body = self._attempt = self._socket = None

    def close(self) -> None:
        """See `ResponseHandler.close`. The attempt is released first: TLS sends a last record."""
        self._pending.clear()
        self._release_attempt()
        super().close()

    def abort(self) -> None:
        """See `ResponseHandler.abort`."""
        self._pending.clear()
        self._release_attempt()
        super().abort()

    def feed_data(self, data: _Message, size: int = 0) -> None:
        """Record a parsed head."""
        self._heads += 1
        self._body = data[1]
        self._on_head(data[0].code)
        super().feed_data(data, size)

    def _on_head(self, status: int) -> None:
        if self._attempt is None:
            return
        timing = self._attempt.timing
        if timing.tunnel_pending:
            if _FINAL_STATUS <= status < _FIRST_REDIRECT:
                timing.tunnel_opened()
        elif status >= _FINAL_STATUS or status == _SWITCHING_PROTOCOLS:
            timing.head_arrived()

    def _on_complete(self) -> None:
        """Record that the response is complete: later data does not belong to it."""
        if self._attempt is None or self._body is None or not self._body.is_eof():
            return
        if self._attempt.timing.phase is Phase.TRANSFER:
            self._attempt.timing.whole = True

    def _release_attempt(self) -> None:
        if self._attempt is not None and self._socket is self._attempt.connection:
            self._attempt.release(closing=True)

    def _on_end(self) -> None:
        if self._attempt is not None:
            self._attempt.timing.stream_ended(time.perf_counter_ns())

    def _resume_transport_reading(self) -> None:
        """Resume reading, unless data is still waiting to be parsed.

        aiohttp calls this private method when the reader of a body has caught up. A test that reads
        a large response fails if aiohttp renames it.
        """
        if not self._pending:
            super()._resume_transport_reading()

    def _forward_pending(self) -> None:
        """Parse one turn of the pending data."""
        pending = bytes(self._pending)
        self._pending.clear()
        done = self._forward_turn(pending)
        if done < len(pending) and self.exception() is None:
            self._pending[:0] = pending[done:]
        if self._pending:
            self._loop.call_soon(self._forward_pending)
        elif not (self._reading_paused or self._buffer_paused):
            self._resume_transport_reading()

    def _forward_all(self) -> None:
        """Parse all pending data: the connection ends."""
        rest = bytes(self._pending)
        self._pending.clear()
        for start in range(0, len(rest), _SLICE_BYTES):
            self._forward(rest[start : start + _SLICE_BYTES])
        self._on_complete()

    def _forward_turn(self, data: bytes) -> int:
        """Parse as much as fits into one turn; return the number of bytes."""
        if len(data) <= _SLICE_BYTES:
            self._forward(data)
            self._on_complete()
            return len(data)
        done, until = 0, time.thread_time() + MAX_TURN_SECONDS
        while done < len(data) and (done == 0 or time.thread_time() < until):
            self._forward(data[done : done + _SLICE_BYTES])
            done += _SLICE_BYTES
        self._on_complete()
        return done

    def _forward(self, data: bytes) -> None:
        if self.exception() is not None:
            return
        self._received_bytes += len(data)
        if self._attempt is not None:
            self._attempt.has_response_bytes = True
        super().data_received(data)
        too_much = self._over_limit()
        if too_much is not None:
            self._abort(BadHttpMessage(too_much))

    def _abort(self, error: BadHttpMessage) -> None:
        self._pending.clear()
        if self._body is not None and not self._body.is_eof():
            self._body.set_exception(error)
        self.set_exception(error)
        if self.transport is not None:
            self.transport.abort()

    def _over_limit(self) -> str | None:
        if self._heads > MAX_INTERIM_RESPONSES:
            return f"more than {MAX_INTERIM_RESPONSES} interim responses"
        body_bytes = 0 if self._body is None else self._body.total_bytes
        if self._received_bytes - 2 * body_bytes > MAX_FRAMING_BYTES:
            return f"more than {MAX_FRAMING_BYTES} bytes around the body"
        return None


class LimitedConnector(aiohttp.TCPConnector):
    """A connector that creates limited connections."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 -- aiohttp's own
        super().__init__(**options)
        # aiohttp has no public way to set this. A test that floods a client fails if it is renamed.
        factory: functools.partial[Any] = functools.partial(LimitedResponseHandler, loop=self._loop)
        self._factory = factory

    async def _get(self, *arguments: Any) -> Any:  # noqa: ANN401 -- aiohttp's own
        """Return a kept connection, None if there is none or if the attempt needs a new one.

        aiohttp has no public way to do this. A test counts the connections of a server.
        """
        attempt = current_attempt()
        if attempt is not None and attempt.needs_new_connection:
            return None
        return await super()._get(*arguments)


try:  # in the standard library from Python 3.14 on
    from compression import zstd  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    try:  # the same module for older versions, if it is installed
        from backports import zstd  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        zstd = None

MAX_EMPTY_BYTES = 64 * 1024
"""The allowance beyond the limit for compressed data: empty members and blocks add no output."""
MAX_MEMBERS = 256
"""The limit of gzip members or zstd frames in a body: each takes time, even an empty one."""
MAX_CODINGS = 5
"""The limit of stacked content codings, as in curl; a body with more is not decoded."""
_PIECE_BYTES = 64 * 1024
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_GZIP_MAGIC = b"\x1f\x8b"  # a further member may follow the first: RFC 1952, 2.2
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_WINDOW_BITS = 23  # 8 MiB: RFC 9659, 3


class BodyCorruptError(ValueError):
    """The body is not valid in the coding that its Content-Encoding names."""


class _Decompressor(Protocol):
    @property
    def unused_data(self) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


def content_codings(values: Iterable[str]) -> tuple[str, ...]:
    """Return the codings that Content-Encoding fields name, in the order they were applied.

    `identity` is left out; `x-gzip` is `gzip` (RFC 9110, 8.4.1.3). At most `MAX_CODINGS` + 1.
    """
    named = (name.strip().lower() for value in values for name in value.split(","))
    codings = tuple(name for name in named if name not in {"", "identity"})
    return tuple(name.removeprefix("x-") for name in codings[: MAX_CODINGS + 1])


def unreadable_coding(codings: tuple[str, ...]) -> str:
    """Return the coding that prevents decoding of a body, "" if there is none."""
    if len(codings) > MAX_CODINGS:
        return ", ".join(codings)
    return next((name for name in reversed(codings) if name not in DECODERS), "")


class LimitedBodyReader:
    """Collects a body up to `limit_bytes`, counted after decompression.

    It decodes gzip and deflate (RFC 9110, 8.4.1), deflate both as zlib and as a raw stream, and
    zstd if a library for it is installed. A body in any other coding is kept as received: the
    request did not accept it. The limit applies to the output of each of several stacked codings.
    """

    def __init__(self, codings: tuple[str, ...], limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._chunks: list[bytes] = []
        self._size_bytes = 0
        self.over_limit = False
        self.unreadable_coding = unreadable_coding(codings)
        to_decode = () if self.unreadable_coding else reversed(codings)
        self._decoders = tuple(DECODERS[name]() for name in to_decode)
        self._fed_bytes = [0] * len(self._decoders)

    def feed(self, data: bytes) -> bool:
        """Decode the next received bytes; return False when the limit is passed.

        Raises BodyCorruptError.
        """
        self._decode(data, 0)
        return not self.over_limit

    def finish(self) -> tuple[bytes, bool]:
        """Return the body, cut at the limit, and whether its compressed data is complete."""
        fed = zip(self._decoders, self._fed_bytes, strict=True)
        complete = all(decoder.is_at_end or not count for decoder, count in fed)
        return b"".join(self._chunks), complete or self.over_limit

    def _decode(self, data: bytes, stage: int) -> None:
        """Decode bytes by the decoder of one stage, and its output by the next."""
        if stage == len(self._decoders):
            self._append(data)
            return
        self._fed_bytes[stage] += len(data)
        if self._fed_bytes[stage] > self._limit_bytes * 1.02 + MAX_EMPTY_BYTES:
            self.over_limit = True
            return
        decoder = self._decoders[stage]
        for piece in decoder.pieces(data):
            self._decode(piece, stage + 1)
            if self.over_limit:
                return
        self.over_limit = decoder.members > MAX_MEMBERS

    def _append(self, data: bytes) -> None:
        room = self._limit_bytes - self._size_bytes
        if len(data) > room:
            self.over_limit = True
            data = data[:room]
        if data:
            self._chunks.append(data)
            self._size_bytes += len(data)


def is_text(body: bytes) -> bool:
    """Return whether a body is UTF-8 text, without NUL characters."""
    try:
        return "\0" not in body.decode()
    except UnicodeDecodeError:
        return False


class _Decoder(Protocol):
    members: int
    """The number of members that were started; decoding stops at `MAX_MEMBERS` + 1."""

    @property
    def is_at_end(self) -> bool:
        """Whether the data so far is complete."""
        ...

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield the output for further bytes, in non-empty pieces of limited size."""
        ...


class _Zlib:
    """Decodes gzip, of any number of members, or deflate."""

    def __init__(self, *, maybe_raw: bool) -> None:
        self.members = 1
        self._decompressor = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._maybe_raw = maybe_raw
        self._consumed = b""
        self._after_end = b""

    @property
    def is_at_end(self) -> bool:
        return self._decompressor.eof

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._decompressor.eof:
                data = self._after_end + data
                self._after_end = data[: len(_GZIP_MAGIC)]
                if not data.startswith(_GZIP_MAGIC):
                    return
                self._after_end = b""
                self.members += 1
                if self.members > MAX_MEMBERS:
                    return
                self._decompressor = zlib.decompressobj(_GZIP_OR_ZLIB)
            try:
                piece = self._decompressor.decompress(data, _PIECE_BYTES)
            except zlib.error as error:
                if not self._maybe_raw:
                    raise BodyCorruptError(str(error)) from error
                self._maybe_raw = False
                self._decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
                data = self._consumed + data
                continue
            if self._maybe_raw and not piece:
                self._consumed += data  # the start of a raw stream may look like a zlib header
            else:
                self._consumed, self._maybe_raw = b"", False
            data = self._decompressor.unused_data or self._decompressor.unconsumed_tail
            if piece:
                yield piece


class _Zstd:
    """Decodes zstd, of any number of frames (RFC 8878, 3)."""

    def __init__(self) -> None:
        self.members = 1
        self._decompressor = _zstd_decompressor()
        self._after_end = b""

    @property
    def is_at_end(self) -> bool:
        return self._decompressor.eof

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while True:
            if self._decompressor.eof:
                data = self._after_end + data
                self._after_end = data[: len(_ZSTD_MAGIC)]
                if not data.startswith(_ZSTD_MAGIC):
                    return
                self._after_end = b""
                self.members += 1
                if self.members > MAX_MEMBERS:
                    return
                self._decompressor = _zstd_decompressor()
            try:
                piece = self._decompressor.decompress(data, _PIECE_BYTES)
            except zstd.ZstdError as error:
                raise BodyCorruptError(str(error)) from error
            # Until the end of the frame, the decompressor buffers the input that is left.
            data = self._decompressor.unused_data if self._decompressor.eof else b""
            if piece:
                yield piece
            elif not data:
                return


def _zstd_decompressor() -> _Decompressor:
    parameter = zstd.DecompressionParameter.window_log_max
    decompressor: _Decompressor = zstd.ZstdDecompressor(options={parameter: _ZSTD_WINDOW_BITS})
    return decompressor


_ZLIB: Mapping[str, Callable[[], _Decoder]] = {
    "gzip": lambda: _Zlib(maybe_raw=False),
    "deflate": lambda: _Zlib(maybe_raw=True),
}
DECODERS = MappingProxyType(_ZLIB if zstd is None else {**_ZLIB, "zstd": _Zstd})
"""The constructors of decoders, by the name of the content coding."""
