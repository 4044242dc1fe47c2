"""The pages: /metrics, health, and a start page that names them."""

import asyncio
import gzip
from collections.abc import Callable

from aiohttp import web

from prober.web.negotiation import OPENMETRICS, TEXT, accepts_gzip, wants_openmetrics

Render = Callable[[bool], bytes]
"""Renders the exposition, in OpenMetrics if told True; called in a thread."""

_GZIP_LEVEL = 1  # twice as fast as the default, a third larger
_STRICT_HEADERS = {
    "Server": "prober",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_START_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>prober</title></head>
<body>
<h1>prober</h1>
<ul>
<li><a href="/metrics">/metrics</a>: for Prometheus, as text or OpenMetrics</li>
<li><a href="/-/healthy">/-/healthy</a>: 200 while the process answers</li>
<li><a href="/-/ready">/-/ready</a>: 200 once it probes, 503 before</li>
</ul>
</body>
</html>
"""


def create_app(*, render: Render, is_ready: Callable[[], bool]) -> web.Application:
    """Return the application; `render` and `is_ready` are asked at each request."""
    scrapes = _Scrapes(render)

    async def ready(_request: web.Request) -> web.Response:
        if is_ready():
            return web.Response(text="ready\n")
        return web.Response(status=503, text="not ready: starting\n")

    app = web.Application()
    app.router.add_get("/", _start_page)
    app.router.add_get("/metrics", scrapes.answer)
    app.router.add_get("/-/healthy", _healthy)
    app.router.add_get("/-/ready", ready)
    app.on_response_prepare.append(_add_strict_headers)
    return app


class _Scrapes:
    """Answers scrapes; those that come while one is rendered share what it yields."""

    def __init__(self, render: Render) -> None:
        self._render = render
        self._running: dict[tuple[bool, bool], asyncio.Task[bytes]] = {}

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one scrape in the form that it asks for."""
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
                asyncio.to_thread(self._produce, openmetrics=openmetrics, zipped=zipped),
                name="render metrics",
            )
            self._running[form] = task
            task.add_done_callback(lambda _: self._running.pop(form))
        return await asyncio.shield(task)  # one who hangs up must not end it for the others

    def _produce(self, *, openmetrics: bool, zipped: bool) -> bytes:
        body = self._render(openmetrics)
        return gzip.compress(body, _GZIP_LEVEL, mtime=0) if zipped else body


async def _start_page(_request: web.Request) -> web.Response:
    return web.Response(text=_START_PAGE, content_type="text/html")


async def _healthy(_request: web.Request) -> web.Response:
    return web.Response(text="healthy\n")


async def _add_strict_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_STRICT_HEADERS)
