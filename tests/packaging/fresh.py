"""`make demo`, the pages on starting and installing, and `make test` on bare machines.

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
from tests.packaging.guides import blocks

PACKAGES = ("git", "make", "python3", "python3-venv")
CLONE = "/root/prober"
LOGS = ROOT / "build" / "fresh"
DEMO_SECONDS = 1200
TEST_SECONDS = 5400
LAST_LINES = 60
GUIDE = ROOT / "docs" / "getting-started.md"
GUIDE_SECONDS = 600
INSTALL = ROOT / "docs" / "how-to" / "install.md"
PIPX_HEADING = "For one user: pipx"
_COUNTS = re.compile(r"^=+ ((?:\d+ [a-z]+(?:, )?)+) in [\d.]+s.*=+$", re.MULTILINE)


@dataclass
class Protocol:
    """What came of one suite."""

    suite: str
    python: str = "?"
    demo: str = "not run"
    guide: str = "not run"
    pipx: str = "not run"
    tests: str = "not run"
    counts: str = ""
    began: float = field(default_factory=time.monotonic)
    minutes: float = 0.0

    @property
    def is_green(self) -> bool:
        """Tell whether all was well."""
        return {self.demo, self.guide, self.pipx, self.tests} == {"ok"}


def table(protocols: Sequence[Protocol]) -> str:
    """Return a table for people."""
    header = f"{'suite':10} {'Python':8} {'make demo':12} {'guide':12} {'pipx':12} {'make test':12}"
    lines = [f"{header} {'minutes':>7}  tests"]
    lines += [
        f"{each.suite:10} {each.python:8} {each.demo:12} {each.guide:12} {each.pipx:12}"
        f" {each.tests:12} {each.minutes:7.1f}  {each.counts}"
        for each in protocols
    ]
    return "\n".join(lines)


def counts_in(log: str) -> str:
    """Return how many tests passed and so on, from the last line of pytest; empty without one."""
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


def step(tree: Path, command: Sequence[str], log: Path, limit_seconds: float) -> str:
    """Execute a step, and print what came of it, and the end of its log if it failed."""
    result = execute(tree, command, log, limit_seconds)
    say(f"{log.parent.name}: {log.stem}: {result}")
    if result != "ok":
        say("\n".join(log.read_text(errors="replace").splitlines()[-LAST_LINES:]))
    return result


_BEFORE_GUIDE = f"""
mkdir /tmp/newcomer /tmp/platform && cd /tmp/newcomer && ln -s {CLONE}/.venv .venv
.venv/bin/prober simulate --port 18080 --control-port 18081 --token-directory /tmp/platform &
platform=$!
until test -s /tmp/platform/acme-prod.token; do sleep 0.2; done
ACME_TOKEN=$(cat /tmp/platform/acme-prod.token)
export ACME_TOKEN
"""
_ASK_DAEMON = """ &
daemon=$!
python3 - <<'END'
import time, urllib.request
ask = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
for _ in range(600):
    try:
        text = ask("http://127.0.0.1:9824/metrics", timeout=5).read().decode()
    except OSError:
        text = ""
    if 'prober_probe_success{probe="datasets",tenant="acme-prod"} 1' in text:
        break
    time.sleep(0.2)
else:
    raise SystemExit("no successful probe in /metrics")
END
kill $daemon
wait $daemon
kill $platform
"""


def guide_script(guide: str) -> str:
    """Return the prober commands of the getting-started page, with the simulator as the platform.

    `prober init` without options asks questions, so the other form of it is executed.
    """
    lines = re.findall(r"^\.venv/bin/prober .*$", guide, re.MULTILINE)
    commands = [
        line.replace(
            "https://cloud.uipath.com/acme/prod", "http://127.0.0.1:18080/acme/prod/reinfer_"
        )
        for line in lines
        if not line.endswith(" init")
    ]
    assert commands[-1].endswith(" run"), commands
    return _BEFORE_GUIDE + "\n".join(commands) + _ASK_DAEMON


def pipx_script(guide: Path) -> str:
    """Return the commands of the page on installing, with Debian's pipx."""
    (commands,) = blocks(guide, PIPX_HEADING)
    return f"""
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends pipx
PATH=$PATH:$HOME/.local/bin
cd {CLONE}
{commands.commands}
prober schema >/dev/null
pipx uninstall prober
"""


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
        make = ["make", "-C", CLONE]
        demo = [*make, "demo", "DEMO=--once --port 0"]
        guide = ["/bin/sh", "-eux", "-c", guide_script(GUIDE.read_text())]
        protocol.demo = step(tree, demo, directory / "demo.log", DEMO_SECONDS)
        protocol.guide = step(tree, guide, directory / "guide.log", GUIDE_SECONDS)
        pipx = ["/bin/sh", "-eux", "-c", pipx_script(INSTALL)]
        protocol.pipx = step(tree, pipx, directory / "pipx.log", GUIDE_SECONDS)
        log = directory / "test.log"
        protocol.tests = step(tree, [*make, "test"], log, TEST_SECONDS)
        protocol.counts = counts_in(log.read_text(errors="replace"))
    protocol.minutes = (time.monotonic() - protocol.began) / 60
    return protocol


def say(text: str) -> None:
    """Print progress."""
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
