"""Live updates of pages: changed parts are sent as server-sent events (WHATWG HTML, 9.2).

Two tasks render once a second for all clients: one the overview, one the pages of which the history
is read, so that a slow disk or a long list makes no overview late. A client that reads slowly skips
intermediate versions of a part, and always gets the newest one: what is queued for it does not
grow.

A new client is sent every part, since it may have been away for long. Every five seconds after a
page was rendered, its clients are sent a `tick`: a client that misses it knows that what it shows
may be old, whether the connection, a proxy or the prober is at fault.
"""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import structlog
from aiohttp import web

from prober.render.overview import OverviewFilter
from prober.web import live_views
from prober.web.context import SITE
from prober.web.live_views import LiveView, Subject
from prober.web.metrics import accepts_gzip
from prober.web.queries import NotFoundError
from prober.web.rendering import add_tenant_cache

_PERIOD_SECONDS = 1.0
TICK_SECONDS = 5.0
MAX_SSE_CLIENTS = 200
_NO_VIEW = LiveView({}, {})


@dataclass(frozen=True, slots=True)
class Event:
    """An event's bytes, plain and compressed, made once for all clients.

    Compressed, it is a run of deflate blocks (RFC 1951) that refers to nothing before it, so that
    it can be sent within any client's stream.
    """

    plain: bytes
    packed: bytes


def _event(name: str, content: object) -> Event:
    plain = f"event: {name}\ndata: {json.dumps(content, separators=(',', ':'))}\n\n".encode()
    compressor = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return Event(plain, compressor.compress(plain) + compressor.flush(zlib.Z_FULL_FLUSH))


def parts_event(view: LiveView) -> Event:
    """Return the event that has a view's parts and orders."""
    return _event("parts", {"parts": dict(view.parts), "order": dict(view.order)})


class _SseClient:
    """The parts that one client has not been sent yet, each in its newest version.

    A client that keeps up is sent the event that was encoded for all; the parts are only encoded
    again for a client that missed at least one event.
    """

    def __init__(self) -> None:
        self._view = _NO_VIEW
        self._parts_event: Event | None = None
        self._last: Event | None = None
        self._filled = asyncio.Event()
        self._ended = False

    def put(self, view: LiveView, event: Event | None) -> None:
        """Add changed parts; `event` is their encoded form if there is one."""
        if not view:
            return
        # With parts still waiting, this event alone would not be complete.
        self._parts_event = None if self._view else event
        self._view = self._view.updated(view)
        self._filled.set()

    def put_last(self, event: Event) -> None:
        """Add an event that follows the parts; it replaces one that was not sent."""
        self._last = event
        self._filled.set()

    def end(self) -> None:
        """End the stream."""
        self._ended = True
        self._filled.set()

    async def take(self) -> AsyncIterator[Event]:
        """Yield events as parts change, until the end."""
        while True:
            await self._filled.wait()
            if self._ended:
                return
            self._filled.clear()
            view, event, last = self._view, self._parts_event, self._last
            self._view, self._parts_event, self._last = _NO_VIEW, None, None
            if view:
                yield event or parts_event(view)
            if last is not None:
                yield last


@dataclass(slots=True)
class _Channel:
    """The clients of one subject, and what they were sent: only what differs from it is sent."""

    clients: set[_SseClient] = field(default_factory=set)
    view: LiveView = _NO_VIEW
    ticked_at: float = 0.0
    is_failing: bool = False


class _SseBroadcaster:
    """The connected clients, by subject; each subject is rendered once for all of its clients."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._views = live_views.LiveViews(app)
        self._channels: dict[Subject, _Channel] = {}
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self._logger = structlog.get_logger("prober")

    @property
    def count(self) -> int:
        """How many clients there are."""
        return sum(len(channel.clients) for channel in self._channels.values())

    def add(self, subject: Subject) -> _SseClient:
        """Add a client, which is first sent every part."""
        client = _SseClient()
        channel = self._channels.setdefault(subject, _Channel())
        channel.clients.add(client)
        channel.ticked_at = 0.0
        client.put(channel.view, None)
        if not self._tasks:
            self._tasks = tuple(
                asyncio.create_task(self._work(reads_history=each), name="live updates")
                for each in (False, True)
            )
        return client

    def remove(self, subject: Subject, client: _SseClient) -> None:
        """Remove a client that has disconnected."""
        channel = self._channels[subject]
        channel.clients.discard(client)
        if not channel.clients:
            del self._channels[subject]
            self._views.forget(subject)

    async def close(self) -> None:
        """End all streams."""
        for channel in self._channels.values():
            for client in channel.clients:
                client.end()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self, *, reads_history: bool) -> None:
        while True:
            # A copy: clients come and go while a subject is rendered.
            for subject, channel in list(self._channels.items()):
                if isinstance(subject, OverviewFilter) is not reads_history:
                    await self._publish(subject, channel)
            await asyncio.sleep(_PERIOD_SECONDS)

    async def _publish(self, subject: Subject, channel: _Channel) -> None:
        """Send what has changed; after an error no tick, so that no client takes it for live."""
        try:
            view = await self._views.render(subject)
        except NotFoundError as error:  # a reload removed the tenant
            gone = _event("gone", {"text": str(error)})
            for client in channel.clients:
                client.put_last(gone)
            return
        except Exception as error:  # noqa: BLE001 -- one page must not stop the others
            if not channel.is_failing:
                self._logger.warning("web.live_failed", page=str(subject), error=str(error))
            channel.is_failing = True
            return
        finally:
            if subject not in self._channels:  # its last client has left meanwhile
                self._views.forget(subject)
        channel.is_failing = False
        changed = view.since(channel.view)
        channel.view = view
        # Encoded once for all clients that are up to date, which are nearly all of them.
        event = await asyncio.to_thread(parts_event, changed) if changed else None
        now = asyncio.get_running_loop().time()
        tick = None
        if now - channel.ticked_at >= TICK_SECONDS - _PERIOD_SECONDS / 2:
            channel.ticked_at = now
            tick = _event("tick", {"at": self._app[SITE].now()})
        for client in channel.clients:
            client.put(changed, event)
            if tick is not None:
                client.put_last(tick)


_BROADCASTER: web.AppKey[_SseBroadcaster] = web.AppKey("broadcaster", _SseBroadcaster)


def add_routes(app: web.Application) -> None:
    """Add the route of live updates."""
    add_tenant_cache(app)
    app[_BROADCASTER] = _SseBroadcaster(app)
    app.router.add_get("/live", _feed, allow_head=False)  # a stream has no end to wait for
    app.on_shutdown.append(_close_all)


async def _close_all(app: web.Application) -> None:
    await app[_BROADCASTER].close()


async def _feed(request: web.Request) -> web.StreamResponse:
    broadcaster = request.app[_BROADCASTER]
    if broadcaster.count >= MAX_SSE_CLIENTS:
        raise web.HTTPServiceUnavailable(
            text=f"too many live pages: the limit is {MAX_SSE_CLIENTS}"
        )
    subject = await live_views.read_subject(request)
    packs = accepts_gzip(request.headers.get("Accept-Encoding", ""))
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    response.headers["X-Accel-Buffering"] = "no"  # a proxy must not hold events back
    if packs:
        response.headers["Content-Encoding"] = "gzip"
    await response.prepare(request)
    client = broadcaster.add(subject)
    try:
        await _send(response, client, packs=packs)
    except ConnectionError:
        pass  # the client has disconnected
    finally:
        broadcaster.remove(subject, client)
    return response


_GZIP_HEADER = b"\x1f\x8b\x08" + b"\x00" * 6 + b"\xff"  # RFC 1952, 2.3
_LAST_BLOCK = b"\x03\x00"


async def _send(response: web.StreamResponse, client: _SseClient, *, packs: bool) -> None:
    checksum = length = 0
    if packs:
        await response.write(_GZIP_HEADER)
    async for event in client.take():
        checksum, length = zlib.crc32(event.plain, checksum), length + len(event.plain)
        await response.write(event.packed if packs else event.plain)
    if packs:
        trailer = checksum.to_bytes(4, "little") + (length % 2**32).to_bytes(4, "little")
        await response.write(_LAST_BLOCK + trailer)
