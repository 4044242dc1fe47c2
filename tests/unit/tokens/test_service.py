"""The token service beside a state directory that cannot be used at first."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import structlog

from prober.config.loader import load
from prober.metrics.sink import PrometheusSink
from prober.models import Latency, TokenRef, Verdict
from prober.outcomes import CLASSIFICATION, Reason, Responder, TokenState
from prober.sinks import EventSink
from prober.state_directory import StateDirectory, read_address
from prober.tokens import service
from prober.tokens.service import TokenService
from prober.tokens.state_machine import TokenRecord
from prober.tokens.store import TokenStore
from prober.version import Build

CONFIGURATION = """\
state: {directory: state}
tenants:
  - {name: acme, base_url: "http://127.0.0.1:1/x", token: {env: ACME}, probes: [datasets]}
  - {name: beta, base_url: "http://127.0.0.1:1/y", token: {env: BETA}, probes: [datasets]}
"""
URL = "http://127.0.0.1:9824"
LIMIT_SECONDS = 120


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Running:
    """A service, and the metrics that it writes."""

    def __init__(self, directory: Path) -> None:
        file = directory / "prober.yaml"
        file.write_text(CONFIGURATION)
        self.configuration = configuration = load(file)
        self.metrics = PrometheusSink(
            configuration.tenants,
            histograms="off",
            max_loop_lag_seconds=0.05,
            started_at=time.time(),
            build=Build("0"),
        )
        self.service = TokenService(
            configuration,
            {"ACME": "a-token", "BETA": "b-token"},
            None,  # type: ignore[arg-type]  # nothing is sent
            self.metrics,
            structlog.get_logger(),
            EventSink(),
        )

    @property
    def is_writable(self) -> bool:
        return self.metrics.self_health().state_is_writable

    def fingerprint(self, tenant: str) -> str | None:
        return self.service.manager.statuses[tenant].fingerprint


@pytest.fixture
async def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    monkeypatch.setattr(service, "_REOPEN_INITIAL_SECONDS", 0.01)
    monkeypatch.setattr(service, "_SAVE_PAUSE_SECONDS", 0.01)
    (tmp_path / "state").write_text("no directory")
    one = Running(tmp_path)
    await one.service.start(URL)
    yield one
    await one.service.close()


async def test_a_new_directory_takes_up_what_is_known_by_then(
    running: Running, tmp_path: Path
) -> None:
    assert not running.is_writable
    assert b"prober_state_writable 0.0" in running.metrics.render(openmetrics=False)
    loaded_at = running.service.manager.statuses["acme"].loaded_at
    (tmp_path / "state").unlink()
    await eventually(lambda: running.is_writable)
    assert read_address(tmp_path / "state") == URL
    assert running.service.manager.statuses["acme"].loaded_at == loaded_at
    await eventually(lambda: saved(tmp_path).keys() == {"acme", "beta"})
    assert saved(tmp_path)["acme"].fingerprint == running.fingerprint("acme")


async def test_an_old_directory_gives_back_the_lives_of_tokens(
    running: Running, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    before = Running(tmp_path)
    before.service._directory_path = other
    await before.service.start(URL)
    fingerprint = before.fingerprint("acme")
    assert fingerprint is not None
    await before.service.close()
    store = TokenStore.open(other, lambda *_: None)
    known = TokenRecord(TokenState.VALID, fingerprint, first_accepted_at=1.0, rotations=3)
    store.save({"acme": known, "beta": TokenRecord(TokenState.VALID, "0ther", rotations=1)})
    store.close()

    (tmp_path / "state").unlink()
    other.rename(tmp_path / "state")
    await eventually(lambda: running.is_writable)
    acme, beta = (running.service.manager.statuses[each] for each in ("acme", "beta"))
    assert (acme.state, acme.fingerprint, acme.first_accepted_at) == ("valid", fingerprint, 1.0)
    assert (beta.state, beta.rotations) == ("unverified", 2)  # another token than was saved


async def test_a_directory_that_another_prober_has_is_tried_again(
    running: Running, tmp_path: Path
) -> None:
    (tmp_path / "state").unlink()
    other = StateDirectory.acquire(tmp_path / "state")
    await asyncio.sleep(0.1)
    assert not running.is_writable
    other.close()
    await eventually(lambda: running.is_writable)


async def test_a_rejection_after_a_pause_is_saved_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_SAVE_PAUSE_SECONDS", 10 * LIMIT_SECONDS)
    one = Running(tmp_path)
    await one.service.start(URL)
    tenant = one.configuration.tenants[0]
    fingerprint = one.fingerprint(tenant.name)
    assert fingerprint is not None
    reason = Reason.TOKEN_REJECTED
    row = CLASSIFICATION[reason]
    verdict = Verdict(row.outcome, reason, row.culprit, Responder.PLATFORM, "", "", Latency(0.5))
    token = TokenRef(fingerprint, tenant.token)
    one.service.manager.observe(tenant, "datasets", token, verdict, 401, time.time())
    await eventually(lambda: saved(tmp_path)[tenant.name].state is TokenState.REJECTED)
    await one.service.close()


def saved(directory: Path) -> dict[str, TokenRecord]:
    store = TokenStore.read(directory / "state")
    if store is None:
        return {}
    records = store.records()
    store.close()
    return records
