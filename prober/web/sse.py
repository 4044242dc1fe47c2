"""Live pages: parts that have changed are sent as server-sent events (WHATWG HTML, 9.2).

One task draws for all who watch, once a second; who reads slowly misses pictures, never the last.
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
_KEEP_ALIVE_SECONDS = 15.0
MAX_SSE_CLIENTS = 200
_RETRY_MS = 2000
_KEEP_ALIVE_COMMENT = b": nothing new\n\n"
_Parts = dict[str, str]
"""HTML by the id of the element that it takes the place of."""


class _SseBroadcaster:
    """Who watches what. For each subject (a tenant, or all) one drawing is made for all."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._mailboxes: dict[str | None, set[_SseClient]] = {}
        self._task: asyncio.Task[None] | None = None
        self._shown: dict[str | None, _Parts] = {}

    @property
    def count(self) -> int:
        return sum(map(len, self._mailboxes.values()))

    def add(self, subject: str | None) -> "_SseClient":
        mailbox = _SseClient()
        self._mailboxes.setdefault(subject, set()).add(mailbox)
        if self._task is None:
            self._task = asyncio.create_task(self._work(), name="live pages")
        return mailbox

    def remove(self, subject: str | None, mailbox: "_SseClient") -> None:
        self._mailboxes[subject].discard(mailbox)
        if not self._mailboxes[subject]:
            del self._mailboxes[subject]
            self._shown.pop(subject, None)

    async def close(self) -> None:
        for mailboxes in self._mailboxes.values():
            for mailbox in mailboxes:
                mailbox.end()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            for subject in list(self._mailboxes):
                with suppress(NotFoundError):
                    await self._publish(subject)
            await asyncio.sleep(_PERIOD_SECONDS)

    async def _publish(self, subject: str | None) -> None:
        parts = await (self._overview() if subject is None else self._tenant(subject))
        before = self._shown.get(subject, {})
        changed = {id_: html for id_, html in parts.items() if before.get(id_) != html}
        changed |= dict.fromkeys(before.keys() - parts.keys(), "")  # a reload took it out
        self._shown[subject] = parts
        event = await asyncio.to_thread(_event, changed) if changed else b""
        for mailbox in self._mailboxes.get(subject, ()):
            mailbox.put(changed, event)

    async def _overview(self) -> _Parts:
        cards = await self._app[CARDS].all()
        summary = await asyncio.to_thread(_render, self._app, "summary.html", cards=cards)
        parts = {f"tenant-{card.document.name}": card.html for card in cards}
        return {"summary": summary, **parts, "own-health": _own_health(self._app)}

    async def _tenant(self, name: str) -> _Parts:
        site = self._app[SITE]
        document, now = tenant(site, name), site.now()
        context = {"last": last_runs(site, name), "word": actions.csrf_token(self._app)}
        html = await asyncio.to_thread(
            _render, self._app, "tenant_now.html", tenant=document, now=now, **context
        )
        return {"now": html, "own-health": _own_health(self._app)}


class _SseClient:
    """What one watcher has not been sent yet: of each part the newest alone.

    Whoever keeps up is sent the same bytes as all others.
    """

    def __init__(self) -> None:
        self._parts: _Parts = {}
        self._event = b""
        self._filled = asyncio.Event()
        self._ended = False

    def put(self, parts: _Parts, event: bytes) -> None:
        self._event = b"" if self._parts else event
        self._parts = {**self._parts, **parts}
        if parts:
            self._filled.set()

    def end(self) -> None:
        self._ended = True
        self._filled.set()

    async def take(self) -> AsyncIterator[bytes]:
        """Yield events when there is something to tell, and now and then one to keep alive."""
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


_WATCHERS: web.AppKey[_SseBroadcaster] = web.AppKey("watchers", _SseBroadcaster)


def add_routes(app: web.Application) -> None:
    """Add the feed."""
    add_card_cache(app)
    app[_WATCHERS] = _SseBroadcaster(app)
    app.router.add_get("/live", _feed)
    app.on_shutdown.append(_end_all)


async def _end_all(app: web.Application) -> None:
    await app[_WATCHERS].close()


async def _feed(request: web.Request) -> web.StreamResponse:
    watchers, subject = request.app[_WATCHERS], request.query.get("tenant")
    if watchers.count >= MAX_SSE_CLIENTS:
        raise web.HTTPServiceUnavailable(text=f"{MAX_SSE_CLIENTS} pages are watched already")
    if subject is not None and subject not in request.app[SITE].tenants:
        raise web.HTTPNotFound(text=f"there is no tenant '{subject}'")
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    mailbox = watchers.add(subject)
    try:
        await response.write(f"retry: {_RETRY_MS}\n\n".encode())
        async for event in mailbox.take():
            await response.write(event)
    except ConnectionError:
        pass  # whoever watched has left
    finally:
        watchers.remove(subject, mailbox)
    return response


def _event(parts: _Parts) -> bytes:
    return f"event: parts\ndata: {json.dumps(parts)}\n\n".encode()


def _own_health(app: web.Application) -> str:
    site = app[SITE]
    return _render(app, "own_health.html", prober=self_health(site), now=site.now())


def _render(app: web.Application, template: str, **context: object) -> str:
    return aiohttp_jinja2.get_env(app).get_template(template).render(**context)
