"""The HTTP face put together: every route, and the headers that every answer bears."""

from importlib.resources import files

from aiohttp import web

from prober.web import ad_hoc, api, live, pages, reload
from prober.web.rendering import set_up_templates
from prober.web.scrapes import Scrapes
from prober.web.site import SITE, Site

_MOST_REQUEST_BYTES = 64 * 1024
_STRICT_HEADERS = {
    "Server": "prober",
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self';"
        " connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with none, a form of ours would have no Origin to show
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def create_app(site: Site) -> web.Application:
    """Return the application."""
    app = web.Application(client_max_size=_MOST_REQUEST_BYTES)
    app[SITE] = site
    set_up_templates(app)
    app.router.add_get("/metrics", Scrapes(site.render_metrics).answer)
    app.router.add_get("/-/healthy", _healthy)
    app.router.add_get("/-/ready", _ready)
    for room in (pages, live, api, ad_hoc, reload):
        room.add_routes(app)
    app.router.add_static("/static/", str(files("prober.web").joinpath("static")))
    app.middlewares.append(pages.errors_as_pages)
    app.on_response_prepare.append(_add_strict_headers)
    return app


async def _healthy(_request: web.Request) -> web.Response:
    return web.Response(text="healthy\n")


async def _ready(request: web.Request) -> web.Response:
    if request.app[SITE].is_ready():
        return web.Response(text="ready\n")
    return web.Response(status=503, text="not ready: starting\n")


async def _add_strict_headers(_request: web.Request, response: web.StreamResponse) -> None:
    for name, value in _STRICT_HEADERS.items():
        response.headers.setdefault(name, value)
