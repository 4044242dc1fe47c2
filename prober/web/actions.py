"""Actions over HTTP: running a probe now, and reloading the configuration. Disabled by default.

Browsers may only do this from the prober's own pages. A request must be of the same origin (Fetch
Metadata and Origin headers), use a host name that is allowed (against DNS rebinding), and a form
must contain the CSRF token.
"""

import asyncio
import hmac
import secrets
from collections import defaultdict
from typing import Any

from aiohttp import web
from multidict import MultiMapping

from prober.models import ProbeResult
from prober.render.documents import result_document
from prober.web import queries
from prober.web.auth import host_name, is_host_in, is_ip_address
from prober.web.context import SITE, WebContext
from prober.web.rendering import render_page

PAGE, API = "/tenants/{tenant}/probes/{probe}/run", "/api/v1/tenants/{tenant}/probes/{probe}/run"
CSRF_FIELD = "csrf_token"
_LOCAL_NAMES = frozenset({"localhost"})


class _RunNowState:
    """The CSRF token of this process, and a lock for each tenant: one run at a time."""

    def __init__(self) -> None:
        self.csrf_token = secrets.token_urlsafe(24)
        self.locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)


_RUN_NOW: web.AppKey[_RunNowState] = web.AppKey("ad hoc runs", _RunNowState)


def add_run_now_routes(app: web.Application) -> None:
    """Add the routes; they respond with 403 unless enabled."""
    app[_RUN_NOW] = _RunNowState()
    app.router.add_post(PAGE, _on_page)
    app.router.add_post(API, _on_api)


def csrf_token(app: web.Application) -> str | None:
    """Return the token that a form must have; None if run-now is disabled."""
    return None if app[SITE].run_once is None else process_token(app)


def process_token(app: web.Application) -> str:
    """Return the CSRF token of this process."""
    return app[_RUN_NOW].csrf_token


def browser_objection(request: web.Request) -> str | None:
    """Return why a browser's request is rejected, None if it is not."""
    headers = request.headers
    return csrf_error(
        headers.get("Host", ""),
        headers.get("Origin"),
        headers.get("Sec-Fetch-Site"),
        request.app[SITE].allowed_hosts,
    )


def csrf_error(
    host: str, origin: str | None, fetch_site: str | None, hosts: tuple[str, ...]
) -> str | None:
    """Return why a browser's request is rejected, None if it is not. Pure.

    `host`, `origin` and `fetch_site` are the headers of these names.
    """
    name = host_name(host)
    if not (name in _LOCAL_NAMES or is_host_in(name, hosts) or is_ip_address(name)):
        return f"'{name}' is not in web.allowed_hosts: add it if browsers use this host name"
    if fetch_site not in {None, "same-origin", "none"}:
        return "this is a cross-site request"
    if origin is not None and origin.partition("://")[2].lower() != host.lower():
        return "this is a cross-site request"
    return None


async def read_form(request: web.Request) -> MultiMapping[Any]:
    """Return the form of a request; raises HTTPForbidden unless it has the CSRF token."""
    try:
        form = await request.post()
    except (ValueError, LookupError, AssertionError, RuntimeError) as error:
        raise web.HTTPBadRequest(text="the form cannot be read") from error
    given, ours = form.get(CSRF_FIELD, ""), process_token(request.app)
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), ours.encode()):
        raise web.HTTPForbidden(
            text="the CSRF token is wrong or from an earlier start of the prober: reload the page"
        )
    return form


def check_origin(request: web.Request) -> None:
    """Raise HTTPForbidden for a browser's request that is rejected."""
    refused = browser_objection(request)
    if refused is not None:
        raise web.HTTPForbidden(text=refused)


def check_json(request: web.Request) -> None:
    """Raise HTTPUnsupportedMediaType unless the body is JSON: no form of another site can be."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="send 'Content-Type: application/json'")


async def _on_page(request: web.Request) -> web.Response:
    await read_form(request)
    document = result_document(await _run(request))
    return await render_page(request, "run.html", document=document)


async def _on_api(request: web.Request) -> web.Response:
    check_json(request)
    return web.json_response(result_document(await _run(request)))


async def _run(request: web.Request) -> ProbeResult:
    site, state = request.app[SITE], request.app[_RUN_NOW]
    tenant, probe = _authorized(request, site)
    if site.run_once is None:
        raise web.HTTPForbidden(text="run now is disabled: set web.enable_run_now to true")
    if not site.is_ready():
        raise web.HTTPServiceUnavailable(text="the prober is starting: try again later")
    lock = state.locks[tenant]
    if lock.locked():
        raise web.HTTPTooManyRequests(text=f"an ad-hoc run of {tenant} is in progress: wait for it")
    async with lock:
        return await site.run_once(tenant, probe)


def _authorized(request: web.Request, site: WebContext) -> tuple[str, str]:
    check_origin(request)
    tenant, probe = request.match_info["tenant"], request.match_info["probe"]
    probes = queries.probe_names(site, tenant)
    if probe not in probes:
        raise web.HTTPNotFound(text=f"{tenant} has no probe '{probe}'")
    return tenant, probe


PATH = "/-/reload"


def add_reload_route(app: web.Application) -> None:
    """Add the route; it responds with 403 unless enabled."""
    app.router.add_post(PATH, _reload)


async def _reload(request: web.Request) -> web.Response:
    site = request.app[SITE]
    refused = browser_objection(request)
    if refused is not None:
        return web.Response(status=403, text=f"{refused}\n")
    if site.reload is None:
        return web.Response(
            status=403,
            text="reload by HTTP is disabled: set web.enable_reload to true, or send SIGHUP\n",
        )
    problems = await site.reload()
    if problems:
        lines = "".join(f"{problem}\n" for problem in problems)
        return web.Response(status=400, text=f"not reloaded, nothing has changed:\n{lines}")
    return web.Response(text="reloaded\n")
