"""/metrics: one rendering for all who ask at the same time, and few of them."""

import asyncio
import zlib
from collections.abc import Callable, Iterable, Iterator

from aiohttp import web

from prober.web.negotiation import OPENMETRICS, TEXT, accepts_gzip, wants_openmetrics

Render = Callable[[bool], Iterable[bytes]]
"""Renders the exposition part by part, in OpenMetrics if told True; called in a thread."""

Refresh = Callable[[], int]
"""Prepares a rendering a little further, on the event loop; returns how many more such steps there
are."""

_GZIP_FORMAT = zlib.MAX_WBITS | 16
_GZIP_LEVEL = 1  # twice as fast as the default, a third larger
_TURN_SECONDS = 0.0005  # so long may an answer wait that comes meanwhile
_SHARE = 0.1
_MOST_AT_ONCE = 8  # each holds its answer until it has been read


class Scrapes:
    """Answers scrapes; those that come while one is rendered share what it yields."""

    def __init__(self, render: Render, refresh: Refresh) -> None:
        self._render = render
        self._open = 0
        self._refresh = refresh
        self._running: dict[tuple[bool, bool], asyncio.Task[bytes]] = {}

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one scrape in the form that it asks for, to the last byte."""
        if self._open >= _MOST_AT_ONCE:
            text = f"{_MOST_AT_ONCE} scrapes are being answered already: scrape more seldom\n"
            return web.Response(status=503, text=text, headers={"Retry-After": "5"})
        self._open += 1
        try:
            response = await self._response(request)
            await response.prepare(request)
            await response.write_eof()
        finally:
            self._open -= 1
        return response

    async def _response(self, request: web.Request) -> web.Response:
        openmetrics = wants_openmetrics(",".join(request.headers.getall("Accept", [])))
        zipped = accepts_gzip(",".join(request.headers.getall("Accept-Encoding", [])))
        headers = {
            "Content-Type": OPENMETRICS if openmetrics else TEXT,
            "Vary": "Accept, Accept-Encoding",
        }
        if zipped:
            headers["Content-Encoding"] = "gzip"
        return web.Response(
            body=await self._rendered(openmetrics=openmetrics, zipped=zipped), headers=headers
        )

    async def _rendered(self, *, openmetrics: bool, zipped: bool) -> bytes:
        form = (openmetrics, zipped)
        task = self._running.get(form)
        if task is None:
            task = asyncio.create_task(
                self._produced(openmetrics=openmetrics, zipped=zipped), name="render metrics"
            )
            self._running[form] = task
            task.add_done_callback(lambda _: self._running.pop(form))
        return await asyncio.shield(task)  # one who hangs up must not end it for the others

    async def _produced(self, *, openmetrics: bool, zipped: bool) -> bytes:
        await prepare(self._refresh)
        return await asyncio.to_thread(self._produce, openmetrics=openmetrics, zipped=zipped)

    def _produce(self, *, openmetrics: bool, zipped: bool) -> bytes:
        parts = self._render(openmetrics)
        return b"".join(_zipped(parts) if zipped else parts)


async def prepare(refresh: Refresh) -> None:
    """Let all be prepared that is to be; between steps whoever waits for an answer has his turn.

    A turn of one small step would be dear, and on a busy loop there would be too few of them: a
    turn is half a millisecond, or a share of the time that the others took for theirs.
    """
    now = asyncio.get_running_loop().time
    steps = refresh()
    while steps > 0:  # and no more than there were: changes never end
        yielded_at = now()
        await asyncio.sleep(0)
        resumed_at = now()
        until = resumed_at + max(_TURN_SECONDS, _SHARE * (resumed_at - yielded_at))
        steps = min(steps - 1, refresh())
        while steps > 0 and now() < until:
            steps = min(steps - 1, refresh())


def _zipped(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Compress as it comes: all of it at once, of ten thousand probes, would be 60 MB."""
    compressor = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_FORMAT)
    for part in parts:
        yield compressor.compress(part)
    yield compressor.flush()
