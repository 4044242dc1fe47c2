"""The log: its format, and the sink that writes events to it.

One JSON object per line, or readable lines on a terminal. Libraries that use `logging` (the
scheduler, the web server) are formatted in the same way, from level WARNING. No log event is ever
given a token, so nothing is searched for tokens here. Long values are cut, and repetitions are
suppressed: see `log_limits`.
"""

import logging
import os
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
"""Bounds the memory of `LogSink`: reloads may rename probes again and again."""

MAX_COUNTED_EVENTS = 200
"""The number of events with a rate limit of their own; all others share one."""
_OTHER_EVENTS = "others"
# The levels of syslog(3), which journald reads from the start of each line: see sd-daemon(3).
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_DEFAULT_PRIORITY = 6
_OWN_LOGGER = "prober"
_WARNING_EVENTS = frozenset(
    {
        TokenEventKind.REJECTED,
        TokenEventKind.EXPIRING,
        TokenEventKind.MISSING,
        TokenEventKind.PERMISSION_LOST,
    }
)


def is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Return whether a stream leads to journald: $JOURNAL_STREAM has its device and inode.

    The variable alone proves nothing: output may have been redirected (systemd.exec(5)).
    """
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # closed, or not a file
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def configure_logging(
    stream: TextIO, level: str, log_format: LogFormat, *, is_journal: bool = False
) -> None:
    """Write all logs of this process to `stream`; `level` is a level name in upper or lower case.

    With `is_journal` each line starts with its priority, which journald removes again.

    Loggers come from `structlog.get_logger("prober")`.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    handler = RateLimitedHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_common_processors(),
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(stream, log_format, is_journal=is_journal),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(threshold, logging.WARNING))
    logging.getLogger(_OWN_LOGGER).setLevel(threshold)
    structlog.configure(
        processors=[*_common_processors(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


class RateLimitedHandler(logging.StreamHandler[TextIO]):
    """Writes lines up to a rate limit, and reports how many lines it dropped.

    Each event has a rate limit of its own, so that none can displace another: for instance errors
    that web clients cause and failures of probes. Each library has one limit.
    """

    def __init__(self, stream: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._now = now
        self._buckets: dict[str, TokenBucket] = {}
        self._is_reporting = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line or count it as dropped; called while this handler's lock is held."""
        # The report goes through structlog and so comes back here. The lock is reentrant, and this
        # flag keeps the report from taking a token, or from reporting again.
        if self._is_reporting:
            super().emit(record)
            return
        event, now = self._limited_name(record), self._now()
        decision = log_limits.take_token(self._buckets.get(event, TokenBucket(now)), now)
        self._buckets[event] = decision.then
        if decision.report_dropped:
            self._report_dropped(event, decision.report_dropped)
        if decision.write:
            super().emit(record)

    def _limited_name(self, record: logging.LogRecord) -> str:
        """Return the event or the library whose rate limit a line counts for."""
        event = record.msg.get("event") if isinstance(record.msg, dict) else None
        name = event if record.name == _OWN_LOGGER and isinstance(event, str) else record.name
        known = name in self._buckets or len(self._buckets) < MAX_COUNTED_EVENTS
        return name if known else _OTHER_EVENTS

    def _report_dropped(self, event: str, lines: int) -> None:
        self._is_reporting = True
        try:
            structlog.get_logger(_OWN_LOGGER).warning("log.lines_dropped", of=event, lines=lines)
        finally:
            self._is_reporting = False


class LogSink(EventSink):
    """Logs changes and failures; successes that follow successes are not logged.

    - `verdict.changed`: the reason differs from that of the last run. On recovery, `failures` is
      the length of the streak that ended.
    - `probe.failed`: a failure with its evidence. The first one of a streak is logged at once,
      then one per `REPEAT_SECONDS` with the number of failures `repeated` since.
    - `token.rejected`, `token.rotated` and so on: one for each kind of token event.
    """

    def __init__(
        self, logger: FilteringBoundLogger, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        self._now = now
        self._last_reason: dict[tuple[str, str], str] = {}
        self._streaks: dict[tuple[str, str], LoggedStreak] = {}

    def on_token_event(self, event: TokenEvent) -> None:
        """Log what happened to a token."""
        is_bad = event.kind in _WARNING_EVENTS
        log = self._logger.warning if is_bad else self._logger.info
        log(f"token.{event.kind.name.lower()}", **_token_log_fields(event))

    def on_result(self, result: ProbeResult) -> None:
        """Log a failure, or a change of the reason."""
        verdict = result.verdict
        key = (result.tenant, result.probe)
        # Forgetting all of them costs at most one more line for each probe that is failing.
        if len(self._last_reason) >= MAX_REMEMBERED_PROBES and key not in self._last_reason:
            self._last_reason.clear()
            self._streaks.clear()
        before = self._last_reason.get(key)
        if before == verdict.reason.value and verdict.succeeded:
            return
        self._last_reason[key] = verdict.reason.value
        logger = self._logger.bind(tenant=result.tenant, probe=result.probe)
        if before is not None and before != verdict.reason.value:
            log = logger.info if verdict.succeeded else logger.warning
            ended = self._streaks.get(key)
            fields = {"from": before, "to": verdict.reason.value, "culprit": verdict.culprit.value}
            log(
                "verdict.changed",
                **fields,
                **({} if ended is None else {"failures": ended.failures}),
            )
        if verdict.succeeded:
            self._streaks.pop(key, None)
        else:
            self._log_failure(key, result, logger)

    def _log_failure(
        self, key: tuple[str, str], result: ProbeResult, logger: FilteringBoundLogger
    ) -> None:
        now = self._now()
        decision = log_limits.on_failure(self._streaks.get(key), result.verdict.reason.value, now)
        streak = decision.streak
        if decision.should_log:
            repeated = {"repeated": streak.unlogged} if streak.unlogged else {}
            logger.warning("probe.failed", **_log_fields(result), **repeated)
            streak = log_limits.mark_logged(streak, now)
        self._streaks[key] = streak


def _log_fields(result: ProbeResult) -> dict[str, Any]:
    """Return the evidence of a failure, without what is unknown."""
    exchange, verdict = result.exchange, result.verdict
    fields = {
        "outcome": verdict.outcome.value,
        "reason": verdict.reason.value,
        "culprit": verdict.culprit.value,
        "responder": verdict.responder.value,
        "rule": verdict.rule,
        "evidence": verdict.evidence,
        "http_status": None if exchange.response is None else exchange.response.status,
        "server_seconds": _rounded(verdict.latency.server_seconds),
        "network_seconds": _rounded(verdict.latency.network_seconds),
        "own_seconds": _rounded(verdict.latency.own_seconds),
        "total_seconds": _rounded(exchange.total_seconds),
        "facts": dict(list(verdict.facts.items())[:MAX_FACTS]) or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _token_log_fields(event: TokenEvent) -> dict[str, Any]:
    """Return the status of the token, without what is unknown."""
    status = event.status
    fields = {
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
    return {name: value for name, value in fields.items() if value is not None}


def _format_time(timestamp: float | None) -> str | None:
    if timestamp is None:
        return None
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="seconds")


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)


def _common_processors() -> tuple[Processor, ...]:
    """Return the processors for events of structlog and of `logging` alike."""
    return (
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    )


def _renderers(stream: TextIO, log_format: LogFormat, *, is_journal: bool) -> tuple[Processor, ...]:
    readable = log_format == "console" or (log_format == "auto" and stream.isatty())
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        if readable
        else structlog.processors.JSONRenderer(default=str, ensure_ascii=False)
    )
    if is_journal:
        renderer = _with_priority(renderer)
    return (structlog.processors.format_exc_info, cut_long_values, renderer)


def _with_priority(renderer: Processor) -> Processor:
    def render(logger: WrappedLogger, method: str, event: EventDict) -> str:
        prefix = f"<{_PRIORITIES.get(event.get('level', ''), _DEFAULT_PRIORITY)}>"
        # Each line of a traceback is a line to journald, and would have the default priority.
        lines = str(renderer(logger, method, event)).split("\n")
        return "\n".join(f"{prefix}{line}" for line in lines)

    return render


def cut_long_values(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Cut every text that is too long. A traceback keeps its end, which names the exception."""
    return {
        name: _keep_end(value) if name == "exception" else _cut(value)
        for name, value in event.items()
    }


def _keep_end(value: object) -> object:
    if isinstance(value, str) and len(value) > MAX_TRACEBACK_CHARACTERS:
        return f"[cut] {value[-MAX_TRACEBACK_CHARACTERS:]}"
    return value


def _cut(value: object) -> object:
    if isinstance(value, str) and len(value) > MAX_VALUE_CHARACTERS:
        return f"{value[:MAX_VALUE_CHARACTERS]} [cut, {len(value)} characters]"
    if isinstance(value, Mapping):
        return {name: _cut(inner) for name, inner in value.items()}
    return value
