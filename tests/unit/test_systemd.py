import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from prober.metrics.self_health import SelfHealth
from prober.models import Latency, Verdict
from prober.outcomes import CLASSIFICATION, Reason, Responder
from prober.systemd import SystemdNotifier, status_line
from tests.unit.test_watchdog import WELL

OURS, OTHER = 4711, 4712


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(tmp_path / "notify"))
        bound.setblocking(False)
        yield bound


def of(bound: socket.socket, **environ: str) -> SystemdNotifier:
    name = bound.getsockname()
    address = f"@{name[1:].decode()}" if isinstance(name, bytes) else name
    return SystemdNotifier.from_environ({"NOTIFY_SOCKET": address, **environ}, OURS)


def test_it_is_told_what_happens_in_the_words_of_the_protocol(systemd: socket.socket) -> None:
    manager = of(systemd)
    manager.ready()
    manager.status("two\nlines")
    manager.stopping()
    reported = [systemd.recv(4096) for _ in range(3)]
    assert reported == [
        b"READY=1",
        b"STATUS=two lines",
        b"STOPPING=1",
    ]


def a_verdict(reason: Reason) -> Verdict:
    row = CLASSIFICATION[reason]
    return Verdict(row.outcome, reason, row.culprit, Responder.PLATFORM, "", "", Latency(0.5))


REJECTED, LOST = a_verdict(Reason.TOKEN_REJECTED), a_verdict(Reason.DNS)


@pytest.mark.parametrize(
    ("failing", "health", "line"),
    [
        ({}, WELL, "probing 9 tenants"),
        (
            {"acme": REJECTED, "beta": LOST},
            WELL,
            (
                "probing 9 tenants; 2 in trouble: acme (credential: token_rejected),"
                " beta (network: dns)"
            ),
        ),
        (
            dict.fromkeys("abcde", LOST),
            WELL,
            (
                "probing 9 tenants; 5 in trouble: a (network: dns), b (network: dns),"
                " c (network: dns), 2 more"
            ),
        ),
        (
            {},
            replace(WELL, state_is_writable=False, configuration_problem="prober.yaml:1: no\x1b"),
            (
                "probing 9 tenants; the state directory cannot be written;"
                " reload failed: prober.yaml:1: no"
            ),
        ),
    ],
)
def test_the_status_says_what_is_wrong(
    failing: dict[str, Verdict], health: SelfHealth, line: str
) -> None:
    assert status_line(9, failing, health) == line


def test_the_same_status_again_is_no_message(systemd: socket.socket) -> None:
    manager = of(systemd)
    for text in ("one", "one", "two"):
        manager.status(text)
    assert [systemd.recv(4096) for _ in range(2)] == [b"STATUS=one", b"STATUS=two"]
    with pytest.raises(BlockingIOError):
        systemd.recv(4096)


def test_a_reload_is_told_with_its_moment(systemd: socket.socket) -> None:
    of(systemd).reloading()
    assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=[1-9]\d+", systemd.recv(4096))


def test_an_abstract_socket_is_found() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind("")  # the kernel picks an abstract name
        bound.setblocking(False)
        of(bound).status("hello")
        assert bound.recv(4096) == b"STATUS=hello"


@pytest.mark.parametrize(
    ("watchdog", "waits_for"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(OURS)}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(OTHER)}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "²"}, None),
    ],
)
def test_its_watchdog_is_fed_only_where_it_waits_for_us(
    systemd: socket.socket, watchdog: dict[str, str], waits_for: float | None
) -> None:
    manager = of(systemd, **watchdog)
    assert manager.watchdog_seconds == waits_for
    manager.notify_watchdog()
    if waits_for is None:
        with pytest.raises(BlockingIOError):
            systemd.recv(4096)
    else:
        assert systemd.recv(4096) == b"WATCHDOG=1"


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative", "/nobody/listens/here"])
def test_where_nobody_can_hear_nothing_happens(address: str) -> None:
    manager = SystemdNotifier.from_environ({"NOTIFY_SOCKET": address}, OURS)
    manager.ready()
    manager.reloading()
    manager.notify_watchdog()


def test_a_manager_that_does_not_read_holds_nobody_up(systemd: socket.socket) -> None:
    manager = of(systemd)
    for _ in range(2000):
        manager.status("x" * 100)
    assert systemd.recv(4096).startswith(b"STATUS=x")
