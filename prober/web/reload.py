"""`POST /-/reload`: reading the configuration anew, for who may. Off unless enabled."""

from aiohttp import web

from prober.web.ad_hoc import objection
from prober.web.site import SITE

PATH = "/-/reload"


def add_routes(app: web.Application) -> None:
    """Add the route; while not enabled it says so."""
    app.router.add_post(PATH, _reload)


async def _reload(request: web.Request) -> web.Response:
    site, headers = request.app[SITE], request.headers
    refused = objection(
        headers.get("Host", ""), headers.get("Origin"), headers.get("Sec-Fetch-Site"), site.hosts
    )
    if refused is not None:
        return web.Response(status=403, text=f"{refused}\n")
    if site.reload is None:
        return web.Response(
            status=403, text="reloading by HTTP is off: set web.reload to true, or send SIGHUP\n"
        )
    problems = await site.reload()
    if problems:
        lines = "".join(f"{problem}\n" for problem in problems)
        return web.Response(status=400, text=f"not reloaded, nothing has changed:\n{lines}")
    return web.Response(text="reloaded\n")
