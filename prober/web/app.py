"""The web application: all routes, behind the authentication middleware."""

from importlib.resources import files

from aiohttp import web

from prober.web import actions, annotate, api, feeds, pages, sse
from prober.web.context import SITE, WebContext
from prober.web.metrics import MetricsEndpoint
from prober.web.middleware import AuthMiddleware
from prober.web.rendering import setup_templates
from prober.web.tls import WebConfigReloader

MAX_REQUEST_BYTES = 64 * 1024


def create_app(site: WebContext, web_config: WebConfigReloader | None = None) -> web.Application:
    """Return the application; without a web configuration all may read, and none may write."""
    app = web.Application(client_max_size=MAX_REQUEST_BYTES)
    app[SITE] = site
    setup_templates(app)
    app.router.add_get(
        "/metrics", MetricsEndpoint(site.render_metrics, site.refresh_metrics).handle
    )
    app.router.add_get("/-/healthy", _healthy)
    app.router.add_get("/-/ready", _ready)
    for module in (annotate, feeds, pages, sse, api):
        module.add_routes(app)
    actions.add_run_now_routes(app)
    actions.add_reload_route(app)
    app.router.add_static("/static/", str(files("prober.web").joinpath("static")))
    app.middlewares.append(pages.errors_as_pages)
    outer = _below_prefix(app, site) if site.route_prefix else app
    AuthMiddleware(web_config or WebConfigReloader()).install(outer)
    return outer


def _below_prefix(app: web.Application, site: WebContext) -> web.Application:
    """Return an application that has all routes of another below the route prefix."""
    outer = web.Application(client_max_size=MAX_REQUEST_BYTES)
    outer[SITE] = site

    async def to_overview(_request: web.Request) -> web.Response:
        raise web.HTTPFound(f"{site.route_prefix}/")

    outer.router.add_get("/-/healthy", _healthy)  # for `prober health`, which knows no prefix
    outer.router.add_get("/-/ready", _ready)
    for path in ("/", site.route_prefix):
        outer.router.add_get(path, to_overview)
    outer.add_subapp(site.route_prefix, app)
    return outer


async def _healthy(request: web.Request) -> web.Response:
    reason = request.app[SITE].stuck_reason()
    if reason is None:
        return web.Response(text="healthy\n")
    return web.Response(status=503, text=f"unhealthy: {reason}\n")


async def _ready(request: web.Request) -> web.Response:
    site = request.app[SITE]
    reason = site.stuck_reason() if site.is_ready() else "starting or stopping"
    if reason is None:
        return web.Response(text="ready\n")
    return web.Response(status=503, text=f"not ready: {reason}\n")
