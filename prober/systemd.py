"""Notifications to systemd by the protocol of sd_notify(3), and its watchdog.

States are ready, reloading, stopping and alive. Without $NOTIFY_SOCKET nothing is sent. Probing
never waits for the service manager, and never fails because of it.

The watchdog is fed only while probing makes progress: an event loop that still turns is not enough
(see `scheduler.stall`). systemd restarts a daemon that has stalled.
"""

import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Self

import structlog

from prober.formatting import one_line
from prober.metrics.self_health import SelfHealth
from prober.models import Verdict
from prober.outcomes import SkipCause
from prober.scheduler.stall import StallState, advance_stall_state, is_stalled


class SystemdNotifier:
    """Sends notifications to the service manager.

    Without an address nothing is sent. `watchdog_seconds` is the watchdog's timeout, None without a
    watchdog.
    """

    def __init__(self, address: str | None = None, watchdog_seconds: float | None = None) -> None:
        self._address = address
        self.watchdog_seconds = watchdog_seconds
        self._last_status = ""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], process_id: int) -> Self:
        """Return a notifier for the socket in the environment; one that is unusable is ignored."""
        address = environ.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):  # vsock:... is for virtual machines
            return cls()
        return cls(address, _watchdog_seconds(environ, process_id))

    def ready(self) -> None:
        """Notify that the start or a reload is complete."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Notify that a reload has started; `ready` or `stopping` must follow."""
        # Type=notify-reload requires the time in this message.
        now_microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now_microseconds}")

    def stopping(self) -> None:
        """Notify that the shutdown has started."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Set the text that `systemctl status` shows; the same text again sends nothing."""
        if text != self._last_status:
            self._last_status = text
            self._send(f"STATUS={text}")

    def notify_watchdog(self) -> None:
        """Feed the watchdog."""
        if self.watchdog_seconds is not None:
            self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        # "@" stands for the null byte of an abstract socket.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        message = "\n".join(line.replace("\n", " ") for line in lines).encode()
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out,
        ):
            out.setblocking(False)  # a full queue must not block the event loop
            out.sendto(message, address)


_MAX_NAMED = 3
_MAX_PROBLEM_CHARACTERS = 200


def status_line(tenants: int, failing: Mapping[str, Verdict], health: SelfHealth) -> str:
    """Return what `systemctl status` shows: what is probed, and what is wrong. Pure.

    `failing` has the verdict of a failing probe for each tenant with one.
    """
    parts = [f"probing {tenants} tenants"]
    if failing:
        named = [
            f"{name} ({verdict.culprit}: {verdict.reason})"
            for name, verdict in list(failing.items())[:_MAX_NAMED]
        ]
        more = len(failing) - len(named)
        named += [f"{more} more"] if more else []
        parts.append(f"{len(failing)} in trouble: {', '.join(named)}")
    if not health.state_is_writable:
        parts.append("the state directory cannot be written")
    if health.configuration_problem is not None:
        problem = one_line(health.configuration_problem, _MAX_PROBLEM_CHARACTERS)
        parts.append(f"reload failed: {problem}")
    return "; ".join(parts)


def _watchdog_seconds(environ: Mapping[str, str], process_id: int) -> float | None:
    """Return the watchdog's timeout; None without a watchdog, or if it is for another process."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    if not (microseconds.isascii() and microseconds.isdigit() and int(microseconds) > 0):
        return None
    if environ.get("WATCHDOG_PID", str(process_id)) != str(process_id):
        return None
    return int(microseconds) / 1e6


_TICKS_PER_TIMEOUT = 2  # as sd_watchdog_enabled(3) recommends
HEARTBEAT_TIMEOUT_SECONDS = 60.0
"""How long the scheduler may be silent before it counts as stuck; four usual heartbeats."""


class Watchdog:
    """Feeds the service manager's watchdog at each heartbeat while probing makes progress.

    `stuck_reason` does the same for health checks, where there is no such watchdog.
    """

    def __init__(
        self, service: SystemdNotifier, logger: structlog.typing.FilteringBoundLogger
    ) -> None:
        self._service = service
        self._logger = logger
        self._stall_state: StallState | None = None
        self._was_stalled = False
        self._ticked_at: float | None = None

    def heartbeat_seconds(self, usual: float) -> float:
        """Return the heartbeat's interval: `usual`, or less if the watchdog's timeout is short."""
        timeout = self._service.watchdog_seconds
        return usual if timeout is None else min(usual, timeout / _TICKS_PER_TIMEOUT)

    def tick(self, health: SelfHealth, stall_timeout_seconds: float, now: float) -> None:
        """Feed the watchdog unless probing has stalled; `now` is in monotonic seconds."""
        self._ticked_at = now
        state = self._stall_state = self._advanced(health, stall_timeout_seconds, now)
        stalled = is_stalled(state, now)
        if stalled and not self._was_stalled:
            self._logger.error(
                "scheduler.stalled",
                idle_seconds=round(now - state.progressed_at, 1),
                in_flight=health.probes_in_flight,
                message="no run has started or ended although some were due; the watchdog is no"
                " longer fed, so that systemd restarts the prober",
            )
        self._was_stalled = stalled
        if not stalled:
            self._service.notify_watchdog()

    def stuck_reason(
        self, health: SelfHealth, stall_timeout_seconds: float, now: float
    ) -> str | None:
        """Return why probing is stuck at `now` (monotonic seconds), None if it is not.

        It is judged now and not at the next heartbeat: that one may be what no longer comes.
        """
        if self._ticked_at is None:  # the scheduler has not started yet
            return None
        silent_seconds = now - self._ticked_at
        if silent_seconds > HEARTBEAT_TIMEOUT_SECONDS:
            return f"the scheduler has not run for {silent_seconds:.0f} s"
        state = self._advanced(health, stall_timeout_seconds, now)
        if is_stalled(state, now):
            idle_seconds = now - state.progressed_at
            return f"no run has started or ended for {idle_seconds:.0f} s although some were due"
        return None

    def _advanced(self, health: SelfHealth, stall_timeout_seconds: float, now: float) -> StallState:
        # Runs that are skipped on purpose show that the scheduler works.
        paused = health.skipped[SkipCause.TOKEN_REJECTED] + health.skipped[SkipCause.RATE_LIMITED]
        counts = (health.runs, health.probes_in_flight, paused)
        return advance_stall_state(self._stall_state, counts, stall_timeout_seconds, now)
