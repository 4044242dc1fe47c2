"""The service on a machine that has just been installed, by the guide's own commands."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.packaging.bare_debian import ROOT, command_in, copied, environment, plain
from tests.packaging.guides import blocks
from tests.system.machine import Machine, booted
from tests.system.protocol import Protocol

GUIDE = ROOT / "docs" / "how-to" / "systemd.md"
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "git", "make", "python3", "python3-venv", "ca-certificates",
)  # fmt: skip
CLONE = "/root/prober"
WHEELS = "/root/wheels"
BUILD_SECONDS = 600
CONSOLE = ROOT / "build" / "system" / "console.log"
MOST_EXPOSURE = 1.2
BUSY_PORT_SECONDS = 120
STATE = "/var/lib/private/prober"
URL = "http://127.0.0.1:9824"
CONTROL = "http://127.0.0.1:8081"
TENANT = "acme-prod"
# METHOD URL [BODY], without curl, which a minimal Debian does not have.
_ASK = """\
import sys, urllib.request as r
method, url, *body = sys.argv[1:]
request = r.Request(url, method=method, data=body[0].encode() if body else None)
try:
    print(r.urlopen(request, timeout=10).read().decode())
except r.HTTPError as error:
    print(error.code, error.read().decode())
"""
ASK = f"python3 -c '{_ASK}'"
CONFIGURATION = """\
web: {listen: "127.0.0.1:9824"}
state: {directory: /var/lib/prober}
defaults: {interval: 1s, timeout: 900ms}
shutdown_timeout: 3s
tenants:
  - name: acme-prod
    base_url: http://127.0.0.1:8080/acme/prod/reinfer_
    environment: production
    token: {file: /etc/prober/tokens/acme-prod}
    probes: [datasets, current-user]
"""
# Probing stops after ten seconds, while everything else goes on.
STUCK = """\
import sys, time
from prober import runner
started, on_due = time.monotonic(), runner.ProbeRunner.on_due
def stuck(self, *arguments):
    if time.monotonic() - started < 10:
        on_due(self, *arguments)
runner.ProbeRunner.on_due = stuck
sys.argv[1:] = ["run", "--config", "/etc/prober/prober.yaml"]
from prober.cli.entry import main
main()
"""


@contextmanager
def prepared() -> Iterator[Path]:
    """Yield a tree with a clone of what is committed, and with all wheels that it needs.

    The machine itself has no network. What the guide does "on any machine" is done before.
    """
    with copied(plain("bookworm", PACKAGES)) as tree:
        clone = tree / CLONE.lstrip("/")
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, clone], check=True)
        (build,) = blocks(GUIDE, "Build")
        inside(tree, build.commands)
        inside(
            tree,
            f"mv dist {WHEELS}-old && git -c user.name=x -c user.email=x@x commit --quiet"
            f" --allow-empty --message=next && {build.commands.strip()} && mv dist {WHEELS}-new",
        )
        inside(
            tree,
            ".venv/bin/pip download --quiet --require-hashes --no-deps --dest"
            f" {WHEELS} --requirement requirements/runtime.txt",
        )
        (tree / "etc/resolv.conf").unlink(missing_ok=True)
        yield tree


def inside(tree: Path, script: str) -> None:
    """Run a script in the clone in a tree that is not booted, with this machine's network."""
    command = command_in(tree, ["/bin/sh", "-ec", f"cd {CLONE}\n{script}"])
    done = subprocess.run(
        command,
        env=environment(),
        timeout=BUILD_SECONDS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"


class Service:
    """The checks; each is a method that returns what it measured, and raises when it is red."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        machine.environ = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": WHEELS}

    def check(self, protocol: Protocol) -> None:
        """Run all checks in their order; those after the installation leave it as it was."""
        if not protocol.run("install by the guide", self.install, is_needed=True):
            return
        protocol.run("a tenant in trouble is in systemctl status", self.trouble_in_status)
        protocol.run("reload: a good file", self.good_reload, is_needed=True)
        protocol.run("a new token in the directory, without restart", self.rotation)
        protocol.run("reload: a bad file changes no health", self.bad_reload)
        protocol.run("journald has priorities", self.priorities)
        protocol.run("exposure", self.exposure)
        protocol.run("commands find the service's state and daemon", self.commands)
        protocol.run("stop with hanging requests", self.graceful_stop)
        protocol.run("watchdog after SIGSTOP", self.watchdog)
        protocol.run("stuck probing is unhealthy, and restarted", self.stuck)
        protocol.run("full state directory at the start, then free", self.full_state)
        protocol.run("read-only state directory", self.read_only_state)
        protocol.run("port taken for two minutes, then free", self.port_taken)
        protocol.run("invalid settings are not tried again", self.invalid_settings)
        protocol.run("upgrade by the guide", self.upgrade)
        protocol.run("roll back by the guide", self.roll_back)
        protocol.run("back up and restore by the guide", self.backup)
        protocol.run("way back from a state that was set aside", self.set_aside)
        protocol.run("credentials by the guide; one that is damaged", self.credentials)

    def guide(self, heading: str, number: int = 0, stdin: str = "") -> str:
        """Run a block of the guide, in the clone."""
        block = blocks(GUIDE, heading)[number]
        return self._machine.run(f"cd {CLONE}\n{block.commands}", stdin=stdin)

    def install(self) -> str:
        machine = self._machine
        machine.run(f"cp --archive {WHEELS}-old {CLONE}/dist")
        self.guide("Install", 0)
        self.guide("Install", 1)
        self.guide("Install", 2)
        self.guide("Give it tokens", 0)
        self.guide("Give it tokens", 1, stdin="a-token-of-no-user\n")
        self.guide("Start")
        mode = machine.run("stat --format=%a:%G /etc/prober/tokens/acme-prod").strip()
        assert mode == "640:prober-tokens", mode
        return machine.run("prober --version").strip()

    def trouble_in_status(self) -> str:
        machine = self._machine
        machine.wait_for("it is said", "systemctl status prober | grep 'in trouble: acme-prod'")
        return machine.run("systemctl show --property=StatusText prober").strip()

    def good_reload(self) -> None:
        machine = self._machine
        machine.run(
            "systemd-run --quiet --unit=simulator --working-directory=/root"
            " prober simulate --token-directory /root/simulated"
        )
        machine.wait_for("tokens are made", f"test -s /root/simulated/{TENANT}.token")
        machine.write("/etc/prober/prober.yaml", CONFIGURATION)
        machine.run("systemctl reload prober")
        self.install_token()
        self.until_valid()

    def rotation(self) -> str:
        machine = self._machine
        started = self.property("ExecMainStartTimestampMonotonic")
        machine.run(f"{ASK} POST {CONTROL}/tenants/{TENANT}/regenerate")
        machine.wait_until(
            "the old one is rejected",
            lambda: self.metric("prober_token_state", state="rejected") == 1,
        )
        machine.run(f"{ASK} POST {CONTROL}/tenants/{TENANT}/deliver")
        self.install_token()
        seconds = self.until_valid()
        assert self.property("ExecMainStartTimestampMonotonic") == started
        return f"used after {seconds:.1f} s"

    def bad_reload(self) -> None:
        machine = self._machine
        machine.run("echo 'tenants: [' >>/etc/prober/prober.yaml; systemctl reload prober")
        try:
            machine.wait_for("it is said", "systemctl status prober | grep 'reload failed'")
            self.healthy()
        finally:
            machine.write("/etc/prober/prober.yaml", CONFIGURATION)
        machine.run("systemctl reload prober")
        machine.wait_for("it is good again", "! systemctl status prober | grep 'reload failed'")

    def priorities(self) -> str:
        machine = self._machine
        bad = machine.run("journalctl --unit=prober --priority=err --output=cat --no-pager")
        assert "config.reload_failed" in bad
        assert "daemon.started" not in bad
        lines = machine.run("journalctl --unit=prober --priority=warning --output=json --no-pager")
        found = sorted({json.loads(line)["PRIORITY"] for line in lines.splitlines()})
        assert found == ["3", "4"], found
        return f"{len(lines.splitlines())} lines at warning or above"

    def exposure(self) -> str:
        shown = self._machine.run("systemd-analyze security --no-pager prober.service")
        found = re.search(r"exposure level for prober\.service: ([\d.]+)", shown)
        assert found is not None, shown[-500:]
        assert float(found[1]) <= MOST_EXPOSURE, shown
        return found[1]

    def commands(self) -> str:
        machine = self._machine
        shown = machine.run(f"prober tokens {TENANT} --json --config /etc/prober/prober.yaml")
        own = self.info("prober_token_info", "fingerprint")
        assert json.loads(shown.splitlines()[-1])["fingerprint"] == own, shown
        report = machine.run(f"prober report {TENANT} --since 1h --config /etc/prober/prober.yaml")
        assert TENANT in report
        return f"fingerprint {own}"

    def graceful_stop(self) -> str:
        machine = self._machine
        machine.run(f"""{ASK} PUT {CONTROL}/faults '{{"fault": "hang", "tenant": "{TENANT}"}}'""")
        machine.wait_until("one hangs", lambda: self.metric("prober_probes_in_flight") > 0)
        machine.run("systemctl stop prober")
        assert self.property("Result") == "success"
        assert self.property("ExecMainStatus") == "0"
        machine.run(f"{ASK} DELETE {CONTROL}/faults")
        took = int(self.property("ExecMainExitTimestampMonotonic")) - int(
            self.property("InactiveExitTimestampMonotonic")
        )
        self.start()
        return f"exit 0; up for {took / 1e6:.1f} s before"

    def watchdog(self) -> str:
        machine = self._machine
        with self.drop_in("[Service]\nWatchdogSec=6s\nRestartSec=1s\n"):
            before = self.property("MainPID")
            machine.run("systemctl kill --signal=STOP prober")
            seconds = self.until_restarted(before)
            self.healthy()
            journal = machine.run("journalctl --unit=prober --output=cat --no-pager --lines=200")
            assert "Watchdog timeout" in journal
            assert "most recent call first" in journal  # the stack of each thread
        return f"after {seconds:.1f} s, with a watchdog of 6 s"

    def stuck(self) -> str:
        machine = self._machine
        machine.write("/root/stuck.py", STUCK)
        machine.run("install --mode=0644 /root/stuck.py /opt/stuck.py")
        command = "ExecStart=\nExecStart=/opt/prober/bin/python /opt/stuck.py\n"
        with self.drop_in(f"[Service]\n{command}WatchdogSec=0\n"):
            seconds = machine.wait_until(
                "it is unhealthy", lambda: "503 unhealthy: no run" in self.ask("/-/healthy")
            )
            assert "503 not ready: no run" in self.ask("/-/ready")
            shown = machine.run(
                "prober health --config /etc/prober/prober.yaml || echo $?", check=False
            )
            assert shown.endswith("\n1\n"), shown
        with self.drop_in(f"[Service]\n{command}WatchdogSec=20s\nRestartSec=1s\n"):
            before = self.property("MainPID")
            self.until_restarted(before)
        return f"503 after {seconds:.0f} s"

    def full_state(self) -> str:
        machine = self._machine
        with self.mounted_state("64k"):
            machine.run(f"head --bytes=1M /dev/zero >{STATE}/filler 2>/dev/null || true")
            self.start()
            assert self.metric("prober_state_writable") == 0
            machine.run(f"mount -o remount,size=16m {STATE}; rm {STATE}/filler")
            seconds = machine.wait_until(
                "it is written", lambda: self.metric("prober_state_writable") == 1
            )
            machine.wait_for("tokens are saved", f"test -s {STATE}/tokens.sqlite3")
        return f"written {seconds:.1f} s after there was room"

    def read_only_state(self) -> None:
        drop_in = f"[Service]\nReadOnlyPaths={STATE}\n"
        with self.mounted_state("1m"), self.drop_in(drop_in):
            assert self.metric("prober_state_writable") == 0
            self.until_valid()

    def port_taken(self) -> str:
        machine = self._machine
        machine.run("systemctl stop prober")
        taker = (
            'import socket, time; s = socket.create_server(("127.0.0.1", 9824)); time.sleep(999)'
        )
        machine.run(f"systemd-run --quiet --unit=taker python3 -c '{taker}'")
        machine.wait_for("it is taken", "systemctl is-active taker")
        machine.run("systemctl start --no-block prober")
        machine.run(f"sleep {BUSY_PORT_SECONDS - 60}")
        machine.run("sleep 60")
        assert self.property("ActiveState") == "activating", self.property("ActiveState")
        tries = self.property("NRestarts")
        machine.run("systemctl stop taker")
        seconds = machine.wait_for("it starts by itself", "systemctl is-active prober")
        self.healthy()
        return f"{tries} tries, up {seconds:.0f} s after the port was free"

    def invalid_settings(self) -> None:
        machine = self._machine
        machine.run("systemctl stop prober")
        machine.write("/etc/prober/prober.yaml", "tenants: []\n")
        machine.run("systemctl start prober", check=False)
        assert self.property("ExecMainStatus") == "2"
        assert self.property("ActiveState") == "failed"
        machine.write("/etc/prober/prober.yaml", CONFIGURATION)
        self.start()

    def upgrade(self) -> str:
        machine = self._machine
        before = machine.run("prober --version").strip()
        machine.run(f"rm --recursive {CLONE}/dist; cp --archive {WHEELS}-new {CLONE}/dist")
        fingerprint = self.info("prober_token_info", "fingerprint")
        self.guide("Upgrade")
        after = machine.run("prober --version").strip()
        assert after != before
        revision = after.partition("revision ")[2].rstrip(")")
        machine.wait_until(
            "it runs", lambda: self.info("prober_build_info", "revision") == revision
        )
        self.until_valid()
        assert self.info("prober_token_info", "fingerprint") == fingerprint
        return f"{before} -> {after}"

    def roll_back(self) -> str:
        machine = self._machine
        new = machine.run("prober --version").strip()
        self.guide("Roll back", 0)
        old = machine.run("prober --version").strip()
        assert old != new
        self.until_valid()
        self.guide("Roll back", 1)  # the state too
        self.until_valid()
        return old

    def backup(self) -> None:
        machine = self._machine
        fingerprint = self.info("prober_token_info", "fingerprint")
        accepted = self.metric("prober_token_first_accepted_timestamp_seconds")
        self.guide("Back up and restore", 0)
        machine.run("systemctl stop prober; rm --recursive /var/lib/private/prober/*")
        self.start()
        self.guide("Back up and restore", 1)
        self.until_valid()
        assert self.info("prober_token_info", "fingerprint") == fingerprint
        assert self.metric("prober_token_first_accepted_timestamp_seconds") == accepted

    def set_aside(self) -> None:
        machine = self._machine
        accepted = self.metric("prober_token_first_accepted_timestamp_seconds")
        version = 'import sqlite3; c = sqlite3.connect("/var/lib/private/prober/tokens.sqlite3"); '
        later = f"python3 -c '{version}c.execute(\"PRAGMA user_version = %d\"); c.close()'"
        machine.run(f"systemctl stop prober; {later % 99}")
        self.start()
        self.until_valid()
        assert self.metric("prober_token_first_accepted_timestamp_seconds") != accepted
        aside = later.replace("tokens.sqlite3", "tokens.sqlite3.aside-1") % 1
        machine.run(f"systemctl stop prober; {aside}")
        self.guide("The way back from a state that was set aside")
        self.until_valid()
        assert self.metric("prober_token_first_accepted_timestamp_seconds") == accepted

    def credentials(self) -> str:
        machine = self._machine
        block = blocks(GUIDE, "Replace tokens by systemd credentials")[0]
        token = machine.run(f"cat /root/simulated/{TENANT}.token")
        # The host's key needs no TPM, which this machine has not got.
        self._machine.run(f"cd {CLONE}\n{block.commands}", stdin=token)
        self.until_valid()
        machine.run("cp /etc/credstore.encrypted/acme-prod /root/credential")
        machine.run(
            "truncate --size=40 /etc/credstore.encrypted/acme-prod;"
            " systemctl restart --no-block prober"
        )
        machine.wait_until("it cannot be read", lambda: self.property("ExecMainStatus") == "243")
        machine.run("cp /root/credential /etc/credstore.encrypted/acme-prod")
        seconds = machine.wait_for("it starts by itself", "systemctl is-active prober")
        return f"status 243; up {seconds:.0f} s after the credential was whole"

    # --- what the checks are made of

    def install_token(self) -> None:
        token = self._machine.run(f"cat /root/simulated/{TENANT}.token")
        self.guide("Give it tokens", 1, stdin=token)

    def start(self) -> None:
        self._machine.run("systemctl start prober")
        self.healthy()

    def healthy(self) -> None:
        self._machine.wait_for("it is healthy", "prober health --config /etc/prober/prober.yaml")

    def until_valid(self) -> float:
        return self._machine.wait_until(
            "its token is valid", lambda: self.metric("prober_token_state", state="valid") == 1
        )

    def until_restarted(self, before: str) -> float:
        """Wait for another process than `before`; return how long it took, in seconds."""
        return self._machine.wait_until(
            "another process", lambda: self.property("MainPID") not in {"0", before}
        )

    @contextmanager
    def mounted_state(self, size: str) -> Iterator[None]:
        """Stop the service, and mount a file system of this size as its state for a while."""
        self._machine.run(f"systemctl stop prober; mount -t tmpfs -o size={size} tmpfs {STATE}")
        try:
            yield
        finally:
            self._machine.run(f"systemctl stop prober; umount {STATE}")
            self.start()

    @contextmanager
    def drop_in(self, text: str) -> Iterator[None]:
        """Restart with a drop-in, and again without it."""
        machine, path = self._machine, "/etc/systemd/system/prober.service.d/test.conf"
        machine.write(path, text)
        machine.run("systemctl daemon-reload; systemctl restart prober")
        try:
            yield
        finally:
            machine.run(f"rm {path}; systemctl daemon-reload; systemctl restart prober")

    def property(self, name: str) -> str:
        return self._machine.run(f"systemctl show --property={name} --value prober").strip()

    def ask(self, path: str) -> str:
        return self._machine.run(f"{ASK} GET {URL}{path}", check=False)

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of the series with these labels; -1 without any."""
        values = [
            float(line.rpartition(" ")[2])
            for line in self.ask("/metrics").splitlines()
            if re.match(rf"{name}[{{ ]", line)
            and all(f'{key}="{value}"' in line for key, value in labels.items())
        ]
        return sum(values) if values else -1.0

    def info(self, name: str, label: str) -> str:
        found = re.search(rf'^{name}{{[^}}]*{label}="([^"]*)"', self.ask("/metrics"), re.MULTILINE)
        return "" if found is None else found[1]


def check(protocol: Protocol) -> None:
    """Install and check the service in a Debian of its own."""
    shutil.rmtree(CONSOLE.parent, ignore_errors=True)
    CONSOLE.parent.mkdir(parents=True)
    with prepared() as tree, booted(tree, CONSOLE) as machine:
        Service(machine).check(protocol)
        journal = machine.run("journalctl --unit=prober --no-pager --output=short-precise")
        (CONSOLE.parent / "prober.log").write_text(journal)
