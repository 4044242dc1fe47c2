"""Compressed responses, encoded in a thread: a long one would otherwise delay measurements."""

import asyncio
import gzip
from collections.abc import Callable

from aiohttp import web

from prober.web.metrics import accepts_gzip

_MIN_BYTES = 1000
_LEVEL = 5


async def packed_response(
    request: web.Request, encode: Callable[[], bytes], content_type: str, status: int = 200
) -> web.Response:
    """Return a response with the body that `encode` makes, compressed if the client accepts it."""
    packs = accepts_gzip(request.headers.get("Accept-Encoding", ""))

    def make() -> tuple[bytes, bool]:
        body = encode()
        if not packs or len(body) < _MIN_BYTES:
            return body, False
        return gzip.compress(body, _LEVEL, mtime=0), True

    body, is_packed = await asyncio.to_thread(make)
    response = web.Response(status=status, body=body, content_type=content_type)
    response.headers["Vary"] = "Accept-Encoding"
    if content_type.startswith("text/"):
        response.charset = "utf-8"
    if is_packed:
        response.headers["Content-Encoding"] = "gzip"
    return response
