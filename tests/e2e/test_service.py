"""The daemon as systemd sees it: what it sends to its notification socket."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.programs import END_LIMIT_SECONDS, seconds_until, started

WATCHDOG_SECONDS = 1.0
SILENCE_SECONDS = 1.5  # longer than the watchdog would wait


class Systemd:
    """The other end of $NOTIFY_SOCKET."""

    def __init__(self, bound: socket.socket) -> None:
        self._bound = bound
        self.received: list[str] = []

    def hears(self, line: str, within_seconds: float) -> bool:
        """Listen until a message has that line, or it is too late."""
        until = time.monotonic() + within_seconds
        while (left := until - time.monotonic()) > 0:
            self._bound.settimeout(left)
            try:
                message = self._bound.recv(4096).decode()
            except TimeoutError:
                break
            self.received.append(message)
            if line in message.splitlines():
                return True
        return False

    def forget(self) -> None:
        """Throw away what has come and was not read."""
        self._bound.setblocking(False)
        try:
            while True:
                self._bound.recv(4096)
        except BlockingIOError:
            pass


@contextmanager
def service(directory: Path) -> Iterator[tuple[subprocess.Popen[bytes], Systemd]]:
    (directory / "prober.yaml").write_text(
        "web: {listen: '127.0.0.1:0'}\n"
        "defaults: {interval: 1s, timeout: 900ms}\n"
        "tenants:\n"
        "  - {name: lab, base_url: 'http://127.0.0.1:1/acme/lab/reinfer_',\n"
        "     token: {file: lab.token}, probes: [datasets]}\n"
    )
    (directory / "lab.token").write_text("a-token\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(directory / "notify"))
        environ = {
            "NOTIFY_SOCKET": str(directory / "notify"),
            "WATCHDOG_USEC": str(int(WATCHDOG_SECONDS * 1e6)),
        }
        command = ("run", "--config", str(directory / "prober.yaml"))
        until = r"(daemon\.started)"
        with started(*command, until=until, log=directory / "log", **environ) as (process, _):
            yield process, Systemd(bound)


def wait_until_stopped(pid: int) -> None:
    """Wait until every thread has stopped, as SIGSTOP makes them."""
    threads = [each / "stat" for each in Path(f"/proc/{pid}/task").iterdir()]
    seconds_until(lambda: all(each.read_text().rpartition(") ")[2][0] == "T" for each in threads))


@pytest.fixture
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s")  # a socket's path is at most 107 bytes


def test_systemd_hears_of_the_start_of_every_beat_of_silence_and_of_the_end(
    directory: Path,
) -> None:
    with service(directory) as (process, systemd):
        assert systemd.hears("READY=1", END_LIMIT_SECONDS)
        assert "STATUS=probing 1 tenants" in systemd.received
        for _ in range(2):
            assert systemd.hears("WATCHDOG=1", END_LIMIT_SECONDS)

        process.send_signal(signal.SIGHUP)
        assert systemd.hears("RELOADING=1", END_LIMIT_SECONDS)
        assert systemd.hears("READY=1", END_LIMIT_SECONDS)

        process.send_signal(signal.SIGSTOP)
        try:
            wait_until_stopped(process.pid)  # the signal is asynchronous
            systemd.forget()
            assert not systemd.hears("WATCHDOG=1", SILENCE_SECONDS)
        finally:
            process.send_signal(signal.SIGCONT)
        assert systemd.hears("WATCHDOG=1", END_LIMIT_SECONDS)

        process.send_signal(signal.SIGTERM)
        assert systemd.hears("STOPPING=1", END_LIMIT_SECONDS)
        assert process.wait(END_LIMIT_SECONDS) == 0
