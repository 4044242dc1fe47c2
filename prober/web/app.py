"""The HTTP face put together: every route, behind one gate."""

from importlib.resources import files

from aiohttp import web

from prober.access.keeper import AccessKeeper
from prober.web import ad_hoc, api, live, pages, reload
from prober.web.gate import Gate
from prober.web.rendering import set_up_templates
from prober.web.scrapes import Scrapes
from prober.web.site import SITE, Site

MAX_REQUEST_BYTES = 64 * 1024


def create_app(site: Site, keeper: AccessKeeper | None = None) -> web.Application:
    """Return the application; without a keeper everybody may read, and nobody write."""
    app = web.Application(client_max_size=MAX_REQUEST_BYTES)
    app[SITE] = site
    set_up_templates(app)
    app.router.add_get("/metrics", Scrapes(site.render_metrics, site.refresh_metrics).answer)
    app.router.add_get("/-/healthy", _healthy)
    app.router.add_get("/-/ready", _ready)
    for room in (pages, live, api, ad_hoc, reload):
        room.add_routes(app)
    app.router.add_static("/static/", str(files("prober.web").joinpath("static")))
    app.middlewares.append(pages.errors_as_pages)
    Gate(keeper or AccessKeeper()).add_to(app)
    return app


async def _healthy(_request: web.Request) -> web.Response:
    return web.Response(text="healthy\n")


async def _ready(request: web.Request) -> web.Response:
    if request.app[SITE].is_ready():
        return web.Response(text="ready\n")
    return web.Response(status=503, text="not ready: starting\n")
