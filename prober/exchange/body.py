"""Reading a body within bounds: decompression is ours, so that a bomb stops at the limit."""

import zlib
from typing import Protocol

_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
MAX_EMPTY_BYTES = 64 * 1024
"""So much more than the limit may come over the wire: members and blocks that hold nothing."""
_GZIP_MAGIC = b"\x1f\x8b"  # a further member may follow the first: RFC 1952, 2.2


class BodyCorruptError(ValueError):
    """The body is not what its Content-Encoding says."""


class _Decompressor(Protocol):
    @property
    def unconsumed_tail(self) -> bytes: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


class BoundedBody:
    """Collects a body up to `limit_bytes`, counted after decompression.

    Encodings gzip and deflate are undone (RFC 9110, 8.4.1), both as zlib and as raw streams; any
    other is kept as it came, since it was not asked for.
    """

    def __init__(self, content_encoding: str, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._chunks: list[bytes] = []
        self._size_bytes = 0
        self._fed_bytes = 0
        self._decompressor: _Decompressor | None = None
        self._maybe_raw_deflate = content_encoding == "deflate"
        self._swallowed = b""
        self._after_end = b""
        self.over_limit = False
        if content_encoding in {"gzip", "x-gzip", "deflate"}:
            self._decompressor = zlib.decompressobj(_GZIP_OR_ZLIB)

    def feed(self, data: bytes) -> bool:
        """Take the next bytes from the wire; return False when the limit is passed.

        Raises BodyCorruptError.
        """
        self._fed_bytes += len(data)
        if self._decompressor is None:
            self._keep(data)
        elif self._fed_bytes > self._limit_bytes * 1.02 + MAX_EMPTY_BYTES:
            self.over_limit = True
        else:
            self._inflate(self._decompressor, data)
        return not self.over_limit

    def finish(self) -> tuple[bytes, bool]:
        """Return the body, cut at the limit, and whether a compressed one reached its end."""
        whole = self._decompressor is None or self._decompressor.eof or not self._chunks
        return b"".join(self._chunks), whole or self.over_limit

    def _keep(self, data: bytes) -> None:
        room = self._limit_bytes - self._size_bytes
        if len(data) > room:
            self.over_limit = True
            data = data[:room]
        if data:
            self._chunks.append(data)
            self._size_bytes += len(data)

    def _inflate(self, decompressor: _Decompressor, data: bytes) -> None:
        while data and not self.over_limit:
            if decompressor.eof:
                data = self._after_end + data
                self._after_end = data[: len(_GZIP_MAGIC)]
                if not data.startswith(_GZIP_MAGIC):
                    return
                self._after_end = b""
                decompressor = self._decompressor = zlib.decompressobj(_GZIP_OR_ZLIB)
            # One byte more than there is room for tells "full" from "over".
            room = self._limit_bytes - self._size_bytes + 1
            try:
                inflated = decompressor.decompress(data, room)
            except zlib.error as error:
                if not (self._maybe_raw_deflate and not self._chunks):
                    raise BodyCorruptError(str(error)) from error
                self._maybe_raw_deflate = False
                decompressor = self._decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
                data = self._swallowed + data
                continue
            if self._maybe_raw_deflate and not inflated:
                self._swallowed += data  # of a raw stream the first byte may pass for zlib's
            else:
                self._swallowed, self._maybe_raw_deflate = b"", False
            self._keep(inflated)
            data = decompressor.unused_data or decompressor.unconsumed_tail
