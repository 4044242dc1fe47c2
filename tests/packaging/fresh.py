"""`make demo` and `make test` on bare machines: what the README promises, where it promises it.

`python3 -m tests.packaging.fresh bookworm trixie`, or `make fresh`. Each suite gets a Debian with
the README's four packages alone, and a clone of what is committed here.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.packaging.bare_debian import ROOT, command_in, copied, environment, plain

PACKAGES = ("git", "make", "python3", "python3-venv")
CLONE = "/root/prober"
LOGS = ROOT / "build" / "fresh"
DEMO_SECONDS = 1200
TEST_SECONDS = 5400
LAST_LINES = 60
_COUNTS = re.compile(r"^=+ ((?:\d+ [a-z]+(?:, )?)+) in [\d.]+s.*=+$", re.MULTILINE)


@dataclass
class Protocol:
    """What came of one suite."""

    suite: str
    python: str = "?"
    demo: str = "not run"
    tests: str = "not run"
    counts: str = ""
    began: float = field(default_factory=time.monotonic)
    minutes: float = 0.0

    @property
    def is_green(self) -> bool:
        """Tell whether all was well."""
        return (self.demo, self.tests) == ("ok", "ok")


def table(protocols: Sequence[Protocol]) -> str:
    """Return a table for people."""
    lines = [f"{'suite':10} {'Python':8} {'make demo':12} {'make test':12} {'minutes':>7}  tests"]
    lines += [
        f"{each.suite:10} {each.python:8} {each.demo:12} {each.tests:12} {each.minutes:7.1f}"
        f"  {each.counts}"
        for each in protocols
    ]
    return "\n".join(lines)


def counts_in(log: str) -> str:
    """Return how many tests passed and so on, as pytest told it last; empty if it did not."""
    found = _COUNTS.findall(log)
    return found[-1] if found else ""


def execute(tree: Path, command: Sequence[str], log: Path, limit_seconds: float) -> str:
    """Execute a command in a tree; return "ok" or what became of it. Its words are in `log`."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command_in(tree, command),
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        try:
            status = process.wait(limit_seconds)
        except subprocess.TimeoutExpired:
            return "out of time"
        finally:
            process.kill()
            process.wait()
    return "ok" if status == 0 else f"exit {status}"


def check(suite: str) -> Protocol:
    """Run demo and tests on a bare machine."""
    protocol = Protocol(suite)
    directory = LOGS / suite
    directory.mkdir(parents=True, exist_ok=True)
    say(f"{suite}: a bare Debian; what is said there is in {directory.relative_to(ROOT)}")
    with copied(plain(suite, PACKAGES)) as tree:
        cloned = [
            "git",
            "clone",
            "--quiet",
            "--no-hardlinks",
            str(ROOT),
            str(tree / CLONE.lstrip("/")),
        ]
        subprocess.run(cloned, check=True)
        execute(tree, ["python3", "--version"], directory / "python.log", DEMO_SECONDS)
        protocol.python = (directory / "python.log").read_text().removeprefix("Python ").strip()
        for target, arguments, limit_seconds in (
            ("demo", ["DEMO=--once --port 0"], DEMO_SECONDS),
            ("test", [], TEST_SECONDS),
        ):
            log = directory / f"{target}.log"
            command = ["make", "-C", CLONE, target, *arguments]
            became = execute(tree, command, log, limit_seconds)
            say(f"{suite}: make {target}: {became}")
            said = log.read_text(errors="replace")
            if became != "ok":
                say("\n".join(said.splitlines()[-LAST_LINES:]))
            if target == "demo":
                protocol.demo = became
            else:
                protocol.tests, protocol.counts = became, counts_in(said)
    protocol.minutes = (time.monotonic() - protocol.began) / 60
    return protocol


def say(text: str) -> None:
    """Tell whoever watches."""
    print(text, flush=True)  # noqa: T201 -- a program


def main() -> None:
    """Check every suite that is named, and print a table at the end."""
    if os.geteuid() != 0:
        sys.exit("this needs root: it makes file systems, and enters them")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # not without tidying up
    protocols = [check(suite) for suite in sys.argv[1:]]
    report = table(protocols)
    (LOGS / "protocol.txt").write_text(f"{report}\n")
    say(report)
    sys.exit(0 if all(each.is_green for each in protocols) else 1)


if __name__ == "__main__":
    main()
