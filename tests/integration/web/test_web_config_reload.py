"""What a change of web.yml, or of a file that it names, may do and may not."""

import asyncio
import threading
import time
from pathlib import Path

import pytest
import structlog
from structlog.testing import CapturingLogger

from prober.config.web_config import read_web_config
from prober.web.auth import AccessPolicy
from prober.web.tls import WebConfigReloader
from tests.integration.web.connections import TLS, USERS, write_files


class Log:
    """What was logged."""

    def __init__(self) -> None:
        self.captured = CapturingLogger()
        self.logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
            self.captured, processors=[], wrapper_class=structlog.make_filtering_bound_logger(0)
        )

    @property
    def events(self) -> list[str]:
        return [call.kwargs["event"] for call in self.captured.calls]

    async def wait_for(self, number: int) -> None:
        deadline = time.monotonic() + 60
        while len(self.captured.calls) < number:
            assert time.monotonic() < deadline, self.captured.calls
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("web.yml", "basic_auth_users: {alice: plain}", "write a bcrypt hash"),
        ("web.yml", "", "removes TLS"),
        ("web.yml", TLS, "removes users and client certificates"),
        ("server.key", "", "contains no private key"),
        ("server.crt", None, "cannot be read"),
    ],
)
async def test_a_change_that_cannot_be_used_changes_nothing_and_is_told_once(
    tmp_path: Path, file: str, content: str | None, said: str
) -> None:
    web_yml, log = write_files(tmp_path, TLS + USERS), Log()
    web_config = WebConfigReloader(
        read_web_config(web_yml).access, lambda: read_web_config(web_yml).access, log.logger, 0.05
    )
    before = (web_config.access, web_config.context)
    good = (tmp_path / file).read_bytes()
    web_config.start()
    try:
        if content is None:
            (tmp_path / file).unlink()
        else:
            (tmp_path / file).write_text(content)
        await log.wait_for(1)
        assert log.events == ["web_config.reload_rejected"]
        assert said in log.captured.calls[0].kwargs["message"]
        assert (web_config.access, web_config.context) == before
        (tmp_path / file).write_bytes(good)
        await log.wait_for(2)
        assert log.events == ["web_config.reload_rejected", "web_config.reloaded"]
    finally:
        await web_config.close()


STILL_SECONDS = 0.3


async def test_a_file_is_read_once_it_is_still(tmp_path: Path) -> None:
    file, read = tmp_path / "web.yml", threading.Event()
    file.write_text("")

    def reread() -> AccessPolicy:
        read.set()
        return AccessPolicy(files=(file,))

    web_config = WebConfigReloader(AccessPolicy(files=(file,)), reread, Log().logger, STILL_SECONDS)
    web_config.start()
    try:
        before, longest_pause = time.monotonic(), 0.0
        for number in range(40):
            now = time.monotonic()
            file.write_text("x" * number)
            longest_pause = max(longest_pause, time.monotonic() - before)
            before = now
            await asyncio.sleep(0.03)
            # Where the machine has paused the writing, the file was still.
            assert longest_pause > STILL_SECONDS / 2 or not read.is_set()
        assert await asyncio.to_thread(read.wait, 60)
    finally:
        await web_config.close()
