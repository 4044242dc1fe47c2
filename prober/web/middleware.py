"""Authentication and authorization of every request, and the headers of every response.

Responses from here are plain text or JSON: a page would show data to clients that may not see it.
"""

import asyncio
import math
import zlib
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import structlog
from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError

from prober.web.api import error_response, wants_json
from prober.web.auth import (
    HEALTH,
    READING,
    AuthDecision,
    PasswordVerifier,
    RateLimit,
    RateLimiter,
    TooBusyError,
    authorize,
    client_network,
    credentials,
    host_objection,
)
from prober.web.context import SITE
from prober.web.tls import WebConfigReloader

_CSP = "Content-Security-Policy"
_HSTS = "Strict-Transport-Security"
_STRICT = {
    "Server": "prober",
    "Cache-Control": "no-store",
    _CSP: (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self';"
        " connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with `no-referrer`, our forms would send no Origin
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_DAY_SECONDS = "max-age=86400"  # short, since it applies to every port of the host name


def response_headers(written: Mapping[str, str], *, is_tls: bool) -> dict[str, str]:
    """Return the headers of a response; those of web.yml replace ours, and "" removes one.

    A content security policy is added to ours instead: browsers enforce both.
    """
    headers = {**_STRICT, **({_HSTS: _DAY_SECONDS} if is_tls else {}), **written}
    policy = written.get(_CSP, "")
    headers[_CSP] = f"{_STRICT[_CSP]}, {policy}" if policy else _STRICT[_CSP]
    return {name: value for name, value in headers.items() if value}


_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_CHALLENGE = 'Basic realm="prober", charset="UTF-8"'
_WRITES_NEED = (
    "authentication required: set web.config_file to a file with basic_auth_users or client"
    " certificates"
)
_FAILURES_BURST = 10
_FAILURE_INTERVAL_SECONDS = 10.0
_MAX_NETWORKS = 4096
_BODY_SECONDS = 10.0
_BUSY_SECONDS = 1.0


class AuthMiddleware:
    """Passes requests on, or responds with 401, 403, 408, 413, 429 or 503."""

    def __init__(self, web_config: WebConfigReloader, body_seconds: float = _BODY_SECONDS) -> None:
        self._web_config = web_config
        self._body_seconds = body_seconds
        self._passwords = PasswordVerifier()
        self._wrong = RateLimiter(_FAILURES_BURST, _FAILURE_INTERVAL_SECONDS, _MAX_NETWORKS)
        self._requests = RateLimiter(1, 0.0)
        self._logger = structlog.get_logger("prober")

    def install(self, app: web.Application) -> None:
        """Add this to an app: before all other middlewares, and to every response."""

        @web.middleware
        async def authenticate(request: web.Request, handler: _Handler) -> web.StreamResponse:
            return await self._handle(request, handler)

        app.middlewares.insert(0, authenticate)
        app.on_response_prepare.append(self._add_headers)
        app.on_cleanup.append(self._close)

    async def _handle(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            refusal = await self._refusal(request)
        except TooBusyError:
            refusal = _response(request, 503, "too many logins at once, try again", _BUSY_SECONDS)
        if refusal is None:
            return await handler(request)
        if not request.content.at_eof():  # the rest of a rejected request is not read
            refusal.force_close()
        return refusal

    async def _refusal(self, request: web.Request) -> web.Response | None:
        access, resource = self._web_config.access, request.match_info.route.resource
        context = request.app.get(SITE)
        prefix = "" if context is None else context.route_prefix
        route = None if resource is None else resource.canonical.removeprefix(prefix)
        if context is not None and route not in HEALTH:
            objection = host_objection(
                request.headers.get("Host"),
                context.allowed_hosts,
                is_loopback=context.is_loopback,
            )
            if objection is not None:
                return _response(request, 421, objection)
        if access.rate_limit is not None and route not in HEALTH:
            wait_seconds = self._over_rate(access.rate_limit)
            if wait_seconds > 0:
                return _response(
                    request, 429, "rate limit exceeded (rate_limit in web.yml)", wait_seconds
                )
        is_known = bool(request.get_extra_info("peercert"))  # empty unless it was verified
        found = authorize(access, request.method, route, password=False, certificate=is_known)
        if found is AuthDecision.WRITE_REFUSED:
            return _response(request, 403, _WRITES_NEED)
        if found is AuthDecision.PASSWORD_NEEDED:
            refused = await self._password_refusal(request, access.users)
            if refused is not None:
                return refused
        return None if request.method in READING else await self._body_refusal(request)

    async def _password_refusal(
        self, request: web.Request, users: Mapping[bytes, bytes]
    ) -> web.Response | None:
        given = credentials(request.headers.get("Authorization"))
        if given is None:
            return _response(request, 401, "authentication required")
        if self._passwords.is_cached(users, *given):
            return None
        client, now = client_network(request.remote), asyncio.get_running_loop().time()
        wait_seconds = self._wrong.wait_seconds(client, now)
        if wait_seconds > 0:
            return _response(request, 429, "too many failed logins from this address", wait_seconds)
        counts = not self._passwords.is_pending(users, *given)
        fills = False
        if counts:  # before the check: otherwise many could be tried at once
            self._wrong.charge(client, now)
            fills = self._wrong.wait_seconds(client, now) > 0
        if await self._passwords.verify(users, *given):
            if counts:
                self._wrong.refund(client)
            return None
        if fills:
            self._logger.warning("web.auth_rate_limited", client=client)
        return _response(request, 401, "invalid credentials")

    def _over_rate(self, limit: RateLimit) -> float:
        now = asyncio.get_running_loop().time()
        self._requests.burst, self._requests.interval_seconds = limit.burst, limit.interval_seconds
        wait_seconds = self._requests.wait_seconds("", now)
        if wait_seconds == 0:
            self._requests.charge("", now)
        return wait_seconds

    async def _body_refusal(self, request: web.Request) -> web.Response | None:
        """Read the body here, within limits, so that no handler waits for it."""
        try:
            async with asyncio.timeout(self._body_seconds):
                await request.read()
        except TimeoutError:
            return _response(request, 408, "timeout while reading the request body")
        except web.HTTPRequestEntityTooLarge:
            return _response(request, 413, "the request body is too large")
        except (ValueError, OSError, zlib.error, ClientPayloadError, HttpProcessingError):
            # RequestPayloadError among them: the body is not what the head says.
            return _response(request, 400, "the request body cannot be read")
        return None

    async def _add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        headers = response_headers(self._web_config.access.headers, is_tls=request.secure)
        response.headers["Server"] = headers["Server"]  # instead of the library and its version
        for name, value in headers.items():
            response.headers.setdefault(name, value)

    async def _close(self, _app: web.Application) -> None:
        self._passwords.close()


def _response(
    request: web.Request, status: int, text: str, retry_seconds: float | None = None
) -> web.Response:
    if wants_json(request):
        response = error_response(status, text)
    else:
        response = web.Response(status=status, text=f"{text}\n")
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = _CHALLENGE
    if retry_seconds is not None:
        response.headers["Retry-After"] = str(math.ceil(retry_seconds))
    return response
