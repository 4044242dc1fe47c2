"""`discover`, `init`, `permissions` and `validate --live` against a simulator on real sockets."""

import asyncio
import json
import re
import stat
from collections.abc import AsyncIterator, Mapping
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from prober.cli.main import main
from prober.cli.session import SECONDS_BETWEEN_REQUESTS, Pace
from prober.config.loader import load
from prober.simulator.platform import Latency, TenantAddress
from prober.simulator.simulator import Simulator, SimulatorConfig
from prober.simulator.state import SimulatedTenant

TENANTS = (
    SimulatedTenant("acme", TenantAddress("acme", "prod")),
    SimulatedTenant("beta", TenantAddress("acme", "dev")),
)


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[Simulator]:
    (tmp_path / "tokens").mkdir()
    config = SimulatorConfig(
        TENANTS, latency=Latency(0.0, 0.0), token_directory=tmp_path / "tokens"
    )
    async with Simulator(config) as started:
        yield started


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROBER_CONFIG", raising=False)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setattr("prober.cli.session.SECONDS_BETWEEN_REQUESTS", 0.0)


async def run(
    *arguments: str, text: str | None = None, env: Mapping[str, str] | None = None
) -> Result:
    """Run a command beside the simulator, which needs the event loop of this thread."""
    runner = CliRunner()
    result = await asyncio.to_thread(runner.invoke, main, arguments, input=text, env=env)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def write_config(simulator: Simulator, directory: Path) -> Path:
    path = directory / "prober.yaml"
    path.write_text(
        "# mine\n"
        "tenants:\n"
        "  - name: acme   # the first\n"
        f"    base_url: {simulator.base_url('acme')}\n"
        "    token: {file: tokens/acme.token}\n"
        "    probes: [current-user, datasets]\n"
        "  # the second\n"
        f"  - {{name: beta, base_url: '{simulator.base_url('beta')}',"
        " token: {file: tokens/beta.token}}\n"
    )
    return path


async def outcomes(tenant: str) -> dict[str, str]:
    result = await run("probe", tenant, "--json")
    documents = [json.loads(line) for line in result.stdout.splitlines()]
    return {each["probe"]: each["verdict"]["outcome"] for each in documents}


@pytest.mark.parametrize("tenant", ["acme", "beta"])
async def test_what_is_written_is_valid_and_every_probe_succeeds(
    simulator: Simulator, tmp_path: Path, tenant: str
) -> None:
    path = write_config(simulator, tmp_path)
    before = path.read_text()
    result = await run("discover", tenant, "--write")
    assert result.exit_code == 0, result.output
    edited = path.read_text()
    assert "# mine" in edited
    assert "- name: acme   # the first" in edited
    assert edited.index("# the first") < edited.index("# the second")
    assert edited != before
    valid = await run("validate", "--live")
    assert valid.exit_code == 0, valid.output
    found = await outcomes(tenant)
    assert set(found.values()) == {"success"}
    assert {"stream-fetch", "mailbox-sync", "model-status", "source", "quotas"} <= found.keys()
    assert len(found) >= 15
    again = await run("discover", tenant, "--write")
    assert "nothing to add" in again.stdout
    assert path.read_text() == edited


async def test_discover_lists_and_changes_nothing_without_write(
    simulator: Simulator, tmp_path: Path
) -> None:
    before = write_config(simulator, tmp_path).read_text()
    result = await run("discover", "acme", "--json")
    document = json.loads(result.stdout)
    assert document["projects"] == ["ops"]
    (dataset,) = document["datasets"]
    assert (dataset["name"], dataset["streams"], dataset["models"]) == (
        "mail",
        ["triage"],
        [7, 6, 5],
    )
    assert {each["use"] for each in document["probes"]} >= {"stream-fetch", "mailbox-sync"}
    assert (tmp_path / "prober.yaml").read_text() == before
    # Only what reads: no message, and nothing that a probe without consent may not send.
    sent = {(each.method, each.path.partition("?")[0]) for each in simulator.state.requests}
    assert {path for method, path in sent if method != "GET"} == {
        "/acme/prod/reinfer_/api/_private/datasets/ops/mail/labellers"
    }
    assert not any(path.endswith(("/fetch", "/results")) for _, path in sent)


async def test_a_probe_that_is_refused_is_not_written(simulator: Simulator, tmp_path: Path) -> None:
    path = write_config(simulator, tmp_path)
    simulator.state.resources["acme"].permissions.deny(["Consume streams", "audit-read"])
    result = await run("discover", "acme", "--write")
    assert result.exit_code == 0, result.output
    assert "auth_failure: permission_denied" in result.stdout
    text = path.read_text()
    assert "stream-fetch" not in text
    assert "audit-events" not in text
    assert "streams" in text
    assert set((await outcomes("acme")).values()) == {"success"}


async def test_an_included_file_is_edited_where_the_tenant_is_written(
    simulator: Simulator, tmp_path: Path
) -> None:
    main_file = tmp_path / "prober.yaml"
    main_file.write_text(
        "include: tenants.d/*.yaml\ndefaults: {probes: [base]}\nprobe_sets: {base: [datasets]}\n"
    )
    (tmp_path / "tenants.d").mkdir()
    other, file = tmp_path / "tenants.d/a.yaml", tmp_path / "tenants.d/b.yaml"
    other.write_text("tenants: [{name: zeta, domain: z, token: {env: Z}}]\n")
    file.write_text(
        f"tenants:\n- name: acme\n  base_url: {simulator.base_url('acme')}\n"
        "  token: {file: ../tokens/acme.token}\n"
    )
    before = main_file.read_text(), other.read_text()
    result = await run("discover", "acme", "--write")
    assert result.exit_code == 0, result.output
    assert (main_file.read_text(), other.read_text()) == before
    assert "  probes:\n  - base\n  - current-user\n" in file.read_text()
    assert set((await outcomes("acme")).values()) == {"success"}


async def test_a_project_that_is_not_there_is_said_so(simulator: Simulator, tmp_path: Path) -> None:
    write_config(simulator, tmp_path)
    result = await run("discover", "acme", "--project", "opss")
    assert result.exit_code == 2
    assert "there is no project named 'opss'; did you mean 'ops'?" in result.stderr


async def test_a_tenant_that_does_not_accept_the_token_is_said_so(
    simulator: Simulator, tmp_path: Path
) -> None:
    write_config(simulator, tmp_path)
    (tmp_path / "tokens/acme.token").write_text("wrong")
    result = await run("discover", "acme")
    assert result.exit_code == 1
    assert "acme: auth_failure: HTTP 401" in result.stderr
    assert len(simulator.state.requests) == 1


async def test_permissions_are_shown_probe_by_probe(simulator: Simulator, tmp_path: Path) -> None:
    write_config(simulator, tmp_path)
    result = await run("permissions", "acme")
    assert result.exit_code == 0
    assert [each.path for each in simulator.state.requests] == ["/acme/prod/reinfer_/auth/user"]
    assert re.search(r"datasets +any +View labels +voc-readonly +yes +documented", result.stdout)
    simulator.state.resources["acme"].permissions.deny(["View labels"])
    result = await run("permissions", "acme", "--json")
    assert result.exit_code == 10
    of_datasets = json.loads(result.stdout)["probes"][1]
    assert of_datasets["needs"] == [
        {
            "permission": "voc-readonly",
            "title": "View labels",
            "assumed": False,
            "access": "missing",
        }
    ]


async def test_a_403_names_the_permission_and_the_project(
    simulator: Simulator, tmp_path: Path
) -> None:
    path = write_config(simulator, tmp_path)
    path.write_text(path.read_text().replace("datasets]", "{use: dataset, dataset: ops/mail}]"))
    simulator.state.resources["acme"].permissions.set_project("ops", ["sources-read"])
    result = await run("probe", "acme", "dataset", "--json")
    document = json.loads(result.stdout)
    verdict = document["verdict"]
    assert verdict["reason"] == "permission_denied"
    assert verdict["evidence"].endswith(
        "the token's user lacks the permission 'View labels' (voc-readonly) in the project 'ops'"
    )
    assert document["facts"]["missing_permission"] == "voc-readonly"


def files_in(directory: Path) -> dict[str, int]:
    return {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in directory.iterdir()
        if path.is_file()
    }


async def test_init_without_questions(simulator: Simulator, tmp_path: Path) -> None:
    address = f"{simulator.base_url('acme')}/api/v1/datasets"
    token = simulator.token("acme")
    arguments = ("init", "--address", address, "--token-env", "T", "--no-input")
    result = await run(*arguments, "--directory", "out", env={"T": f'"Bearer {token}"'})
    assert result.exit_code == 0, result.output
    assert token not in result.output
    out = tmp_path / "out"
    assert files_in(out) == {
        "acme-prod.token": 0o600,
        "prober.yaml": 0o644,
        "prometheus-scrape.yml": 0o644,
    }
    assert (out / "acme-prod.token").read_text() == f"{token}\n"
    assert token not in (out / "prober.yaml").read_text()
    lines = result.stdout.splitlines()
    following = [line.partition("#")[0].strip() for line in lines[lines.index("Next:") + 1 :]]
    assert following == [
        "prober validate --config out/prober.yaml --live",
        "prober discover acme-prod --config out/prober.yaml --write",
        "prober run --config out/prober.yaml",
    ]
    for command in following[:2]:
        done = await run(*command.split()[1:])
        assert done.exit_code == 0, done.output
    found = await run("probe", "acme-prod", "--config", "out/prober.yaml", "--json")
    assert found.exit_code == 0


async def test_init_asks_for_what_is_missing(simulator: Simulator, tmp_path: Path) -> None:
    text = f"acme\n{simulator.base_url('acme')}/\n{simulator.token('acme')}\n"
    result = await run("init", text=text)
    assert result.exit_code == 0, result.output
    assert "The address is not an address: write https://cloud.uipath.com/" in result.stderr
    assert simulator.token("acme") not in result.output
    assert files_in(tmp_path)["acme-prod.token"] == 0o600


async def test_init_names_a_token_file_and_leaves_it(simulator: Simulator, tmp_path: Path) -> None:
    arguments = ("--address", simulator.base_url("acme"), "--token-file", "tokens/acme.token")
    result = await run("init", *arguments, "--no-input", "--name", "mine")
    assert result.exit_code == 0, result.output
    assert set(files_in(tmp_path)) == {"prober.yaml", "prometheus-scrape.yml"}
    assert '{file: "tokens/acme.token"}' in (tmp_path / "prober.yaml").read_text()


@pytest.mark.parametrize("existing", ["prober.yaml", "acme-prod.token", "prometheus-scrape.yml"])
async def test_init_replaces_nothing_without_force(
    simulator: Simulator, tmp_path: Path, existing: str
) -> None:
    (tmp_path / existing).write_text("precious")
    arguments = ("init", "--address", simulator.base_url("acme"), "--token-env", "T", "--no-input")
    env = {"T": simulator.token("acme")}
    result = await run(*arguments, env=env)
    assert result.exit_code == 1
    assert f"{existing}: exists, nothing was written; --force" in result.stderr
    assert list(files_in(tmp_path)) == [existing]
    assert (tmp_path / existing).read_text() == "precious"
    assert len(simulator.state.requests) == 0
    result = await run(*arguments, "--force", env=env)
    assert result.exit_code == 0
    assert (tmp_path / existing).read_text() != "precious"
    assert files_in(tmp_path)["acme-prod.token"] == 0o600


async def test_init_writes_nothing_if_the_token_is_rejected(
    simulator: Simulator, tmp_path: Path
) -> None:
    arguments = ("init", "--address", simulator.base_url("acme"), "--token-env", "T", "--no-input")
    result = await run(*arguments, env={"T": "wrong"})
    assert result.exit_code == 10
    assert "auth_failure, credential: HTTP 401" in result.stderr
    assert files_in(tmp_path) == {}
    result = await run(*arguments, "--no-try", env={"T": "wrong"})
    assert result.exit_code == 0
    assert len(files_in(tmp_path)) == 3


@pytest.mark.parametrize(
    ("arguments", "env", "problem"),
    [
        ((), {}, "--address is missing"),
        (("--address", "acme/prod"), {}, "name --token-file or --token-env"),
        (("--address", "acme"), {}, "is not an address"),
        (("--address", "acme/prod", "--token-env", "T"), {}, "T is not set"),
        (("--address", "acme/prod", "--token-env", "T"), {"T": "a b"}, "white space"),
        (("--address", "acme/prod", "--token-env", "T"), {"T": "Bearer "}, "empty"),
        (("--address", "a/b", "--token-env", "T"), {"T": "ACME_TOKEN=abc"}, "NAME=value"),
        (("--address", "acme/prod", "--token-file", "none"), {}, "No such file"),
        (("--address", "a/b", "--token-file", "x", "--token-env", "T"), {}, "either"),
        (("--address", "acme/prod", "--name", "No!"), {}, "write lower-case letters"),
        (("--address", "a/b", "--token-env", "T", "--environment", "E!"), {"T": "x"}, "lower-case"),
    ],
)
async def test_init_says_what_is_wrong(
    tmp_path: Path, arguments: tuple[str, ...], env: dict[str, str], problem: str
) -> None:
    result = await run("init", "--no-input", *arguments, env=env)
    assert result.exit_code == 2
    assert problem in result.stderr
    assert files_in(tmp_path) == {}


@pytest.mark.parametrize("content", ['"quoted"', "Bearer abc", "ACME_TOKEN=abc", "a b", "\0"])
async def test_init_takes_no_token_file_that_the_daemon_refuses(
    tmp_path: Path, content: str
) -> None:
    (tmp_path / "given").write_text(content)
    result = await run(
        "init", "--no-input", "--no-try", "--address", "a/b", "--token-file", "given"
    )
    assert result.exit_code == 2
    assert "the token file given" in result.stderr
    assert files_in(tmp_path).keys() == {"given"}


@pytest.mark.parametrize("place", ["\U0001f511", "\x85 \x1b[31m", "a: {b} # c", "'\""])
async def test_init_writes_any_path_so_that_it_is_read_again(tmp_path: Path, place: str) -> None:
    token = tmp_path / place / "token"
    token.parent.mkdir()
    token.write_text("abc")
    (tmp_path / "out").mkdir()
    arguments = ("--address", "a/b", "--token-file", str(token), "--directory", "out")
    result = await run("init", "--no-input", "--no-try", *arguments)
    assert result.exit_code == 0, result.output
    [tenant] = load(tmp_path / "out/prober.yaml").tenants
    assert Path(tenant.token.location) == token


@pytest.mark.parametrize("name", ["prober.yaml", "prometheus-scrape.yml", "link"])
async def test_init_does_not_replace_the_given_token_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to("prober.yaml")
    (tmp_path / name).write_text("abc")
    arguments = ("--address", "a/b", "--token-file", name)
    result = await run("init", "--no-input", "--no-try", "--force", *arguments)
    assert result.exit_code == 2
    assert "is a file that init writes" in result.stderr
    assert (tmp_path / name).read_text() == "abc"


@pytest.mark.parametrize("link", ["prober.yaml", "acme-prod.token", "prometheus-scrape.yml"])
async def test_init_writes_through_no_link(tmp_path: Path, link: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / link).symlink_to(victim)
    arguments = ("--address", "acme/prod", "--token-env", "T", "--directory", "out", "--no-try")
    result = await run("init", "--no-input", *arguments, env={"T": "abc"})
    assert result.exit_code == 1
    result = await run("init", "--no-input", "--force", *arguments, env={"T": "abc"})
    assert result.exit_code == 0, result.output
    assert victim.read_text() == "precious"
    assert not (tmp_path / "out" / link).is_symlink()


async def test_init_says_that_a_directory_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    arguments = ("--address", "a/b", "--token-env", "T", "--no-try", "--directory", "file/sub")
    result = await run("init", "--no-input", *arguments, env={"T": "abc"})
    assert result.exit_code == 1
    assert "file/sub cannot be created: Not a directory" in result.stderr


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "the token is empty"),
        (b"\n", "the token is empty"),
        (b"\xff\xfe\n", "the token is not UTF-8 text"),
        (b"m\xfcller\n", "the token is not UTF-8 text"),
        (b"a\0b\n", "characters that are not allowed"),
        (b"\x1b[2Jx\n", "characters that are not allowed"),
        (b"x" * 100_000, "is over 16384 bytes"),
    ],
)
async def test_init_refuses_odd_input(tmp_path: Path, text: bytes, problem: str) -> None:
    runner = CliRunner()
    arguments = ("init", "--no-try", "--address", "acme/prod")
    result = await asyncio.to_thread(runner.invoke, main, arguments, input=text)
    assert result.exit_code == 2, result.output
    assert problem in result.stderr
    assert "\x1b" not in result.output
    assert files_in(tmp_path) == {}


async def test_validate_live_tries_every_tenant(simulator: Simulator, tmp_path: Path) -> None:
    write_config(simulator, tmp_path)
    (tmp_path / "tokens/beta.token").write_text("wrong")
    result = await run("validate", "--live")
    assert result.exit_code == 1
    assert "  acme: success" in result.stdout
    assert "  beta: auth_failure, credential: HTTP 401" in result.stdout
    assert len(simulator.state.requests) == 2


async def test_at_most_one_request_a_second_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SECONDS_BETWEEN_REQUESTS == 1.0
    monkeypatch.setattr("prober.cli.session.SECONDS_BETWEEN_REQUESTS", SECONDS_BETWEEN_REQUESTS)
    now, waits = [100.0], []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    pace = Pace(lambda: now[0], sleep)
    starts = []
    for took in (0.25, 2.0, 0.0, 0.5):
        await pace.wait()
        starts.append(now[0])
        now[0] += took

    assert starts == [100.0, 101.0, 103.0, 104.0]
    assert all(later - earlier >= 1.0 for earlier, later in pairwise(starts))
