"""Everything that is asked passes here first: who asks, and may they do it.

Answers given here are bare text or JSON: a page would tell strangers how things stand.
"""

import asyncio
import math
import zlib
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import structlog
from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError

from prober.access.keeper import AccessKeeper
from prober.access.passwords import Passwords, TooBusyError
from prober.access.rules import (
    HEALTH,
    READING,
    RateLimit,
    Ruling,
    client_network,
    credentials,
    ruling,
)
from prober.access.throttle import Throttle
from prober.web.api import error_answer, is_for_programs
from prober.web.headers import answer_headers

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_CHALLENGE = 'Basic realm="prober", charset="UTF-8"'
_WRITES_NEED = (
    "this is read-only to whoever has not shown who they are: set web.config_file to a file with"
    " basic_auth_users or client certificates"
)
_WRONG_AT_ONCE = 10
_SECONDS_A_WRONG_ONE = 10.0
_MOST_NETWORKS = 4096
_BODY_SECONDS = 10.0
_BUSY_SECONDS = 1.0


class Gate:
    """Lets requests through, or answers in their place."""

    def __init__(self, keeper: AccessKeeper, body_seconds: float = _BODY_SECONDS) -> None:
        self._keeper = keeper
        self._body_seconds = body_seconds
        self._passwords = Passwords()
        self._wrong = Throttle(_WRONG_AT_ONCE, _SECONDS_A_WRONG_ONE, _MOST_NETWORKS)
        self._requests = Throttle(1, 0.0)
        self._logger = structlog.get_logger("prober")

    def add_to(self, app: web.Application) -> None:
        """Stand before every handler of `app`, and behind every answer."""

        @web.middleware
        async def gate(request: web.Request, handler: _Handler) -> web.StreamResponse:
            return await self._pass(request, handler)

        app.middlewares.insert(0, gate)
        app.on_response_prepare.append(self._add_headers)
        app.on_cleanup.append(self._close)

    async def _pass(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            refusal = await self._refusal(request)
        except TooBusyError:
            refusal = _answer(request, 503, "too many passwords are being checked", _BUSY_SECONDS)
        if refusal is None:
            return await handler(request)
        if not request.content.at_eof():  # of a request that is refused nothing more is read
            refusal.force_close()
        return refusal

    async def _refusal(self, request: web.Request) -> web.Response | None:
        access, resource = self._keeper.access, request.match_info.route.resource
        route = None if resource is None else resource.canonical
        if access.rate_limit is not None and route not in HEALTH:
            wait_seconds = self._over_rate(access.rate_limit)
            if wait_seconds > 0:
                return _answer(request, 429, "over the rate_limit of web.yml", wait_seconds)
        is_known = bool(request.get_extra_info("peercert"))  # empty unless it was verified
        found = ruling(access, request.method, route, password=False, certificate=is_known)
        if found is Ruling.WRITE_REFUSED:
            return _answer(request, 403, _WRITES_NEED)
        if found is Ruling.PASSWORD_NEEDED:
            refused = await self._password_refusal(request, access.users)
            if refused is not None:
                return refused
        return None if request.method in READING else await self._body_refusal(request)

    async def _password_refusal(
        self, request: web.Request, users: Mapping[bytes, bytes]
    ) -> web.Response | None:
        given = credentials(request.headers.get("Authorization"))
        if given is None:
            return _answer(request, 401, "a user and a password are needed")
        if self._passwords.is_remembered(users, *given):
            return None
        client, now = client_network(request.remote), asyncio.get_running_loop().time()
        wait_seconds = self._wrong.wait_seconds(client, now)
        if wait_seconds > 0:
            return _answer(request, 429, "too many wrong passwords from there", wait_seconds)
        counts = not self._passwords.is_being_checked(users, *given)
        fills = False
        if counts:  # beforehand, or many could be tried at once
            self._wrong.charge(client, now)
            fills = self._wrong.wait_seconds(client, now) > 0
        if await self._passwords.is_right(users, *given):
            if counts:
                self._wrong.refund(client)
            return None
        if fills:
            self._logger.warning("web.passwords_throttled", client=client)
        return _answer(request, 401, "user and password do not fit")

    def _over_rate(self, limit: RateLimit) -> float:
        now = asyncio.get_running_loop().time()
        self._requests.burst, self._requests.seconds_each = limit.burst, limit.interval_seconds
        wait_seconds = self._requests.wait_seconds("", now)
        if wait_seconds == 0:
            self._requests.charge("", now)
        return wait_seconds

    async def _body_refusal(self, request: web.Request) -> web.Response | None:
        """Read what is sent, within bounds, so that no handler waits for it."""
        try:
            async with asyncio.timeout(self._body_seconds):
                await request.read()
        except TimeoutError:
            return _answer(request, 408, "the request's body did not come in time")
        except web.HTTPRequestEntityTooLarge:
            return _answer(request, 413, "the request's body is too large")
        except (ValueError, OSError, zlib.error, ClientPayloadError, HttpProcessingError):
            # RequestPayloadError among them: the body is not what the head says.
            return _answer(request, 400, "the request's body cannot be read")
        return None

    async def _add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        headers = answer_headers(self._keeper.access.headers, is_tls=request.secure)
        response.headers["Server"] = headers["Server"]  # in place of the library's and its version
        for name, value in headers.items():
            response.headers.setdefault(name, value)

    async def _close(self, _app: web.Application) -> None:
        self._passwords.close()


def _answer(
    request: web.Request, status: int, text: str, retry_seconds: float | None = None
) -> web.Response:
    if is_for_programs(request):
        answer = error_answer(status, text)
    else:
        answer = web.Response(status=status, text=f"{text}\n")
    if status == HTTPStatus.UNAUTHORIZED:
        answer.headers["WWW-Authenticate"] = _CHALLENGE
    if retry_seconds is not None:
        answer.headers["Retry-After"] = str(math.ceil(retry_seconds))
    return answer
