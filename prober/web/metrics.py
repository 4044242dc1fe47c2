"""/metrics: content negotiation, and one rendering for all scrapes that come at the same time."""

import asyncio
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from aiohttp import web

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_MAX_RANGES = 32


@dataclass(frozen=True, slots=True)
class _Range:
    """One element of an Accept header: its name in lower case, its version and its quality."""

    name: str
    version: str | None
    quality: float


def wants_openmetrics(accept: str) -> bool:
    """Return whether OpenMetrics 1.0.0 is accepted, with at least the quality of text 0.0.4.

    A wildcard means text, and a client that accepts neither gets text.
    """
    ranges = _ranges(accept)
    openmetrics = _quality(ranges, ("application/openmetrics-text",), "1.0.0")
    text = _quality(ranges, ("text/plain", "text/*", "*/*"), "0.0.4")
    return openmetrics > 0 and openmetrics >= text


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether a response may be compressed with gzip."""
    return _quality(_ranges(accept_encoding), ("gzip", "*"), None) > 0


def _quality(ranges: tuple[_Range, ...], names: tuple[str, ...], version: str | None) -> float:
    """Return the quality of the first of `names` (the most specific) that the header has."""
    for name in names:
        given = [r.quality for r in ranges if r.name == name and r.version in {None, version}]
        if given:
            return max(given)
    return 0.0


def _ranges(header: str) -> tuple[_Range, ...]:
    return tuple(_range(element) for element in header.split(",")[:_MAX_RANGES])


def _range(element: str) -> _Range:
    name, *rest = (part.strip().lower() for part in element.split(";"))
    pairs = (part.partition("=") for part in rest)
    parameters = {key.strip(): value.strip().strip('"') for key, _, value in pairs}
    return _Range(name, parameters.get("version"), _number(parameters.get("q", "1")))


def _number(quality: str) -> float:
    """Return a quality between 0 and 1; an invalid one is 0, which means not accepted."""
    try:
        value = float(quality)
    except ValueError:
        return 0.0
    return value if 0.0 <= value <= 1.0 else 0.0


Render = Callable[[bool], Iterable[bytes]]
"""Renders the exposition part by part, in OpenMetrics if True is passed; called in a thread."""

Refresh = Callable[[], int]
"""Does one step of the preparation, on the event loop; returns how many steps remain."""

_GZIP_FORMAT = zlib.MAX_WBITS | 16
_GZIP_LEVEL = 1  # twice as fast as the default, a third larger
_TURN_SECONDS = 0.002  # a run that falls due meanwhile starts so much later
_MAX_CONCURRENT = 8  # each holds its whole response in memory until the client has read it


class MetricsEndpoint:
    """Responds to scrapes; those that come during a rendering share its result."""

    def __init__(self, render: Render, refresh: Refresh) -> None:
        self._render = render
        self._open = 0
        self._refresh = refresh
        self._running: dict[tuple[bool, bool], asyncio.Task[bytes]] = {}

    async def handle(self, request: web.Request) -> web.Response:
        """Respond to one scrape in the format that it accepts."""
        if self._open >= _MAX_CONCURRENT:
            text = f"too many scrapes: {_MAX_CONCURRENT} are being served; scrape less often\n"
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
        return await asyncio.shield(
            task
        )  # a client that disconnects must not cancel it for the others

    async def _produced(self, *, openmetrics: bool, zipped: bool) -> bytes:
        await warm_up(self._refresh)
        return await asyncio.to_thread(self._produce, openmetrics=openmetrics, zipped=zipped)

    def _produce(self, *, openmetrics: bool, zipped: bool) -> bytes:
        parts = self._render(openmetrics)
        return b"".join(_zipped(parts) if zipped else parts)


async def warm_up(refresh: Refresh) -> None:
    """Prepare a rendering on the event loop, in turns between which runs can start."""
    now = asyncio.get_running_loop().time
    steps, until = refresh(), now() + _TURN_SECONDS
    # No more steps than there were at the start: metrics change all the time.
    while steps > 0:
        if now() >= until:
            await asyncio.sleep(0)
            until = now() + _TURN_SECONDS
        steps = min(steps - 1, refresh())


def _zipped(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Compress part by part: the whole text of ten thousand probes would be 60 MB."""
    compressor = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_FORMAT)
    for part in parts:
        yield compressor.compress(part)
    yield compressor.flush()
