"""The daemon runs on uvloop: what depends on the loop holds there as well."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from tests.integration.web import test_auth as test_access
from tests.integration.web import test_connections as test_doors
from tests.integration.web.connections import TLS


@pytest.mark.parametrize(
    "holds",
    [
        test_access.test_tls_is_spoken_and_plain_http_is_not_answered,
        test_access.test_a_client_certificate_is_demanded,
        test_access.test_a_client_certificate_must_bear_an_allowed_name,
        test_access.test_a_renewed_certificate_and_a_new_user_are_picked_up,
        lambda path: test_doors.test_a_head_that_does_not_come_is_not_waited_for(path, b"GET"),
        lambda path: test_doors.test_a_handshake_that_does_not_come_is_not_waited_for(path, b""),
        lambda path: test_doors.test_no_more_are_connected_than_allowed(path, TLS),
        lambda path: test_doors.test_who_reads_no_answer_is_let_go(path, TLS),
    ],
)
def test_it_holds_on_uvloop(holds: Callable[[Path], Awaitable[None]], tmp_path: Path) -> None:
    async def main() -> None:
        await holds(tmp_path)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
