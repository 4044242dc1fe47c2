"""A Debian that is booted with systemd as its first process, by systemd-nspawn, and entered.

It has a network of its own with nothing but loopback. Needs root and systemd-container. This
machine need not run systemd itself.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

BOOT_SECONDS = 90
LIMIT_SECONDS = 120
_INSIDE = ("--mount", "--uts", "--ipc", "--net", "--pid")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class CommandError(AssertionError):
    """A command has failed; the text has what it printed."""


@dataclass
class Machine:
    """A booted machine. `environ` is set for every command."""

    tree: Path
    init: int
    environ: dict[str, str] = field(default_factory=dict)

    def run(self, script: str, *, stdin: str = "", check: bool = True) -> str:
        """Run a shell script inside and return what it prints on both streams."""
        done = subprocess.run(
            self._command(["/bin/sh", "-ec", script]),
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_SECONDS * 2,
            check=False,
            env={"PATH": PATH, "HOME": "/root", "LC_ALL": "C", **self.environ},
        )
        if check and done.returncode != 0:
            raise CommandError(f"exit {done.returncode} of:\n{script}\n{done.stdout}")
        return done.stdout

    def succeeds(self, script: str) -> bool:
        """Return whether a script ends with status 0."""
        return self.run(f"if ( {script} ) >/dev/null 2>&1; then echo yes; fi") == "yes\n"

    def wait_for(self, what: str, script: str, limit_seconds: float = LIMIT_SECONDS) -> float:
        """Wait until a script ends with status 0; return the seconds that it took."""
        return self.wait_until(what, lambda: self.succeeds(script), limit_seconds)

    def wait_until(
        self, what: str, condition: Callable[[], bool], limit_seconds: float = LIMIT_SECONDS
    ) -> float:
        """Wait until a condition is true; return the seconds that it took."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > limit_seconds:
                status = self.run("systemctl status prober --no-pager --lines=30", check=False)
                raise AssertionError(f"not within {limit_seconds:g} s: {what}\n{status}")
            time.sleep(0.5)
        return time.monotonic() - began

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file inside; the directory must exist."""
        self.run(
            f"cat >'{path}.new' && chmod {mode:o} '{path}.new' && mv '{path}.new' '{path}'",
            stdin=text,
        )

    def _command(self, command: Sequence[str]) -> list[str]:
        return ["nsenter", "--target", str(self.init), *_INSIDE, "--root", "--wd", *command]


@contextmanager
def booted(tree: Path, console: Path) -> Iterator[Machine]:
    """Boot a tree, and power it off at the end; what its console shows goes to a file."""
    with console.open("wb") as log:
        nspawn = subprocess.Popen(
            [
                "systemd-nspawn", "--quiet", "--boot", "--private-network", "--register=no",
                "--keep-unit", f"--directory={tree}", f"--machine=prober-{os.getpid()}",
                "--console=pipe", "--link-journal=no",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            machine = Machine(tree, _first_process(nspawn))
            machine.wait_for(
                "the machine is up", "systemctl is-active --quiet multi-user.target", BOOT_SECONDS
            )
            yield machine
        finally:
            nspawn.terminate()  # nspawn powers the machine off
            try:
                nspawn.wait(LIMIT_SECONDS)
            except subprocess.TimeoutExpired:
                nspawn.kill()
                nspawn.wait()


def _first_process(nspawn: "subprocess.Popen[bytes]") -> int:
    """Return the machine's first process, as this machine numbers it."""
    children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children")
    until = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < until and nspawn.poll() is None:
        for child in children.read_text().split():
            inner = Path(f"/proc/{child}/task/{child}/children").read_text().split()
            for number in (child, *inner):
                if Path(f"/proc/{number}/comm").read_text().strip() == "systemd":
                    return int(number)
        time.sleep(0.2)
    raise AssertionError("the machine does not boot")


def programs_missing(*names: str) -> list[str]:
    """Return those of these programs that this machine does not have."""
    return [name for name in names if shutil.which(name) is None]
