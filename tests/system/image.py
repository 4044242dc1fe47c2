"""The image of the Dockerfile, built by buildah and run by podman as the guide says."""

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prober.version import VERSION, git_revision
from tests.packaging.bare_debian import ROOT, copied, plain
from tests.system.protocol import Protocol

PACKAGES = ("python3", "python3-venv", "ca-certificates", "tini")
LIMIT_SECONDS = 600
HEALTH = ("/opt/prober/bin/prober", "health", "--config", "/etc/prober/prober.yaml")
EARLY_SECONDS = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6)
STOP_SECONDS = 10
CONFIGURATION = """\
defaults: {interval: 1s, timeout: 900ms}
tenants:
  - {name: lab, base_url: "http://127.0.0.1:1/x", token: {file: lab.token}, probes: [datasets]}
"""
ROWS = """\
import sqlite3
opened = sqlite3.connect("/var/lib/prober/tokens.sqlite3")
print(opened.execute("SELECT count(*) FROM token").fetchone()[0])
"""
GET = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=5).read().decode())"
# crun wants cgroup v2 alone. A machine that still has v1 gets it in a mount namespace of its own.
_PLACE = """
[ "$(stat --file-system --format=%T /sys/fs/cgroup)" = cgroup2fs ] \\
  || mount -t cgroup2 none /sys/fs/cgroup
echo ready
exec sleep infinity
"""


class Engine:
    """podman and buildah with a storage of their own, in a mount namespace of their own."""

    def __init__(self, directory: Path, place: int) -> None:
        self._enter = ["nsenter", "--target", str(place), "--mount"]
        self._options = [
            f"--root={directory / 'root'}",
            f"--runroot={directory / 'run'}",
            "--storage-driver=vfs",
        ]

    def podman(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self._run("podman", "--cgroup-manager=cgroupfs", *arguments, check=check)

    def buildah(self, *arguments: str) -> None:
        self._run("buildah", *arguments, check=True)

    def load(self, tree: Path, name: str) -> None:
        """Import a tree as an image."""
        command = [*self._enter, "podman", *self._options, "import", "-", name]
        with subprocess.Popen(
            ["tar", "--create", f"--directory={tree}", "."], stdout=subprocess.PIPE
        ) as packed:
            subprocess.run(command, stdin=packed.stdout, check=True, capture_output=True)

    def _run(self, program: str, *arguments: str, check: bool) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self._enter, program, *self._options, *arguments],
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
            cwd=ROOT,
        )
        if check:
            assert done.returncode == 0, f"{program} {' '.join(arguments)}\n{done.stderr[-3000:]}"
        return done


@contextmanager
def engine() -> Iterator[tuple[Engine, Path]]:
    with (
        tempfile.TemporaryDirectory(prefix="prober-image-") as made,
        subprocess.Popen(
            ["unshare", "--mount", "sh", "-ec", _PLACE], stdout=subprocess.PIPE, text=True
        ) as place,
    ):
        assert place.stdout is not None
        assert place.stdout.readline() == "ready\n"
        running = Engine(Path(made), place.pid)
        try:
            yield running, Path(made)
        finally:
            running.podman("rm", "--all", "--force", "--volumes", check=False)
            running.podman("rmi", "--all", "--force", check=False)
            place.terminate()


class Image:
    """The checks; each is a method that returns what it measured, and raises when it is red."""

    def __init__(self, running: Engine, directory: Path) -> None:
        self._engine = running
        self._etc = directory / "etc"
        self._etc.mkdir(mode=0o755)
        directory.chmod(0o755)
        self._write(CONFIGURATION)
        (self._etc / "lab.token").write_text("a-token\n")

    def check(self, protocol: Protocol) -> None:
        """Build the image and check it."""
        if not protocol.run("image: build", self.build, is_needed=True):
            return
        protocol.run("image: what is in it", self.content)
        protocol.run(
            "image: runs read-only as 65532 without capabilities", self.runs, is_needed=True
        )
        protocol.run("image: listens on IPv4 and IPv6", self.both_families)
        protocol.run("image: HUP reloads", self.hangup)
        protocol.run("image: a refused edit leaves it healthy", self.refused_edit)
        protocol.run("image: TERM ends it, and its state stays", self.stop)
        protocol.run("image: TERM at once and soon after", self.early_stop)
        protocol.run("image: another user", self.other_user)

    def build(self) -> None:
        with copied(plain("trixie", PACKAGES)) as tree:
            self._engine.load(tree, "base")
        secret = Path("/etc/pip.conf")
        self._engine.buildah(
            "build", "--isolation=chroot", "--network=host", "--format=docker", "--tag=prober",
            "--build-arg=BASE=localhost/base", f"--build-arg=SOURCE_REVISION={git_revision(ROOT)}",
            *([f"--secret=id=pip.conf,src={secret}"] if secret.exists() else []), str(ROOT),
        )  # fmt: skip

    def content(self) -> str:
        (about,) = json.loads(self._engine.podman("inspect", "prober").stdout)
        labels = about["Labels"]
        assert labels["org.opencontainers.image.version"] == VERSION
        assert labels["org.opencontainers.image.revision"] == git_revision(ROOT)
        assert about["Healthcheck"]["Test"] == ["CMD", *HEALTH]
        listed = self._python("import os; print(*sorted(os.listdir('/opt/prober/bin')))")
        scripts = {name for name in listed.split() if not name.startswith("python")}
        assert scripts == {"prober"}, scripts
        version = self._python("import sys; print(sys.version.split()[0])").strip()
        return f"Python {version}, {about['Size'] / 2**20:.0f} MiB with the base"

    def runs(self) -> str:
        self._start("prober")
        seconds = self._until_healthy("prober")
        pid = self._engine.podman("inspect", "--format={{.State.Pid}}", "prober").stdout.strip()
        status = Path(f"/proc/{pid}/status").read_text()
        for expected in ("Uid:\t65532\t65532", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"):
            assert expected in status, status
        mode = self._exec(
            "prober", "python", "-c", "import os; print(oct(os.stat('/var/lib/prober').st_mode))"
        )
        assert mode.stdout.strip() == "0o40700", mode
        assert self._exec("prober", "python", "-c", "open('/opt/x', 'w')").returncode != 0
        assert "prober_state_writable 1" in self._get("/metrics")
        return f"healthy after {seconds:.1f} s"

    def both_families(self) -> None:
        for host in ("127.0.0.1", "[::1]"):
            assert "healthy" in self._get("/-/healthy", host=host)

    def hangup(self) -> None:
        assert 'probe="sources"' not in self._get("/metrics")
        self._write(CONFIGURATION.replace("[datasets]", "[datasets, sources]"))
        self._engine.podman("kill", "--signal=HUP", "prober")
        self._until("it is reloaded", lambda: 'probe="sources"' in self._get("/metrics"))

    def refused_edit(self) -> None:
        self._write("tenants: [")
        self._engine.podman("kill", "--signal=HUP", "prober")
        self._until(
            "it is refused",
            lambda: "prober_config_last_reload_successful 0" in self._get("/metrics"),
        )
        assert self._engine.podman("healthcheck", "run", "prober", check=False).returncode == 0
        self._write(CONFIGURATION)

    def stop(self) -> str:
        began = time.monotonic()
        self._engine.podman("stop", f"--time={STOP_SECONDS}", "prober")
        seconds = time.monotonic() - began
        assert self._exit_status("prober") == 0
        rows = self._python(ROWS, "--volume=state:/var/lib/prober")
        assert rows.strip() == "1"
        return f"exit 0 after {seconds:.1f} s"

    def early_stop(self) -> str:
        ends = []
        for number, delay_seconds in enumerate(EARLY_SECONDS):
            name = f"early-{number}"
            self._start(name)
            time.sleep(delay_seconds)
            self._engine.podman("stop", f"--time={STOP_SECONDS}", name)
            ends.append(self._exit_status(name))
        assert set(ends) == {0}, f"by delay: {dict(zip(EARLY_SECONDS, ends, strict=True))}"
        return f"exit 0 after {', '.join(map(str, EARLY_SECONDS))} s"

    def other_user(self) -> None:
        self._start("other", "--user=1234:1234", "--tmpfs=/var/lib/prober:mode=0777", volume=False)
        self._until_healthy("other")
        assert "prober_state_writable 1" in self._get("/metrics", name="other")

    # --- what the checks are made of

    def _write(self, text: str) -> None:
        new = self._etc / "new"
        new.write_text(text)
        new.rename(self._etc / "prober.yaml")

    def _start(self, name: str, *options: str, volume: bool = True) -> None:
        self._engine.podman(
            "run", "--detach", f"--name={name}", *self._limits(),
            f"--volume={self._etc}:/etc/prober:ro",
            *(["--volume=state:/var/lib/prober"] if volume else []), *options, "prober",
        )  # fmt: skip

    def _limits(self) -> list[str]:
        """Return the guide's options, and what a machine without systemd needs besides."""
        return [
            "--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--network=none",
            "--cgroups=disabled", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024",
        ]  # fmt: skip

    def _python(self, code: str, *options: str) -> str:
        return self._engine.podman(
            "run", "--rm", *self._limits(), *options,
            "--entrypoint=/opt/prober/bin/python", "prober", "-c", code,
        ).stdout  # fmt: skip

    def _exec(self, name: str, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = (f"/opt/prober/bin/{program}", *arguments)
        return self._engine.podman("exec", name, *command, check=False)

    def _get(self, path: str, *, host: str = "127.0.0.1", name: str = "prober") -> str:
        return self._exec(name, "python", "-c", GET, f"http://{host}:9824{path}").stdout

    def _until_healthy(self, name: str) -> float:
        healthy = lambda: self._exec(name, "prober", *HEALTH[1:]).returncode == 0  # noqa: E731
        return self._until("it is healthy", healthy)

    def _until(self, what: str, condition: Callable[[], bool]) -> float:
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < LIMIT_SECONDS / 10, what
            time.sleep(0.2)
        return time.monotonic() - began

    def _exit_status(self, name: str) -> int:
        return int(self._engine.podman("inspect", "--format={{.State.ExitCode}}", name).stdout)


def check(protocol: Protocol) -> None:
    """Build and check the image, in a storage of its own that is removed."""
    with engine() as (running, directory):
        Image(running, directory).check(protocol)
