"""Sources that are not polled: a changed file is read because its change was notified."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from prober.models import OAuthClient, TokenSource, TokenSourceKind
from prober.tokens.sources import SourceReading, SourceWatcher
from tests.unit.test_file_changes import kubernetes_volume, replace, rewrite, swap_volume

_NEVER_SECONDS = 3600.0
PATIENCE_SECONDS = 60.0


class Recorder:
    """Records the readings that a watcher reports."""

    def __init__(self) -> None:
        self.secrets: list[tuple[str, str | None]] = []

    def on_change(self, tenant: str, reading: SourceReading) -> None:
        secret = reading.secret
        self.secrets.append((tenant, None if secret is None else secret.get_secret_value()))

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():  # noqa: ASYNC110 -- of any kind
                await asyncio.sleep(0.01)


@asynccontextmanager
async def watching(**sources: TokenSource) -> AsyncIterator[Recorder]:
    """Watch sources; polling takes an hour, so that only notified changes are read."""
    recorder = Recorder()
    watcher = SourceWatcher({}, time.time, recorder.on_change)
    for tenant, source in sources.items():
        watcher.add(tenant, source)
    await watcher.load()
    polling = asyncio.create_task(watcher.poll_all(_NEVER_SECONDS))
    try:
        await recorder.until(lambda: watcher._file_changes._watches)
        recorder.secrets.clear()
        yield recorder
    finally:
        polling.cancel()
        await asyncio.gather(polling, return_exceptions=True)
        watcher.close()


def of_file(path: Path) -> TokenSource:
    return TokenSource(TokenSourceKind.FILE, str(path))


@pytest.mark.parametrize("act", [rewrite, replace])
async def test_a_new_token_in_a_file_is_read_at_once(
    tmp_path: Path, act: Callable[[Path], None]
) -> None:
    path = tmp_path / "acme"
    path.write_text("old")
    async with watching(acme=of_file(path)) as recorder:
        act(path)
        await recorder.until(lambda: recorder.secrets)
        assert recorder.secrets == [("acme", "new")]


async def test_a_swapped_volume_is_read_for_every_tenant_in_it(tmp_path: Path) -> None:
    path = kubernetes_volume(tmp_path / "secret")
    async with watching(acme=of_file(path), beta=of_file(path)) as recorder:
        swap_volume(tmp_path / "secret", 2)
        await recorder.until(lambda: len(recorder.secrets) == 2)
        assert sorted(recorder.secrets) == [("acme", "b"), ("beta", "b")]


async def test_a_token_in_a_directory_that_comes_later_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tokens" / "acme"
    async with watching(acme=of_file(path)) as recorder:
        path.parent.mkdir()
        path.write_text("new")
        await recorder.until(lambda: ("acme", "new") in recorder.secrets)


async def test_the_secret_of_an_oauth_client_is_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    client = OAuthClient("id", of_file(path))
    source = TokenSource(TokenSourceKind.OAUTH, "https://identity.example/token", client=client)
    async with watching(acme=source) as recorder:
        path.write_text("new")
        await recorder.until(lambda: recorder.secrets == [("acme", "new")])
