"""What was checked, and what came of it."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Check:
    """One check: `detail` is what was measured, or the last line of the failure."""

    name: str
    is_green: bool
    seconds: float
    detail: str


@dataclass
class Protocol:
    """All checks, in their order."""

    checks: list[Check] = field(default_factory=list)
    only: str = ""
    """Only checks with this in their names run, and those that they need."""

    def run(self, name: str, check: Callable[[], str | None], *, is_needed: bool = False) -> bool:
        """Run a check, note what came of it, and return whether it is green."""
        if self.only not in name and not is_needed:
            return True
        began = time.monotonic()
        say(f"... {name}")
        try:
            detail, is_green = check() or "", True
        except Exception as error:  # noqa: BLE001 -- the following checks are run too
            traceback.print_exc()
            detail, is_green = str(error).partition("\n")[0][:200], False
        self.checks.append(Check(name, is_green, time.monotonic() - began, detail))
        say(line(self.checks[-1]))
        return is_green

    @property
    def is_green(self) -> bool:
        """Whether something was checked and all of it is green."""
        return bool(self.checks) and all(check.is_green for check in self.checks)

    def table(self) -> str:
        """Return the protocol as text."""
        seconds = sum(check.seconds for check in self.checks)
        return "\n".join([*map(line, self.checks), f"{seconds:.0f} s in all"])


def line(check: Check) -> str:
    """Return one check as a line."""
    mark = "ok    " if check.is_green else "FAILED"
    return f"{mark} {check.seconds:6.1f} s  {check.name}" + (
        f": {check.detail}" if check.detail else ""
    )


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)  # noqa: T201 -- a program
