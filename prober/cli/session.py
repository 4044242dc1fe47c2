"""Requests of the command line to one tenant: one after the other, at most one a second."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from os import environ
from pathlib import Path

import click

from prober.classifier.rules import classify
from prober.cli.options import verdict_line
from prober.cli.probe import open_tenant
from prober.config.builtin_probes import ANY_OK, CATALOGUE
from prober.config.resolve import Config
from prober.errors import ProberError, TokenUnavailableError
from prober.http_client.client import ProbeHttpClient
from prober.models import (
    AlertSeverity,
    ConnectionPolicy,
    Expectations,
    Probe,
    ProbeResult,
    Tenant,
)
from prober.probe import build_request
from prober.redaction import Redactor
from prober.tokens.manager import TokenLease
from prober.version import current_version

SECONDS_BETWEEN_REQUESTS = 1.0
_MAX_RESPONSE_BYTES = 16 * 1024 * 1024
_TIMEOUT_SECONDS = 30.0


class Pace:
    """Waits so that a second passes between the starts of two requests."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._next_at: float | None = None

    async def wait(self) -> None:
        """Return when the next request may be sent."""
        if self._next_at is not None:
            await self._sleep(max(0.0, self._next_at - self._clock()))
        self._next_at = self._clock() + SECONDS_BETWEEN_REQUESTS


class Session:
    """Sends single requests to one tenant, without any repetition."""

    def __init__(
        self, tenant: Tenant, lease: TokenLease, client: ProbeHttpClient, pace: Pace
    ) -> None:
        self._tenant = tenant
        self._lease = lease
        self._client = client
        self._pace = pace

    async def send(self, probe: Probe) -> ProbeResult:
        """Send the request of a probe once, and classify the response."""
        await self._pace.wait()
        tenant, lease = self._tenant, self._lease
        request = build_request(tenant, probe, lease.token, version=current_version().version)
        started_at = time.time()
        fresh = replace(probe, connection=ConnectionPolicy.FRESH)
        exchange = await self._client.exchange(request, fresh, tenant.transport)
        verdict = classify(exchange, probe.expectations)
        return ProbeResult(tenant.name, probe.name, started_at, exchange, verdict, lease.ref)

    async def read(
        self, path: str, body: Mapping[str, object] | None = None
    ) -> tuple[object, ProbeResult]:
        """Return the JSON document at `path`, None if there is none, and the result."""
        result = await self.send(reading_probe(path, body))
        return document_of(result), result


@asynccontextmanager
async def session(
    tenant: Tenant,
    variables: Mapping[str, str],
    state_directory: Path | None = None,
    pace: Pace | None = None,
) -> AsyncIterator[Session]:
    """Open a session with the tenant's token; raises TokenUnavailableError if there is none.

    The key of fingerprints is read from `state_directory`; nothing is written to it.
    """
    async with open_tenant(tenant, variables, state_directory) as (client, manager):
        lease = await manager.lease(tenant)
        if not isinstance(lease, TokenLease):
            raise TokenUnavailableError(f"{tenant.name}: there is no token: {lease.problem}")
        yield Session(tenant, lease, client, pace or Pace())


def reading_probe(
    path: str, body: Mapping[str, object] | None = None, expectations: Expectations = ANY_OK
) -> Probe:
    """Return a probe that reads `path`: with GET, or with POST if there is a body."""
    return Probe(
        name=path,
        sent_path=path,
        method="GET" if body is None else "POST",
        body=None if body is None else json.dumps(body).encode(),
        interval_seconds=60.0,
        timeout_seconds=_TIMEOUT_SECONDS,
        connect_timeout_seconds=_TIMEOUT_SECONDS,
        connection=ConnectionPolicy.FRESH,
        max_response_bytes=_MAX_RESPONSE_BYTES,
        server_objective_seconds=_TIMEOUT_SECONDS,
        network_objective_seconds=_TIMEOUT_SECONDS,
        severity=AlertSeverity.TICKET,
        expectations=expectations,
    )


def builtin_probe(name: str) -> Probe:
    """Return a built-in probe that takes no parameter."""
    builtin = CATALOGUE[name]
    return replace(reading_probe(builtin.path, None, builtin.expectations), name=name)


def document_of(result: ProbeResult) -> object:
    """Return the JSON document of a successful result without secrets, None if there is none."""
    response = result.exchange.response
    if not result.verdict.succeeded or response is None or response.status != HTTPStatus.OK:
        return None
    try:
        return _without_secrets(json.loads(response.body), result.exchange.redactor)
    except (ValueError, RecursionError):
        return None


def _without_secrets(value: object, redactor: Redactor) -> object:
    """Return a JSON value with no secret in its texts: names are printed, and may be written."""
    if isinstance(value, str):
        return redactor.text(value)
    if isinstance(value, list):
        return [_without_secrets(each, redactor) for each in value]
    if isinstance(value, dict):
        return {redactor.text(key): _without_secrets(each, redactor) for key, each in value.items()}
    return value


def accepted_tokens(configuration: Config) -> bool:
    """Read the user of each tenant's token once, and print the verdicts.

    Returns whether all of them succeeded.
    """
    return asyncio.run(_accepted_tokens(configuration))


async def _accepted_tokens(configuration: Config) -> bool:
    pace, all_succeeded = Pace(), True
    for tenant in configuration.tenants:
        try:
            async with session(tenant, environ, configuration.state_directory, pace) as opened:
                result = await opened.send(builtin_probe("current-user"))
            line, succeeded = verdict_line(result.verdict), result.verdict.succeeded
        except ProberError as error:
            line, succeeded = f"prober_fault: {error}", False
        click.echo(f"  {tenant.name}: {line}")
        all_succeeded = all_succeeded and succeeded
    return all_succeeded
