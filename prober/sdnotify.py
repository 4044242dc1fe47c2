"""What systemd is told: ready, reloading, stopping, alive, by the protocol of sd_notify(3).

Without $NOTIFY_SOCKET nothing is told. Probing never waits for it, nor fails with it.
"""

import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Self


class ServiceManager:
    """Who started this process; `watchdog_seconds` is how long it waits for a sign of life.

    Without an address there is nobody; without `watchdog_seconds` it does not wait.
    """

    def __init__(self, address: str | None = None, watchdog_seconds: float | None = None) -> None:
        self._address = address
        self.watchdog_seconds = watchdog_seconds

    @classmethod
    def of(cls, environ: Mapping[str, str], process_id: int) -> Self:
        """Return the one that the environment names; what cannot be used is as good as absent."""
        address = environ.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):  # vsock:... and vsock-stream:... are for machines
            return cls()
        return cls(address, _watchdog_seconds(environ, process_id))

    def ready(self) -> None:
        """Say that everything asked for is at work, at first or after reloading."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """Say that the configuration is being read anew; `ready` or `stopping` must follow."""
        moment = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell("RELOADING=1", f"MONOTONIC_USEC={moment}")

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._tell("STOPPING=1")

    def status(self, text: str) -> None:
        """Change the line for people that `systemctl status` shows."""
        self._tell(f"STATUS={text}")

    def alive(self) -> None:
        """Feed the watchdog."""
        if self.watchdog_seconds is not None:
            self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
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
