"""Signal handlers for the time before the event loop runs. Imports nothing that takes long.

As the first process of a container (PID 1) the kernel delivers only signals that have a handler:
without one, a SIGTERM during the start would be lost, and the container killed after ten seconds.
Elsewhere a SIGHUP during the start would end the daemon.
"""

import os
import signal
import sys
from collections.abc import Sequence

_SERVERS = frozenset({"run", "simulate", "demo"})
_hangups: list[int] = []


def install(arguments: Sequence[str]) -> None:
    """Handle signals of a command that runs until it is stopped; `arguments` include the program.

    SIGTERM ends the process with status 0: nothing has been opened yet. SIGHUP is remembered for
    `take_hangup`, since the configuration may have been read before the change that it announces.
    """
    command = next((each for each in arguments[1:] if not each.startswith("-")), "")
    if command in _SERVERS:
        signal.signal(signal.SIGTERM, _exit)
    if command == "run":
        signal.signal(signal.SIGHUP, _remember_hangup)


def take_hangup() -> bool:
    """Return whether a SIGHUP has arrived since `install` or the last call."""
    has_arrived = bool(_hangups)
    _hangups.clear()
    return has_arrived


def _exit(_signal: int, _frame: object) -> None:
    # Not SystemExit: that would unwind through imports that are half done, and print what they say.
    sys.stderr.flush()
    os._exit(0)


def _remember_hangup(number: int, _frame: object) -> None:
    _hangups.append(number)
