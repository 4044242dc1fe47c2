"""Build the image and run it without Docker: its very RUN steps, and a container of sorts.

Needs root, util-linux, and debootstrap for a plain Debian; `make image-check` is the command.
It shows that the steps work, and that the daemon runs on a read-only root file system, as an
unprivileged user without a shell.
"""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from prober.version import git_revision
from tests.packaging.bare_debian import PATH, plain
from tests.packaging.dockerfile import DOCKERFILE, ROOT, Instruction, Stage, stages
from tests.programs import get

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PIP_CONF = Path("/etc/pip.conf")
PYTHON = "/opt/prober/bin/python"
LIMIT_SECONDS = 600
START_SECONDS = 60
# What chroot itself needs; the daemon has none of these.
_PRIVILEGES = "setpriv --no-new-privs --bounding-set=-all,+sys_chroot,+setuid,+setgid"
CONFIGURATION = """\
defaults: {interval: 1s, timeout: 900ms}
tenants:
  - {name: lab, base_url: "http://127.0.0.1:1/x", token: {env: LAB_TOKEN}, probes: [datasets]}
"""


class Builder:
    """Runs stages, each in a directory of its own. The network is this machine's."""

    def __init__(self, directory: Path, arguments: Mapping[str, str]) -> None:
        self._directory = directory
        self._arguments = arguments
        self._built: dict[str, Path] = {}

    def build(self, base: Path) -> tuple[Path, Stage]:
        """Return the last stage, and where it is."""
        parsed = stages(DOCKERFILE.read_text(), {"BASE": "base"})
        self._built["base"] = base
        for stage in parsed:
            root = self._directory / stage.name
            subprocess.run(["cp", "-a", self._built[stage.base], root], check=True)
            self._built[stage.name] = root
            self._run(stage, root)
        return self._built[parsed[-1].name], parsed[-1]

    def _run(self, stage: Stage, root: Path) -> None:
        where, environ = Path("/"), dict[str, str]()
        for step in stage.instructions:
            if step.name == "RUN":
                print(f"[{stage.name}] {step.rest[:100]}", flush=True)  # noqa: T201 -- a program
                self._shell(step, root, where, environ)
            elif step.name == "COPY":
                self._copy(step, root, where)
            elif step.name == "WORKDIR":
                where = Path(step.rest)
                (root / where.relative_to("/")).mkdir(parents=True, exist_ok=True)
            elif step.name == "ARG":
                name, _, default = step.rest.partition("=")
                environ[name] = self._arguments.get(name, default)

    def _shell(self, step: Instruction, root: Path, where: Path, environ: dict[str, str]) -> None:
        secret = (root / "etc/pip.conf", PIP_CONF)
        mounts = [
            (root / "run/certificates.crt", CERTIFICATES),
            (root / "etc/resolv.conf", Path("/etc/resolv.conf")),
        ]
        mounts += [secret] if step.flags and PIP_CONF.exists() else []
        script = ["mount -t proc proc $ROOT/proc", "mount --rbind /dev $ROOT/dev"]
        for target, source in mounts:
            target.touch()
            script.append(f"mount --bind {source} {target}")
        inside = f"cd {where} && {step.rest}"
        script.append(f"exec chroot $ROOT /bin/sh -c {shlex.quote(inside)}")
        kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_INDEX")}
        subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "sh", "-ec", "\n".join(script)],
            env={
                "PATH": PATH,
                "ROOT": str(root),
                "PIP_CERT": "/run/certificates.crt",
                "DEBIAN_FRONTEND": "noninteractive",
                **kept,
                **environ,
            },
            check=True,
            timeout=LIMIT_SECONDS,
        )

    def _copy(self, step: Instruction, root: Path, where: Path) -> None:
        *sources, target = step.words
        flags = dict(flag.removeprefix("--").split("=") for flag in step.flags)
        origin = self._built[flags["from"]] if "from" in flags else ROOT
        absolute = root / (where / target).relative_to("/")
        for source in sources:
            found = origin / source.lstrip("/")
            into = absolute / found.name if target.endswith("/") else absolute
            into.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", found, into], check=True)
            if "from" not in flags:  # as .dockerignore has it
                for dropped in [*into.rglob("__pycache__")]:
                    shutil.rmtree(dropped)
            if "chown" in flags:
                subprocess.run(["chown", "-R", flags["chown"], into], check=True)


class Container:
    """Runs programs in a finished image: read-only, as its user, with no privilege and no shell."""

    def __init__(self, root: Path, stage: Stage, scratch: Path, port: int) -> None:
        self._root, self._owner = root, stage.only("USER").rest
        self._scratch = scratch
        words = (word for env in stage.all("ENV") for word in env.words)
        self._environ = {"PATH": PATH, **dict(word.split("=", 1) for word in words)}
        self._environ |= {"PROBER_WEB__LISTEN": f"127.0.0.1:{port}", "LAB_TOKEN": "a-token"}

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        root, state = self._root, self._scratch / "state"
        if not state.exists():
            subprocess.run(["cp", "-a", root / "var/lib/prober", state], check=True)
            (self._scratch / "etc").mkdir()
            (self._scratch / "etc/prober.yaml").write_text(CONFIGURATION)
            (root / "etc/prober").mkdir()
        script = [
            f"mount --bind {root} {root}",
            f"mount --bind -o ro {self._scratch}/etc {root}/etc/prober",
            f"mount --bind {state} {root}/var/lib/prober",
            f"mount -t proc proc {root}/proc",
            f"for shell in dash bash; do mount --bind /dev/null {root}/usr/bin/$shell; done",
            f"mount -o remount,bind,ro {root}",
            f"exec {_PRIVILEGES} chroot --userspec={self._owner} {root} {shlex.join(command)}",
        ]
        return subprocess.Popen(
            ["unshare", "--mount", "sh", "-ec", "\n".join(script)], env=self._environ
        )


def check(image: Path, stage: Stage, scratch: Path, revision: str) -> None:
    """Start the daemon, ask it as HEALTHCHECK does, end it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    container = Container(image, stage, scratch, port)
    program, command = stage.only("ENTRYPOINT").exec_form, stage.only("CMD").exec_form
    healthcheck = stage.only("HEALTHCHECK").exec_form
    assert program and command  # noqa: PT018 -- a program, not a test
    assert healthcheck
    daemon = container.start(program + command)
    try:
        until = time.monotonic() + START_SECONDS
        while container.start(healthcheck).wait(LIMIT_SECONDS) != 0:
            assert daemon.poll() is None, "the daemon has ended"
            assert time.monotonic() < until, "the daemon does not become healthy"
        metrics = get(f"http://127.0.0.1:{port}/metrics")
        assert f'revision="{revision}"' in metrics
        assert "prober_state_write_failures_total 0" in metrics
        status = Path(f"/proc/{daemon.pid}/status").read_text()
        owner = stage.only("USER").rest.partition(":")[0]
        assert f"Uid:\t{owner}\t{owner}\t{owner}\t{owner}" in status
        assert "CapEff:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status
        assert (scratch / "state/tokens.sqlite3").exists()
    finally:
        daemon.send_signal(signal.SIGTERM)
        ended = daemon.wait(LIMIT_SECONDS)
    assert ended == 0, f"the daemon ended with {ended}"
    assert container.start(healthcheck).wait(LIMIT_SECONDS) == 1
    for too_much in (["/bin/sh", "-c", "true"], [PYTHON, "-c", "open('/opt/new', 'w')"]):
        assert container.start(too_much).wait(LIMIT_SECONDS) != 0, f"it could do {too_much}"
    may = [PYTHON, "-c", "open('/var/lib/prober/new', 'w')"]
    assert container.start(may).wait(LIMIT_SECONDS) == 0, f"it could not do {may}"


def main() -> None:
    """Take a root file system as the base, or make one of plain Debian."""
    with tempfile.TemporaryDirectory(prefix="prober-image-") as made:
        directory = Path(made)
        directory.chmod(0o755)
        base = Path(sys.argv[1]) if len(sys.argv) > 1 else plain("trixie")
        revision = git_revision(ROOT)
        image, stage = Builder(directory, {"SOURCE_REVISION": revision}).build(base)
        scratch = directory / "scratch"
        scratch.mkdir()
        check(image, stage, scratch, revision)
        print("the image builds and runs")  # noqa: T201 -- a program


if __name__ == "__main__":
    main()
