"""The log: how it is written, and what results put into it.

One JSON object a line, or readable lines on a terminal; libraries that log through `logging` (the
scheduler, the web server) come out the same way, from WARNING up. Tokens never reach a log event,
so none are searched for here; long values are cut, and what repeats is folded (see `folding`).
"""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from prober import log_limits
from prober.log_limits import LoggedStreak, TokenBucket
from prober.models import ProbeResult, TokenEvent
from prober.outcomes import TokenEventKind
from prober.sinks import EventSink

LogFormat = Literal["auto", "json", "console"]
"""`auto`: readable on a terminal, JSON elsewhere."""

MAX_VALUE_CHARACTERS = 2048
MAX_TRACEBACK_CHARACTERS = 16 * 1024
MAX_FACTS = 20
MAX_REMEMBERED_PROBES = 20_000
"""Of how many probes it is known what was last logged; reloads may rename them for ever."""

MAX_COUNTED_EVENTS = 200
"""Of so many kinds of lines the rates are apart; all others have one together."""
_OTHER_EVENTS = "others"
_OWN_LOGGER = "prober"
_WARNING_EVENTS = frozenset(
    {TokenEventKind.REJECTED, TokenEventKind.EXPIRING, TokenEventKind.MISSING}
)


def configure_logging(stream: TextIO, level: str, log_format: LogFormat) -> None:
    """Write all logs of this process to `stream`; `level` is a name of `logging`, in any case.

    Loggers come from `structlog.get_logger("prober")`.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    handler = RateLimitedHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_shared(),
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_rendering(stream, log_format),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(threshold, logging.WARNING))
    logging.getLogger(_OWN_LOGGER).setLevel(threshold)
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


class RateLimitedHandler(logging.StreamHandler[TextIO]):
    """Writes lines up to a rate; beyond it they are left out, and the next one says how many.

    Each event has a rate of its own, so that none can displace another: what clients of the pages
    do wrong, for instance, the failures of probes. Libraries have one each.
    """

    def __init__(self, stream: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._now = now
        self._allowances: dict[str, TokenBucket] = {}
        self._saying = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or count it; called under this handler's lock."""
        if self._saying:
            super().emit(record)
            return
        event, now = self._event_of(record), self._now()
        passage = log_limits.take_token(self._allowances.get(event, TokenBucket(now)), now)
        self._allowances[event] = passage.then
        if passage.report_dropped:
            self._report_dropped(event, passage.report_dropped)
        if passage.write:
            super().emit(record)

    def _event_of(self, record: logging.LogRecord) -> str:
        """Return whose rate a line counts for; there are not more of them than a bound."""
        event = record.msg.get("event") if isinstance(record.msg, dict) else None
        name = event if record.name == _OWN_LOGGER and isinstance(event, str) else record.name
        known = name in self._allowances or len(self._allowances) < MAX_COUNTED_EVENTS
        return name if known else _OTHER_EVENTS

    def _report_dropped(self, event: str, lines: int) -> None:
        self._saying = True
        try:
            structlog.get_logger(_OWN_LOGGER).warning("log.lines_dropped", of=event, lines=lines)
        finally:
            self._saying = False


class LogSink(EventSink):
    """Logs what changes and what fails, and nothing of what goes on well.

    `verdict.changed`: another reason than the run before, recovery included, with the number of
    `failures` that are over. `probe.failed`: a failure with its evidence, at once when it is news;
    while it goes on once in a period, with how many were `repeated` since. `token.rejected`,
    `token.rotated` and so on: what happened to a token.
    """

    def __init__(
        self, logger: FilteringBoundLogger, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        self._now = now
        self._last: dict[tuple[str, str], str] = {}
        self._rows: dict[tuple[str, str], LoggedStreak] = {}

    def on_token_event(self, event: TokenEvent) -> None:
        """Log what happened to a token."""
        bad = event.kind in _WARNING_EVENTS
        write = self._logger.warning if bad else self._logger.info
        write(f"token.{event.kind.name.lower()}", **_token_log_fields(event))

    def on_result(self, result: ProbeResult) -> None:
        """Log a failure, or a change of the reason."""
        verdict = result.verdict
        key = (result.tenant, result.probe)
        if len(self._last) >= MAX_REMEMBERED_PROBES and key not in self._last:
            self._last.clear()
            self._rows.clear()
        before = self._last.get(key)
        if before == verdict.reason.value and verdict.succeeded:
            return
        self._last[key] = verdict.reason.value
        logger = self._logger.bind(tenant=result.tenant, probe=result.probe)
        if before is not None and before != verdict.reason.value:
            tell = logger.info if verdict.succeeded else logger.warning
            over = self._rows.get(key)
            moved = {"from": before, "to": verdict.reason.value}
            ended = {} if over is None else {"failures": over.failures}
            tell("verdict.changed", **moved, culprit=verdict.culprit.value, **ended)
        if verdict.succeeded:
            self._rows.pop(key, None)
        else:
            self._failed(key, result, logger)

    def _failed(
        self, key: tuple[str, str], result: ProbeResult, logger: FilteringBoundLogger
    ) -> None:
        now = self._now()
        ruling = log_limits.on_failure(self._rows.get(key), result.verdict.reason.value, now)
        if ruling.should_log:
            repeated = {"repeated": ruling.streak.unlogged} if ruling.streak.unlogged else {}
            logger.warning("probe.failed", **_log_fields(result), **repeated)
        self._rows[key] = (
            log_limits.mark_logged(ruling.streak, now) if ruling.should_log else ruling.streak
        )


def _log_fields(result: ProbeResult) -> dict[str, Any]:
    """Return what a failure rests on; what is not known is left out."""
    exchange, verdict = result.exchange, result.verdict
    every = {
        "outcome": verdict.outcome.value,
        "reason": verdict.reason.value,
        "culprit": verdict.culprit.value,
        "responder": verdict.responder.value,
        "rule": verdict.rule,
        "evidence": verdict.evidence,
        "http_status": None if exchange.response is None else exchange.response.status,
        "server_seconds": _rounded(verdict.latency.server_seconds),
        "network_seconds": _rounded(verdict.latency.network_seconds),
        "total_seconds": _rounded(exchange.total_seconds),
        "facts": dict(list(verdict.facts.items())[:MAX_FACTS]) or None,
    }
    return {name: value for name, value in every.items() if value is not None}


def _token_log_fields(event: TokenEvent) -> dict[str, Any]:
    """Return what is known of the token; what is not known is left out."""
    status = event.status
    every = {
        "tenant": status.tenant,
        "fingerprint": status.fingerprint,
        "source": str(status.source),
        "state": status.state.value,
        "cause": None if status.cause is None else status.cause.value,
        "problem": status.problem,
        "first_accepted_at": _format_time(status.first_accepted_at),
        "last_accepted_at": _format_time(status.last_accepted_at),
        "expires_at": _format_time(status.expires_at),
        "rotations": status.rotations,
        "shared_with": list(event.shared_with) or None,
    }
    return {name: value for name, value in every.items() if value is not None}


def _format_time(timestamp: float | None) -> str | None:
    if timestamp is None:
        return None
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="seconds")


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)


def _shared() -> tuple[Processor, ...]:
    """Return what happens to every event, whoever logs it."""
    return (
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    )


def _rendering(stream: TextIO, log_format: LogFormat) -> tuple[Processor, ...]:
    readable = log_format == "console" or (log_format == "auto" and stream.isatty())
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        if readable
        else structlog.processors.JSONRenderer(default=str, ensure_ascii=False)
    )
    return (structlog.processors.format_exc_info, cut_long_values, renderer)


def cut_long_values(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Cut every text that is too long; of a traceback the end is kept, which says what broke."""
    return {
        name: _last_part(value) if name == "exception" else _cut(value)
        for name, value in event.items()
    }


def _last_part(value: object) -> object:
    if isinstance(value, str) and len(value) > MAX_TRACEBACK_CHARACTERS:
        return f"[cut] {value[-MAX_TRACEBACK_CHARACTERS:]}"
    return value


def _cut(value: object) -> object:
    if isinstance(value, str) and len(value) > MAX_VALUE_CHARACTERS:
        return f"{value[:MAX_VALUE_CHARACTERS]} [cut, {len(value)} characters]"
    if isinstance(value, Mapping):
        return {name: _cut(inner) for name, inner in value.items()}
    return value
