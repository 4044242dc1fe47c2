"""The simulator's admin API: faults, tokens, latency and network, as JSON.

It listens on its own address, loopback by default, and rejects requests from web pages.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from prober.simulator.faults import FAULTS
from prober.simulator.permissions import Permissions, permission_named
from prober.simulator.platform import Latency
from prober.simulator.scenario import Action, apply_action, format_validation_errors
from prober.simulator.simulator import Simulator

HELP = """The admin API of prober's simulated platform. Bodies are JSON.

GET    /                            this text
GET    /faults                      all faults, and the active ones
PUT    /faults                      {"fault": "server_error", "tenant": "acme-prod", "times": 3}
                                    "path": "/api/v1/*" limits it; "message" replaces the message
DELETE /faults[?tenant=NAME]        end all faults, or those of one tenant
GET    /tenants                     names, addresses, current tokens
POST   /tenants/NAME/regenerate     a new token; the previous one becomes invalid
POST   /tenants/NAME/replace-secret a new secret for the tenant's OAuth client
POST   /tenants/NAME/deliver        write current token and secret to the token directory
PUT    /tenants/NAME/denied         {"permissions": ["View sources"]}: 403 in all projects
PUT    /tenants/NAME/permissions    {"projects": {"ops": ["sources-read"]}, "global": []}
PUT    /tenants/NAME/processing     {"readable_ms": 0, "predicted_ms": 300, "streamed_ms": 500}
PUT    /latency                     {"median_ms": 120, "sigma": 0, "tenant": "acme-prod"}
PUT    /tenants/NAME/network        {"delay_ms": 80} or {"cut": true}
GET    /requests[?tenant=NAME]      logged requests, with token fingerprints
PUT    /status-page                 {"incidents": [{"id": "a", "name": "Errors", "impact": "major",
                                     "status": "investigating"}]}
GET    /status-page/api/v2/summary.json   the status page, for status_page in prober.yaml
"""

Body = Mapping[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_admin_api(simulator: Simulator) -> web.Application:
    """Return the admin application of `simulator`."""
    control = _Control(simulator)
    app = web.Application(middlewares=[_refuse_browsers, _json_errors])
    app.add_routes(
        [
            web.get("/", control.help),
            web.get("/faults", control.faults),
            web.put("/faults", control.set_fault),
            web.delete("/faults", control.clear_faults),
            web.get("/tenants", control.tenants),
            web.post("/tenants/{tenant}/regenerate", control.regenerate),
            web.post("/tenants/{tenant}/deliver", control.deliver),
            web.post("/tenants/{tenant}/replace-secret", control.replace_secret),
            web.put("/tenants/{tenant}/denied", control.deny),
            web.put("/tenants/{tenant}/permissions", control.permissions),
            web.put("/tenants/{tenant}/processing", control.processing),
            web.put("/tenants/{tenant}/network", control.network),
            web.put("/latency", control.latency),
            web.get("/requests", control.requests),
            web.put("/status-page", control.set_status_page),
            web.get("/status-page/api/v2/summary.json", control.status_page),
        ]
    )
    return app


@web.middleware
async def _refuse_browsers(request: web.Request, handler: Handler) -> web.StreamResponse:
    if "Origin" in request.headers or "Sec-Fetch-Site" in request.headers:
        return web.json_response({"error": "requests from web pages are not allowed"}, status=403)
    return await handler(request)


@web.middleware
async def _json_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except KeyError as error:
        return web.json_response({"error": error.args[0]}, status=404)
    except ValidationError as error:
        return web.json_response({"error": "; ".join(format_validation_errors(error))}, status=400)
    except ValueError as error:
        return web.json_response({"error": str(error)}, status=400)


async def _body(request: web.Request) -> Body:
    try:
        content = json.loads(await request.text())
    except json.JSONDecodeError as error:
        raise ValueError(f"the body is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError("the body must be a JSON object")  # noqa: TRY004 -- becomes a 400
    return content


class _Control:
    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._incidents: list[object] = []

    async def help(self, _: web.Request) -> web.Response:
        return web.Response(text=HELP)

    async def faults(self, _: web.Request) -> web.Response:
        table = [
            {"name": f.name, "stage": f.layer.value, "reason": f.reason, "summary": f.summary}
            for f in FAULTS.values()
        ]
        in_force = [
            {
                "fault": a.fault.name,
                "tenant": a.tenant,
                "path": a.path,
                "times": a.times,
                "message": a.message,
            }
            for a in self._simulator.state.faults
        ]
        return web.json_response({"faults": table, "in_force": in_force})

    async def set_fault(self, request: web.Request) -> web.Response:
        body = await _body(request)
        await apply_action(Action.model_validate(body), self._simulator)
        return await self.faults(request)

    async def clear_faults(self, request: web.Request) -> web.Response:
        await self._simulator.clear_faults(request.query.get("tenant"))
        return await self.faults(request)

    async def tenants(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                name: {
                    "base_url": self._simulator.base_url(name),
                    "user": self._simulator.state.accounts.user(name),
                    "token": self._simulator.token(name),
                    "token_url": self._simulator.token_url,
                    "client_id": self._client_id(name),
                    "issued_tokens": self._simulator.state.identity.issued_tokens(name),
                    "denied": sorted(self._permissions(name).denied),
                    "permissions": {
                        "projects": self._permissions(name).by_project(),
                        "global": self._permissions(name).globally(),
                    },
                }
                for name in self._simulator.state.tenants
            }
        )

    async def regenerate(self, request: web.Request) -> web.Response:
        return web.json_response({"token": self._simulator.regenerate(_tenant(request))})

    async def replace_secret(self, request: web.Request) -> web.Response:
        self._simulator.replace_secret(_tenant(request))
        return web.json_response({"client_id": self._client_id(_tenant(request))})

    async def deliver(self, request: web.Request) -> web.Response:
        file = await self._simulator.deliver(_tenant(request))
        return web.json_response({"file": str(file)})

    async def deny(self, request: web.Request) -> web.Response:
        names = _strings((await _body(request)).get("permissions", []), "permissions")
        self._permissions(_tenant(request)).deny(names)
        return await self.tenants(request)

    async def permissions(self, request: web.Request) -> web.Response:
        body = await _body(request)
        permissions = self._permissions(_tenant(request))
        projects = body.get("projects", {})
        if not isinstance(projects, dict):
            raise ValueError("'projects' must be an object")  # noqa: TRY004 -- becomes a 400
        checked = {str(name): _strings(names, str(name)) for name, names in projects.items()}
        for names in (*checked.values(), _strings(body.get("global", []), "global")):
            for each in names:
                permission_named(each)
        for project, names in checked.items():
            permissions.set_project(project, names)
        if "global" in body:
            permissions.set_global(_strings(body["global"], "global"))
        return await self.tenants(request)

    async def processing(self, request: web.Request) -> web.Response:
        body, tenant = await _body(request), _tenant(request)
        state = self._simulator.state
        processing = state.resources[state.require_tenant(tenant)].processing
        for stage in ("readable", "predicted", "streamed"):
            if f"{stage}_ms" in body:
                setattr(processing, f"{stage}_seconds", float(body[f"{stage}_ms"]) / 1000)
        return web.json_response(asdict(processing))

    def _permissions(self, tenant: str) -> Permissions:
        state = self._simulator.state
        return state.resources[state.require_tenant(tenant)].permissions

    async def network(self, request: web.Request) -> web.Response:
        body, proxy = await _body(request), self._simulator.proxy(_tenant(request))
        if "delay_ms" in body:
            proxy.delay_seconds = float(body["delay_ms"]) / 1000
        if "cut" in body:
            await (proxy.cut() if body["cut"] else proxy.restore())
        return web.json_response({"delay_ms": proxy.delay_seconds * 1000, "cut": proxy.is_cut})

    async def latency(self, request: web.Request) -> web.Response:
        body = await _body(request)
        latency = Latency(float(body["median_ms"]) / 1000, float(body.get("sigma", 0.0)))
        self._simulator.state.set_latency(latency, body.get("tenant"))
        return web.json_response(asdict(latency))

    def _client_id(self, tenant: str) -> str:
        return self._simulator.state.identity.client_id(tenant)

    async def set_status_page(self, request: web.Request) -> web.Response:
        """Set the incidents of the status page, whatever they are: hostile ones too."""
        incidents = (await _body(request)).get("incidents", [])
        if not isinstance(incidents, list):
            raise ValueError("'incidents' must be a list")  # noqa: TRY004 -- becomes a 400
        self._incidents = incidents
        return await self.status_page(request)

    async def status_page(self, _: web.Request) -> web.Response:
        return web.json_response({"page": {"name": "Simulator"}, "incidents": self._incidents})

    async def requests(self, request: web.Request) -> web.Response:
        tenant = request.query.get("tenant")
        logged = self._simulator.state.requests
        return web.json_response(
            {"requests": [r.as_dict() for r in logged if tenant in {None, r.tenant}]}
        )


def _tenant(request: web.Request) -> str:
    return request.match_info["tenant"]


def _strings(value: object, name: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError(f"'{name}' must be a list of names")
    return value
