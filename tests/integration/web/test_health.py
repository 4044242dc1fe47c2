"""Health and readiness: what they say of a daemon that runs, starts, stops, or is stuck."""

import pytest

from tests.integration.web.app_factory import Installation, served

STUCK = "no run has started or ended for 125 s although some were due"


@pytest.mark.parametrize(
    ("is_ready", "stuck_reason", "healthy", "ready"),
    [
        (True, None, (200, "healthy\n"), (200, "ready\n")),
        (False, None, (200, "healthy\n"), (503, "not ready: starting or stopping\n")),
        (True, STUCK, (503, f"unhealthy: {STUCK}\n"), (503, f"not ready: {STUCK}\n")),
    ],
    ids=["runs", "starts", "stuck"],
)
async def test_health_is_about_probing_and_not_about_listening(
    is_ready: bool, stuck_reason: str | None, healthy: tuple[int, str], ready: tuple[int, str]
) -> None:
    installation = Installation(None)
    installation.is_ready, installation.stuck_reason = is_ready, stuck_reason
    async with served(installation.site()) as client:
        for path, expected in (("/-/healthy", healthy), ("/-/ready", ready)):
            async with client.get(path) as response:
                assert (response.status, await response.text()) == expected
