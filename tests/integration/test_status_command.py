"""`prober status` and `prober tokens` against a running daemon's site."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from prober.cli.main import main
from prober.cli.tokens import status_from_document
from prober.models import TokenSource, TokenSourceKind, TokenStatus
from prober.outcomes import Reason, RejectionCause, TokenState
from prober.state_directory import StateDirectory
from tests.integration.test_health import responding, serving
from tests.integration.web.app_factory import ACME, NOW, Installation, served
from tests.unit.metrics.factories import an_answer

CONFIGURATION = """\
state: {directory: state}
tenants:
  - {name: acme, base_url: "http://127.0.0.1:1/x", token: {env: NOT_SET_HERE}, probes: [datasets]}
  - {name: beta, base_url: "http://127.0.0.1:1/y", token: {env: NOT_SET_HERE}, probes: [datasets]}
"""


async def invoke(*arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, main, arguments)


def in_trouble() -> Installation:
    installation = Installation(None)
    failing = an_answer(Reason.SERVER_ERROR, status=500)
    for result in (
        replace(failing, tenant="beta"),
        an_answer(),
        replace(an_answer(), probe="sources"),
    ):
        installation.record(replace(result, started_at=NOW))
    return installation


@pytest.mark.parametrize(
    ("arguments", "names", "status"),
    [
        ((), ["beta", "acme"], 11),
        (("--troubled",), ["beta"], 11),
        (("acme",), ["acme"], 0),
        (("acme", "--troubled"), [], 0),
        (("--environment", "production"), ["beta", "acme"], 11),
    ],
)
async def test_it_shows_the_tenants_that_are_asked_for(
    arguments: tuple[str, ...], names: list[str], status: int
) -> None:
    async with served(in_trouble().site()) as client:
        url = str(client._base_url)
        done = await invoke("status", "--url", url, "--json", *arguments)
        shown = await invoke("status", "--url", url, *arguments)
    assert [json.loads(line)["name"] for line in done.stdout.splitlines()] == names
    assert (done.exit_code, shown.exit_code) == (status, status)
    assert [name for name in ("beta", "acme") if f"\n{name} " in shown.stdout] == names
    assert "2 tenants, 1 in trouble; prober 1.2.3" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("acmee",), "there is no tenant named 'acmee'; did you mean 'acme'?"),
        (("--environment", "prod"), "there is no environment named 'prod'"),
        (("--url", "ftp://x"), "write http://HOST:PORT"),
    ],
)
async def test_what_there_is_not_is_refused(arguments: tuple[str, ...], message: str) -> None:
    async with served(Installation(None).site()) as client:
        done = await invoke("status", "--url", str(client._base_url), *arguments)
    assert done.exit_code == 2
    assert message in done.stderr


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (b"SSH-2.0-x\x1b[2J\r\n\r\n", "no daemon responds at"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "responds with HTTP 404"),
        (b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", "give --user"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", "its response is not JSON"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "its response is not an overview"),
    ],
)
async def test_a_server_that_is_no_prober_is_named(response: bytes, message: str) -> None:
    with serving(responding(response, path="/api/v1/overview")) as port:
        done = await invoke("status", "--url", f"http://127.0.0.1:{port}")
    assert done.exit_code == 1
    assert message in done.stderr
    assert "\x1b" not in done.stderr


async def test_a_user_is_sent_with_the_password_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PROBER_PASSWORD", "correct horse")
    requests: list[bytes] = []
    refused = b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"
    with serving(responding(refused, path="/api/v1/overview", requests=requests)) as port:
        await invoke("status", "--url", f"http://127.0.0.1:{port}", "--user", "alice")
    assert b"Authorization: Basic YWxpY2U6Y29ycmVjdCBob3JzZQ==\r\n" in requests[0]


async def test_tokens_are_those_of_the_daemon_and_not_of_this_environment(tmp_path: Path) -> None:
    (tmp_path / "prober.yaml").write_text(CONFIGURATION)
    directory = StateDirectory.acquire(tmp_path / "state")
    installation = Installation(None)
    installation.statuses["beta"] = replace(
        installation.statuses["beta"],
        state=TokenState.REJECTED,
        fingerprint="4567",
        rejected_since=1.0,
        cause=RejectionCause.SUPERSEDED,
    )
    command = ("tokens", "--config", str(tmp_path / "prober.yaml"))
    async with served(installation.site()) as client:
        directory.write_address(str(client._base_url).rstrip("/"))
        done = await invoke(*command, "--json")
        one = await invoke(*command, "acme")
    shown = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(each["tenant"], each["state"], each["fingerprint"]) for each in shown] == [
        ("acme", "valid", "0123abcd"),
        ("beta", "rejected", "4567"),
    ]
    assert (done.exit_code, one.exit_code) == (10, 0)
    directory.close()
    absent = await invoke(*command, "--json")
    assert absent.exit_code == 10  # missing here
    assert "the sources are read from here" in absent.stderr


@pytest.mark.parametrize(
    "status",
    [
        TokenStatus("a", ACME.token),
        TokenStatus("a", TokenSource(TokenSourceKind.FILE, "/x y"), TokenState.VALID, "01", None),
        TokenStatus(
            "a",
            ACME.token,
            TokenState.REJECTED,
            "01",
            None,
            RejectionCause.EXPIRED,
            loaded_at=1.0,
            first_accepted_at=2.0,
            last_accepted_at=3.0,
            rejected_since=4.0,
            expires_at=5.0,
            rotations=6,
        ),
    ],
)
def test_a_status_is_the_same_after_the_way_through_the_api(status: TokenStatus) -> None:
    document: Mapping[str, object] = {
        **{name: getattr(status, name) for name in TokenStatus.__slots__},
        "state": status.state.value,
        "cause": None if status.cause is None else status.cause.value,
        "source": str(status.source),
    }
    configured = {"a": ACME.token}
    assert status_from_document("a", document, configured) == status
