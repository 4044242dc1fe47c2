"""Live updates of pages: changed parts are sent as server-sent events (WHATWG HTML, 9.2).

One task renders once a second for all clients. A client that reads slowly skips intermediate
versions of a part, and always gets the newest one: what is queued for it does not grow.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress

import aiohttp_jinja2
from aiohttp import web

from prober.web import actions
from prober.web.context import SITE
from prober.web.queries import NotFoundError, last_runs, self_health, tenant
from prober.web.rendering import CARDS, add_card_cache

_PERIOD_SECONDS = 1.0
_KEEP_ALIVE_SECONDS = 15.0  # proxies close connections that are idle for 30 to 60 s
MAX_SSE_CLIENTS = 200
_RETRY_MS = 2000  # when browsers connect again after the connection was lost
_KEEP_ALIVE_COMMENT = b": nothing new\n\n"
_Parts = dict[str, str]
"""HTML by the id of the element that it replaces; "" removes the element."""


class _SseBroadcaster:
    """The connected clients, by subject: a tenant's name, or None for the overview.

    Each subject is rendered once for all of its clients.
    """

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._clients: dict[str | None, set[_SseClient]] = {}
        self._task: asyncio.Task[None] | None = None
        # What was last sent to the clients of each subject: only what differs from it is sent.
        self._sent: dict[str | None, _Parts] = {}

    @property
    def count(self) -> int:
        return sum(map(len, self._clients.values()))

    def add(self, subject: str | None) -> "_SseClient":
        client = _SseClient()
        self._clients.setdefault(subject, set()).add(client)
        if self._task is None:
            self._task = asyncio.create_task(self._work(), name="live updates")
        return client

    def remove(self, subject: str | None, client: "_SseClient") -> None:
        self._clients[subject].discard(client)
        if not self._clients[subject]:
            del self._clients[subject]
            self._sent.pop(subject, None)

    async def close(self) -> None:
        for clients in self._clients.values():
            for client in clients:
                client.end()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            # A copy: clients come and go while a subject is rendered.
            for subject in list(self._clients):
                with suppress(NotFoundError):  # a reload removed the tenant
                    await self._publish(subject)
            await asyncio.sleep(_PERIOD_SECONDS)

    async def _publish(self, subject: str | None) -> None:
        parts = await (self._overview() if subject is None else self._tenant(subject))
        before = self._sent.get(subject, {})
        changed = {id_: html for id_, html in parts.items() if before.get(id_) != html}
        changed |= dict.fromkeys(before.keys() - parts.keys(), "")  # a reload removed these
        self._sent[subject] = parts
        # Encoded once for all clients that are up to date, which are nearly all of them.
        event = await asyncio.to_thread(_event, changed) if changed else b""
        for client in self._clients.get(subject, ()):
            client.put(changed, event)

    async def _overview(self) -> _Parts:
        cards = await self._app[CARDS].all()
        summary = await asyncio.to_thread(_render, self._app, "summary.html", cards=cards)
        parts = {f"tenant-{card.document.name}": card.html for card in cards}
        return {"summary": summary, **parts, "own-health": _own_health(self._app)}

    async def _tenant(self, name: str) -> _Parts:
        site = self._app[SITE]
        document, now = tenant(site, name), site.now()
        context = {"last": last_runs(site, name), "csrf_token": actions.csrf_token(self._app)}
        html = await asyncio.to_thread(
            _render, self._app, "tenant_now.html", tenant=document, now=now, **context
        )
        return {"now": html, "own-health": _own_health(self._app)}


class _SseClient:
    """The parts that one client has not been sent yet, each in its newest version.

    A client that keeps up is sent the event that was encoded for all; the parts are only encoded
    again for a client that missed at least one event.
    """

    def __init__(self) -> None:
        self._parts: _Parts = {}
        self._event = b""
        self._filled = asyncio.Event()
        self._ended = False

    def put(self, parts: _Parts, event: bytes) -> None:
        # With parts still waiting, this event alone would not be complete.
        self._event = b"" if self._parts else event
        self._parts = {**self._parts, **parts}
        if parts:
            self._filled.set()

    def end(self) -> None:
        self._ended = True
        self._filled.set()

    async def take(self) -> AsyncIterator[bytes]:
        """Yield events as parts change, and comments meanwhile to keep the connection open."""
        while not self._ended:
            try:
                async with asyncio.timeout(_KEEP_ALIVE_SECONDS):
                    await self._filled.wait()
            except TimeoutError:
                yield _KEEP_ALIVE_COMMENT
                continue
            self._filled.clear()
            parts, event = self._parts, self._event
            self._parts, self._event = {}, b""
            yield event or _event(parts)


_BROADCASTER: web.AppKey[_SseBroadcaster] = web.AppKey("broadcaster", _SseBroadcaster)


def add_routes(app: web.Application) -> None:
    """Add the route of live updates."""
    add_card_cache(app)
    app[_BROADCASTER] = _SseBroadcaster(app)
    app.router.add_get("/live", _feed)
    app.on_shutdown.append(_close_all)


async def _close_all(app: web.Application) -> None:
    await app[_BROADCASTER].close()


async def _feed(request: web.Request) -> web.StreamResponse:
    broadcaster, subject = request.app[_BROADCASTER], request.query.get("tenant")
    if broadcaster.count >= MAX_SSE_CLIENTS:
        raise web.HTTPServiceUnavailable(
            text=f"too many live pages: the limit is {MAX_SSE_CLIENTS}"
        )
    if subject is not None and subject not in request.app[SITE].tenants:
        raise web.HTTPNotFound(text=f"there is no tenant '{subject}'")
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    client = broadcaster.add(subject)
    try:
        await response.write(f"retry: {_RETRY_MS}\n\n".encode())
        async for event in client.take():
            await response.write(event)
    except ConnectionError:
        pass  # the client has disconnected
    finally:
        broadcaster.remove(subject, client)
    return response


def _event(parts: _Parts) -> bytes:
    return f"event: parts\ndata: {json.dumps(parts)}\n\n".encode()


def _own_health(app: web.Application) -> str:
    site = app[SITE]
    return _render(app, "own_health.html", prober=self_health(site), now=site.now())


def _render(app: web.Application, template: str, **context: object) -> str:
    return aiohttp_jinja2.get_env(app).get_template(template).render(**context)
