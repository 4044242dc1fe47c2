"""Running a probe out of turn, from a browser or a program.

Off unless enabled. A browser may do it only from our own pages: the page that asks must say that it
is of the same origin (Fetch Metadata, Origin), and be reached by a name that nobody else can point
at us (against DNS rebinding), and its form bears a word that only our pages know.
"""

import asyncio
import hmac
import ipaddress
import secrets
from collections import defaultdict

from aiohttp import web

from prober.model import Result
from prober.views.document import result_document
from prober.web import questions
from prober.web.rendering import page
from prober.web.site import SITE, Site

PAGE, API = "/tenants/{tenant}/probes/{probe}/run", "/api/v1/tenants/{tenant}/probes/{probe}/run"
WORD_FIELD = "word"
_LOCAL_NAMES = frozenset({"localhost"})


class _Desk:
    """Who may, and one run of a tenant at a time."""

    def __init__(self) -> None:
        self.word = secrets.token_urlsafe(24)
        self.locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)


_DESK: web.AppKey[_Desk] = web.AppKey("ad hoc runs", _Desk)


def add_routes(app: web.Application) -> None:
    """Add the routes; while not enabled they say so."""
    app[_DESK] = _Desk()
    app.router.add_post(PAGE, _on_page)
    app.router.add_post(API, _on_api)


def word(app: web.Application) -> str | None:
    """Return the word that a form must bear; None where ad-hoc runs are not enabled."""
    return None if app[SITE].run_once is None else app[_DESK].word


def objection(
    host: str, origin: str | None, fetch_site: str | None, hosts: tuple[str, ...]
) -> str | None:
    """Return why a browser's request is refused, None if it is not. Pure.

    `host`, `origin` and `fetch_site` are the headers of these names.
    """
    name = _name(host)
    if not (name in _LOCAL_NAMES or name in hosts or _is_address(name)):
        return f"'{name}' is not in web.hosts: add it if the pages are meant to be reached by it"
    if fetch_site not in {None, "same-origin", "none"}:
        return "another site's page asked for this"
    if origin is not None and origin.partition("://")[2] != host:
        return "another site's page asked for this"
    return None


async def _on_page(request: web.Request) -> web.Response:
    try:
        form = await request.post()
    except (ValueError, LookupError, AssertionError, RuntimeError) as error:
        raise web.HTTPBadRequest(text="the form cannot be read") from error
    given = form.get(WORD_FIELD, "")
    ours = request.app[_DESK].word
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), ours.encode()):
        raise web.HTTPForbidden(text="this form is not of this page, or of an earlier one: reload")
    document = result_document(await _run(request))
    return await page(request, "run.html", document=document)


async def _on_api(request: web.Request) -> web.Response:
    if request.content_type != "application/json":  # which no form can send
        raise web.HTTPUnsupportedMediaType(text="send 'Content-Type: application/json'")
    return web.json_response(result_document(await _run(request)))


async def _run(request: web.Request) -> Result:
    site, desk = request.app[SITE], request.app[_DESK]
    tenant, probe = _checked(request, site)
    if site.run_once is None:
        raise web.HTTPForbidden(text="ad-hoc runs are off: set web.ad_hoc_runs to true")
    if not site.is_ready():
        raise web.HTTPServiceUnavailable(text="the prober is starting: try again")
    lock = desk.locks[tenant]
    if lock.locked():
        raise web.HTTPTooManyRequests(text=f"an ad-hoc run of {tenant} is under way: wait for it")
    async with lock:
        return await site.run_once(tenant, probe)


def _checked(request: web.Request, site: Site) -> tuple[str, str]:
    headers = request.headers
    refused = objection(
        headers.get("Host", ""), headers.get("Origin"), headers.get("Sec-Fetch-Site"), site.hosts
    )
    if refused is not None:
        raise web.HTTPForbidden(text=refused)
    tenant, probe = request.match_info["tenant"], request.match_info["probe"]
    try:
        probes = questions.known(site, tenant)
    except questions.NotFound as error:
        raise web.HTTPNotFound(text=str(error)) from error
    if probe not in probes:
        raise web.HTTPNotFound(text=f"{tenant} has no probe '{probe}'")
    return tenant, probe


def _name(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).strip("[]").lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
