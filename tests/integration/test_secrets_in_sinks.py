"""Whatever servers echo: no secret is in anything that the prober writes, shows or prints."""

import asyncio
import io
import json
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
import structlog
from click.testing import CliRunner

from prober.cli.main import main
from prober.config.loader import load
from prober.daemon import Daemon
from prober.logs import configure_logging
from prober.render.documents import result_document
from prober.web.api import OPERATIONS
from tests.integration.daemons import runs_ended, write_config
from tests.integration.echoing_server import EchoingServer, a_secret, found_in, inflated

ROUNDS = 6
TENANTS = ("plain", "proxied", "oauth")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Where the log is written, at its most verbose."""
    root = logging.getLogger()
    handlers, level, own = root.handlers, root.level, logging.getLogger("prober").level
    stream = io.StringIO()
    configure_logging(stream, "debug", "json")
    yield stream
    structlog.reset_defaults()
    root.handlers = handlers
    root.setLevel(level)
    logging.getLogger("prober").setLevel(own)


def written(directory: Path, port: int, secrets: list[str]) -> Path:
    _, token, header, _, password, client = secrets
    (directory / "token").write_text(token)
    (directory / "client").write_text(client)
    (directory / "header").write_text(header)
    url = f"http://127.0.0.1:{port}"
    own = {
        "path": "/api/v1/own", "query": {"sig": {"env": "OWN_SIGNATURE"}},
        "headers": {"X-Api-Key": {"file": "header"}},
    }  # fmt: skip
    oauth = {
        "client_id": "c",
        "token_url": f"{url}/connect/token",
        "client_secret": {"file": "client"},
    }
    base = {"base_url": f"{url}/plain", "proxy": "none", "token": {"file": "token"}}
    tenants: list[dict[str, Any]] = [
        {**base, "name": "plain", "probes": ["datasets", "own"]},
        {
            **base, "name": "proxied", "base_url": "http://platform.invalid/a",
            "proxy": f"http://me:{password}@127.0.0.1:{port}", "probes": ["datasets", "own"],
        },
        {
            **base, "name": "oauth", "base_url": f"{url}/oauth", "token": {"oauth": oauth},
            "probes": ["datasets", "own"],
        },
    ]  # fmt: skip
    return write_config(
        directory,
        tenants,
        reload={"on_change": False},
        defaults={"interval": "1h", "timeout": "20s", "connect_timeout": "10s"},
        probes={"own": own},
    )


async def shown_by(url: str) -> list[str]:
    """Return all pages and all responses of the API."""
    texts: list[str] = []
    async with aiohttp.ClientSession(url) as client:

        async def get(path: str, **headers: str) -> str:
            async with client.get(path, headers=headers) as response:
                texts.append(f"{dict(response.headers)}\n{await response.text()}")
                return texts[-1]

        for path in ("/", "/incidents?since=1d", "/metrics", "/api/v1/openapi.json"):
            await get(path)
        await get("/metrics", Accept="application/openmetrics-text; version=1.0.0")  # exemplars
        numbers: set[int] = set()
        for tenant in TENANTS:
            for path in (f"/tenants/{tenant}", f"/badge/{tenant}.svg"):
                await get(path)
            failures = await get(f"/api/v1/tenants/{tenant}/failures?limit=200")
            document = json.loads(failures.partition("\n")[2])
            numbers |= {each["number"] for each in document["failures"]}
            for operation in OPERATIONS:
                if not {"{number}", "{incident}"} & set(operation.path.split("/")):
                    await get(operation.path.format(tenant=tenant))
        incidents = await get("/api/v1/incidents?since=1d")
        for each in json.loads(incidents.partition("\n")[2])["incidents"]:
            await get(f"/incidents/{each['id']}")
            await get(f"/api/v1/incidents/{each['id']}")
        for number in sorted(numbers):
            await get(f"/failures/{number}")
            await get(f"/api/v1/failures/{number}")
    return texts


async def served(file: Path, log: io.StringIO) -> list[str]:
    """Run every probe a few times; return what the daemon shows, and its log."""
    configuration = load(file)
    daemon = Daemon(configuration, os.environ, structlog.get_logger("prober"))
    await daemon.start()
    assert daemon.listening is not None
    try:
        texts: list[str] = []
        for tenant in configuration.tenants:
            for probe in (each.name for each in tenant.probes):
                for _ in range(ROUNDS):
                    daemon._runner.on_due(tenant.name, probe, asyncio.get_running_loop().time())
                    await runs_ended(daemon)
                result = await daemon._runner.run_once(tenant.name, probe)
                texts += [json.dumps(result_document(result)), repr(result), str(result)]
        texts += await shown_by(daemon.listening.url)
    finally:
        await daemon.stop()
    return [*texts, log.getvalue()]


def stored(directory: Path) -> Iterator[str]:
    """Yield every cell of every database, and every file as it is."""
    for file in sorted(directory.rglob("*")):
        if file.is_file():
            yield file.read_bytes().decode("utf-8", "replace")
    for file in sorted(directory.glob("*.sqlite3")):
        with closing(sqlite3.connect(file)) as connection:
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            for (table,) in names.fetchall():
                for row in connection.execute(f"SELECT * FROM {table}"):  # noqa: S608
                    for cell in row:
                        yield inflated(cell) if isinstance(cell, bytes) else str(cell)


def printed(file: Path) -> Iterator[str]:
    """Yield what all commands print of these tenants."""
    config = ["--config", str(file)]
    commands = [["validate", str(file)], ["tokens", *config], ["tokens", "--json", *config]]
    for tenant in TENANTS:
        commands += [["discover", tenant, "--max-datasets", "1", *config]]
        commands += [["probe", tenant, *config, *more] for more in ([], ["--json"])]
        commands += [
            ["report", tenant, "--since", "1d", "--format", form, *config]
            for form in ("md", "html", "json")
        ]
    for command in commands:
        done = CliRunner().invoke(main, command)
        assert done.exit_code in {0, 1, 10, 11, 12, 13}, (command, done.output, done.exception)
        yield done.output


@pytest.mark.parametrize("seed", range(3))
async def test_no_secret_gets_out_by_any_way(
    tmp_path: Path, log: io.StringIO, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = Random(seed)  # noqa: S311 -- a test's
    secrets = [a_secret(chance) for _ in range(4)]
    secrets += [a_secret(chance, "-._~"), a_secret(chance)]
    monkeypatch.setenv("OWN_SIGNATURE", secrets[3])
    monkeypatch.setattr("prober.cli.session.SECONDS_BETWEEN_REQUESTS", 0.0)
    issued, token, header, signature, password, client = secrets
    own = (header, signature)
    known = {
        "/connect/token": (client, issued),
        "/oauth/": (issued, client, *own),
        "platform.invalid": (token, password, f"me:{password}", *own),
        "/plain/": (token, *own),
    }
    server = EchoingServer(chance, known)
    async with server.serving() as port:
        file = written(tmp_path, port, secrets)
        texts = await served(file, log)
        texts += await asyncio.to_thread(lambda: list(printed(file)))
    texts += stored(tmp_path / "state")
    assert server.requests > 25
    assert sum("[redacted]" in text for text in texts) > 40
    assert found_in(texts, secrets) is None


def test_the_search_finds_secrets_in_all_encodings() -> None:
    chance = Random(1)  # noqa: S311 -- a test's
    secrets = [a_secret(chance) for _ in range(3)]
    server = EchoingServer(chance, {})
    server._secrets = secrets
    echoes = [server._echo() for _ in range(200)]
    assert sum(found_in([f"before {each} after"], secrets) is not None for each in echoes) > 180
    assert found_in([f"x {secrets[0][3:20]} y"], secrets)
    assert found_in(["nothing to see"], secrets) is None
