"""What systemd is told: ready, reloading, stopping, alive, by the protocol of sd_notify(3).

Without $NOTIFY_SOCKET nothing is told. Probing never waits for it, nor fails with it.

The service manager's watchdog is fed for as long as probing goes on, and not for turning alone.

A daemon that is stuck is restarted by whoever waits for a sign of life; see `schedule/progress.py`
for what stuck means.
"""

import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Self

import structlog

from prober.metrics.sink import SelfHealth
from prober.outcomes import SkipCause
from prober.scheduler.stall import StallState, advance_stall_state, is_stalled


class SystemdNotifier:
    """Who started this process; `watchdog_seconds` is how long it waits for a sign of life.

    Without an address there is nobody; without `watchdog_seconds` it does not wait.
    """

    def __init__(self, address: str | None = None, watchdog_seconds: float | None = None) -> None:
        self._address = address
        self.watchdog_seconds = watchdog_seconds

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], process_id: int) -> Self:
        """Return the one that the environment names; what cannot be used is as good as absent."""
        address = environ.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):  # vsock:... and vsock-stream:... are for machines
            return cls()
        return cls(address, _watchdog_seconds(environ, process_id))

    def ready(self) -> None:
        """Say that everything asked for is at work, at first or after reloading."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Say that the configuration is being read anew; `ready` or `stopping` must follow."""
        moment = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={moment}")

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Change the line for people that `systemctl status` shows."""
        self._send(f"STATUS={text}")

    def notify_watchdog(self) -> None:
        """Feed the watchdog."""
        if self.watchdog_seconds is not None:
            self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        message = "\n".join(line.replace("\n", " ") for line in lines).encode()
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out,
        ):
            out.setblocking(False)
            out.sendto(message, address)


def _watchdog_seconds(environ: Mapping[str, str], process_id: int) -> float | None:
    """Return the watchdog's patience, None if there is none or it waits for another process."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    if not (microseconds.isascii() and microseconds.isdigit() and int(microseconds) > 0):
        return None
    if environ.get("WATCHDOG_PID", str(process_id)) != str(process_id):
        return None
    return int(microseconds) / 1e6


_TICKS = 2  # in a watchdog's patience, as sd_watchdog_enabled(3) recommends


class Watchdog:
    """Tells a service manager that all goes well, at every heartbeat of the scheduler."""

    def __init__(
        self, service: SystemdNotifier, logger: structlog.typing.FilteringBoundLogger
    ) -> None:
        self._service = service
        self._logger = logger
        self._progress: StallState | None = None
        self._was_stuck = False

    def heartbeat_seconds(self, usual: float) -> float:
        """Return how often to beat: as usual, or oftener where the watchdog waits for less."""
        patience = self._service.watchdog_seconds
        return usual if patience is None else min(usual, patience / _TICKS)

    def tick(self, seen: SelfHealth, patience_seconds: float, now: float) -> None:
        """Feed it, unless probing has rested for longer; `now` is in monotonic seconds."""
        # What is skipped on purpose is due all the same, so the scheduler works.
        paused = seen.skipped[SkipCause.TOKEN_REJECTED] + seen.skipped[SkipCause.RATE_LIMITED]
        counts = (seen.runs, seen.probes_in_flight, paused)
        self._progress = advance_stall_state(self._progress, counts, patience_seconds, now)
        stuck = is_stalled(self._progress, now)
        if stuck and not self._was_stuck:
            self._logger.error(
                "scheduler.stalled",
                idle_seconds=round(now - self._progress.progressed_at, 1),
                in_flight=seen.probes_in_flight,
                message="no run has begun or ended though some must have been due; the watchdog is"
                " not fed, so that systemd restarts the prober",
            )
        self._was_stuck = stuck
        if not stuck:
            self._service.notify_watchdog()
