"""Background tasks that look outside: the references, and the supplier's status page.

Both send a request a minute, without any token, and follow no redirects. Neither can stop probing:
what they cannot find out is shown, and changes no verdict's culprit.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from prober.config.resolve import Config
from prober.formatting import one_line
from prober.metrics.sink import PrometheusSink
from prober.models import (
    AlertSeverity,
    ConnectionPolicy,
    HttpExchange,
    Probe,
    ProbeResult,
    Request,
    TransportOptions,
)
from prober.references import (
    CHECK_SECONDS,
    ReferenceStatus,
    next_status,
    reference_problem,
    with_references,
)
from prober.status_page import (
    KEPT_SECONDS,
    MAX_BODY_BYTES,
    SUMMARY_PATH,
    PublishedStatus,
    StatusPageError,
    SupplierStatus,
    parse_summary,
)
from prober.version import current_version

_Logger = structlog.typing.FilteringBoundLogger
_HTTP_OK = 200
_MAX_PROBLEM_CHARACTERS = 200


class SendRequest(Protocol):
    """Sends one request and returns what came. Raises nothing but cancellation."""

    async def __call__(
        self, request: Request, probe: Probe, options: TransportOptions
    ) -> HttpExchange:
        """Send the request."""
        ...


def _limits(name: str, method: str, max_response_bytes: int) -> Probe:
    return Probe(
        name=name,
        sent_path="",
        method=method,
        interval_seconds=CHECK_SECONDS,
        timeout_seconds=10.0,
        connect_timeout_seconds=5.0,
        connection=ConnectionPolicy.FRESH,
        max_response_bytes=max_response_bytes,
        server_objective_seconds=2.5,
        network_objective_seconds=0.5,
        severity=AlertSeverity.TICKET,
    )


_REFERENCE = _limits("reference", "HEAD", 4096)
_STATUS_PAGE = _limits("status page", "GET", MAX_BODY_BYTES)


@dataclass(frozen=True, slots=True)
class MonitorDeps:
    """The dependencies of a monitor. `now` returns epoch seconds."""

    send: SendRequest
    metrics: PrometheusSink
    logger: _Logger
    now: Callable[[], float]


class _Periodic:
    """A task that repeats a step once a minute, also after one that failed because of a bug.

    `accept` is the media type that its requests accept.
    """

    def __init__(self, name: str, accept: str, deps: MonitorDeps) -> None:
        self._name = name
        self._send = deps.send
        self._metrics = deps.metrics
        self._logger = deps.logger
        self._now = deps.now
        user_agent = f"prober/{current_version().version}"
        self._headers = (("User-Agent", user_agent), ("Accept", accept))
        self._transport = TransportOptions(None, proxy_from_environment=False)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the task; it makes its first step at once."""
        self._task = asyncio.create_task(self._repeat(), name=self._name)

    async def close(self) -> None:
        """Stop the task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def step(self) -> None:
        """Do what is repeated."""
        raise NotImplementedError

    async def _repeat(self) -> None:
        while True:
            try:
                await self.step()
            except Exception:
                self._logger.exception("monitor.crashed", monitor=self._name)
            await asyncio.sleep(CHECK_SECONDS)


class ReferenceMonitor(_Periodic):
    """Checks every reference once a minute. `statuses` are those of the last checks."""

    def __init__(self, deps: MonitorDeps) -> None:
        super().__init__("references", "*/*", deps)
        self._urls: Sequence[str] = ()
        self._statuses: dict[str, ReferenceStatus] = {}

    @property
    def statuses(self) -> tuple[ReferenceStatus, ...]:
        """The statuses of references that were checked, in the order of the configuration."""
        return tuple(self._statuses[url] for url in self._urls if url in self._statuses)

    def apply(self, urls: Sequence[str], transport: TransportOptions) -> None:
        """Use these references from the next step on."""
        self._urls, self._transport = tuple(urls), transport
        self._statuses = {url: s for url, s in self._statuses.items() if url in urls}
        self._metrics.references(self.statuses)

    async def step(self) -> None:
        """Check all references at once."""
        await asyncio.gather(*(self._check(url) for url in self._urls))

    async def _check(self, url: str) -> None:
        request = Request("HEAD", url, self._headers, None, authorization=None)
        exchange = await self._send(request, _REFERENCE, self._transport)
        if url not in self._urls:  # a reload removed it meanwhile
            return
        before = self._statuses.get(url)
        status = next_status(url, before, reference_problem(url, exchange), self._now())
        self._statuses[url] = status
        self._metrics.references(self.statuses)
        if status.problem is not None and (before is None or before.is_reachable):
            self._logger.warning("reference.unreachable", reference=url, message=status.problem)
        elif before is not None and status.is_reachable and not before.is_reachable:
            self._logger.info("reference.reachable", reference=url)


class StatusPageMonitor(_Periodic):
    """Reads the supplier's status page once a minute; `record` is passed what each read found."""

    def __init__(self, deps: MonitorDeps, record: Callable[[PublishedStatus], None]) -> None:
        super().__init__("status page", "application/json", deps)
        self._record = record
        self._components: Sequence[str] = ()
        self.status: SupplierStatus | None = None

    def apply(
        self, url: str | None, components: Sequence[str], transport: TransportOptions
    ) -> None:
        """Read this page from the next step on; None reads none."""
        self._components, self._transport = tuple(components), transport
        if url is None:
            self.status = None
        elif self.status is None or self.status.url != url:
            self.status = SupplierStatus(url)
        self._metrics.status_page(self.status)

    async def step(self) -> None:
        """Read the page, and record what it says, or that it could not be read."""
        if self.status is None:
            return
        before = self.status
        read = await self._read(before)
        if self.status is not before:  # a reload has changed the address meanwhile
            return
        self.status = read
        self._metrics.status_page(read)
        self._log_changes(before, read)
        now = self._now()
        published = read.incidents if read.problem is None else ()
        self._record(PublishedStatus(now, now, read.url, read.problem, published))

    async def _read(self, before: SupplierStatus) -> SupplierStatus:
        request = Request("GET", before.url + SUMMARY_PATH, self._headers, None, authorization=None)
        exchange = await self._send(request, _STATUS_PAGE, self._transport)
        now = self._now()
        try:
            # A thread: a document of a megabyte takes longer than a measurement may wait.
            incidents = await asyncio.to_thread(
                parse_summary, _summary_in(exchange), self._components, now, before.url
            )
        except StatusPageError as error:
            # What was read last stays for a while, and then it is no longer known.
            is_recent = before.read_at is not None and now - before.read_at <= KEPT_SECONDS
            known = before.incidents if is_recent else ()
            problem = one_line(str(error), _MAX_PROBLEM_CHARACTERS)
            return SupplierStatus(before.url, before.read_at, problem, known)
        return SupplierStatus(before.url, now, None, incidents)

    def _log_changes(self, before: SupplierStatus, after: SupplierStatus) -> None:
        if after.problem is not None and before.problem is None:
            self._logger.warning("status_page.unreadable", url=after.url, message=after.problem)
        elif after.problem is None and before.problem is not None:
            self._logger.info("status_page.readable", url=after.url)
        known = {incident.id for incident in before.incidents}
        for incident in after.incidents:
            if incident.id not in known:
                self._logger.warning(
                    "status_page.incident",
                    incident=incident.name,
                    impact=incident.impact,
                    started_at=incident.started_at,
                )


class OutsideMonitor:
    """Both monitors, as a configuration has them."""

    def __init__(
        self,
        configuration: Config,
        send: SendRequest,
        metrics: PrometheusSink,
        logger: _Logger,
        now: Callable[[], float],
        record_published: Callable[[PublishedStatus], None] = lambda _read: None,
    ) -> None:
        deps = MonitorDeps(send, metrics, logger, now)
        self._now = now
        self.references = ReferenceMonitor(deps)
        self.status_page = StatusPageMonitor(deps, record_published)
        self.apply(configuration)

    def apply(self, configuration: Config) -> None:
        """Apply a configuration."""
        transport, page = configuration.outside_transport, configuration.status_page
        self.references.apply(configuration.references, transport)
        url, components = (None, ()) if page is None else (page.url, page.components)
        self.status_page.apply(url, components, transport)

    def start(self) -> None:
        """Start both."""
        self.references.start()
        self.status_page.start()

    async def close(self) -> None:
        """Stop both."""
        await self.references.close()
        await self.status_page.close()

    def annotated(self, result: ProbeResult) -> ProbeResult:
        """Return a result with what the references say of its verdict."""
        verdict = with_references(result.verdict, self.references.statuses, self._now())
        return result if verdict is result.verdict else replace(result, verdict=verdict)


def _summary_in(exchange: HttpExchange) -> bytes:
    """Return the body of a summary; raises StatusPageError if there is none."""
    response = exchange.response
    if exchange.failure is not None:
        raise StatusPageError(exchange.failure.detail)
    if response is None:
        raise StatusPageError("no response")
    if response.status != _HTTP_OK:
        raise StatusPageError(f"HTTP {response.status}")
    if response.body_over_limit:
        raise StatusPageError(f"is longer than {MAX_BODY_BYTES} bytes")
    return response.body
