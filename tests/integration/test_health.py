"""`prober health` against servers that respond well, badly, or not at all."""

import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner, Result

from prober.cli.daemon_address import existing_state, local_url
from prober.cli.main import main
from prober.state_directory import StateDirectory

LOOPBACK = "127.0.0.1"
CONFIGURATION = """\
web: {{listen: "{listen}"}}
tenants:
  - {{name: lab, base_url: "http://127.0.0.1:1/x", token: {{env: LAB}}, probes: [datasets]}}
"""


def responding(
    response: bytes, *, path: str = "/-/healthy", requests: list[bytes] | None = None
) -> type[socketserver.BaseRequestHandler]:
    """Make a server that knows one path and sends this response there; it notes its `requests`."""

    class Responding(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            request = self.request.recv(4096)
            if requests is not None:
                requests.append(request)
            known = request.startswith(f"GET {path} HTTP/1.1\r\nHost: ".encode())
            with suppress(OSError):  # the client closes when it has read enough
                self.request.sendall(response if known else b"HTTP/1.1 404 Not Found\r\n\r\n")
                self.request.recv(1)

    return Responding


HEALTHY = responding(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhealthy\n")


@contextmanager
def serving(
    handler: type[socketserver.BaseRequestHandler], context: ssl.SSLContext | None = None
) -> Iterator[int]:
    with socketserver.ThreadingTCPServer((LOOPBACK, 0), handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def health(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["health", *arguments])


def test_a_daemon_that_responds_is_healthy(tmp_path: Path) -> None:
    with serving(HEALTHY) as port:
        file = tmp_path / "prober.yaml"
        file.write_text(CONFIGURATION.format(listen=f"0.0.0.0:{port}"))
        done = health("--config", str(file))
    assert (done.exit_code, done.stdout) == (0, f"http://127.0.0.1:{port}: healthy\n")


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "HTTP 503"),
        (
            b"HTTP/1.1 503 No\r\nContent-Length: 12\r\n\r\nstuck\x1b[2J\nno",
            "HTTP 503: stuck [2J no",
        ),
        (b"HTTP/1.1 503 No\r\nContent-Length: 9999\r\n\r\nlong", "HTTP 503"),
        (b"HTTP/1.1 503 No\r\n" + b"x" * 1_000_000, "HTTP 503"),
        (b"HTTP/1.1 302 Found\r\nLocation: /-/healthy\r\n\r\n", "HTTP 302"),
        (b"SSH-2.0-OpenSSH_9.2\x1b[2J\r\n", "the response is not HTTP"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "the response is not HTTP"),
        (b"x" * 1_000_000, "the response is not HTTP: the status line is too long"),
        (b"HTTP/1.1 200", "no response within 0.5 s"),
    ],
)
def test_one_that_responds_otherwise_is_not(response: bytes, why: str) -> None:
    with serving(responding(response)) as port:
        limit = "0.5" if "within" in why else "20"
        done = health("--url", f"http://127.0.0.1:{port}", "--timeout", limit)
    assert done.exit_code == 1
    assert done.stderr == f"http://127.0.0.1:{port}: {why}\n"


def test_where_nobody_listens_nobody_is_healthy() -> None:
    with serving(HEALTHY) as port:
        pass
    done = health("--url", f"http://127.0.0.1:{port}")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "refused" in done.stderr


def test_its_own_machine_is_asked_over_https_whatever_name_the_certificate_bears() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("prober.example.com").configure_cert(context)
    with serving(HEALTHY, context) as port:
        assert health("--url", f"https://127.0.0.1:{port}").exit_code == 0
        assert health("--url", f"https://localhost:{port}").exit_code == 0


def test_elsewhere_a_certificate_is_verified() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("prober.example.com").configure_cert(context)
    with serving(HEALTHY, context) as port:
        done = health("--url", f"https://127.1:{port}")  # leads here, and is not known to do so
    assert done.exit_code == 1
    assert "cannot be reached: unable to get local issuer certificate" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--config", "x", "--url", "http://127.0.0.1:1"), "either --config or --url"),
        (("--url", "ftp://127.0.0.1"), "write http://HOST:PORT"),
        (("--url", "http://127.0.0.1:99999"), "0-65535"),
        (("--url", "127.0.0.1:9824"), "write http://HOST:PORT"),
    ],
)
def test_a_command_line_that_says_nothing_usable_is_told(
    arguments: tuple[str, ...], why: str
) -> None:
    done = health(*arguments)
    assert done.exit_code == 2
    assert why in done.stderr


def test_a_port_that_nobody_knows_cannot_be_asked(tmp_path: Path) -> None:
    file = tmp_path / "prober.yaml"
    file.write_text(CONFIGURATION.format(listen="127.0.0.1:0"))
    done = health("--config", str(file))
    assert done.exit_code == 2
    assert "give --url" in done.stderr


BROKEN = ("tenants: [", "web: {lisen: 1}", "web: {listen: '127.0.0.1:1'}", "\t")


@pytest.mark.parametrize("edit", BROKEN)
def test_a_daemon_is_asked_where_it_is_whatever_became_of_its_file(
    tmp_path: Path, edit: str
) -> None:
    file = tmp_path / "prober.yaml"
    directory = StateDirectory.acquire(tmp_path / "state")
    with serving(HEALTHY) as port:
        directory.write_address(f"http://127.0.0.1:{port}")
        file.write_text(f"state: {{directory: state}}\n{edit}\n")
        done = health("--config", str(file))
    directory.close()
    assert (done.exit_code, done.stdout) == (0, f"http://127.0.0.1:{port}: healthy\n")


def test_in_a_container_the_variables_say_where_the_daemon_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "prober.yaml"
    file.write_text("tenants: [")
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    with serving(HEALTHY) as port:
        monkeypatch.setenv("PROBER_WEB__LISTEN", f":{port}")
        assert health("--config", str(file)).exit_code == 0  # a state directory that is read-only
        directory = StateDirectory.acquire(tmp_path / "state")
        directory.write_address(f"http://127.0.0.1:{port}")
        monkeypatch.delenv("PROBER_WEB__LISTEN")
        assert health("--config", str(file)).exit_code == 0
        directory.close()  # a daemon that ends takes its address with it
    done = health("--config", str(file))
    assert done.exit_code == 2
    assert "not YAML" in done.stderr


def test_tls_may_have_been_turned_on_since_the_address_was_saved(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("prober.example.com").configure_cert(context)
    file = tmp_path / "prober.yaml"
    file.write_text("state: {directory: .}")
    directory = StateDirectory.acquire(tmp_path)
    with serving(HEALTHY, context) as port:
        directory.write_address(f"http://127.0.0.1:{port}")
        done = health("--config", str(file))
    directory.close()
    assert (done.exit_code, done.stdout) == (0, f"https://127.0.0.1:{port}: healthy\n")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:9824"),
        ("0.0.0.0", "http://127.0.0.1:9824"),
        ("::", "http://[::1]:9824"),
        ("", "http://127.0.0.1:9824"),
        ("fd00::1", "http://[fd00::1]:9824"),
        ("prober.example.com", "http://prober.example.com:9824"),
    ],
)
def test_a_daemon_is_found_where_it_listens(host: str, url: str) -> None:
    assert local_url(host, 9824) == url


def test_a_command_typed_by_hand_finds_the_state_of_the_service(tmp_path: Path) -> None:
    mine, services, file = tmp_path / "mine", tmp_path / "lib", tmp_path / "prober.yaml"
    assert existing_state(mine, file, services) == mine  # there is none: the message names this
    (services / "prober").mkdir(parents=True)
    assert existing_state(mine, file, services) == services / "prober"
    assert existing_state(mine, tmp_path / "other.yaml", services) == mine
    mine.mkdir()
    assert existing_state(mine, file, services) == mine
