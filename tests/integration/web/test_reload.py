from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from prober.errors import ConfigProblem
from tests.integration.web.app_factory import Installation, served

PROBLEM = ConfigProblem("prober.yaml", 3, "tenants", "name at least one")


def responding(*problems: ConfigProblem) -> Callable[[], Awaitable[tuple[ConfigProblem, ...]]]:
    async def reload() -> tuple[ConfigProblem, ...]:
        return problems

    return reload


@pytest.mark.parametrize(
    ("problems", "headers", "status", "text"),
    [
        ((), {}, 200, "reloaded"),
        ((PROBLEM,), {}, 400, "prober.yaml:3: tenants: name at least one"),
        ((), {"Sec-Fetch-Site": "cross-site"}, 403, "cross-site"),
        ((), {"Origin": "http://evil.example"}, 403, "cross-site"),
        ((), {"Host": "evil.example"}, 403, "web.allowed_hosts"),
    ],
)
async def test_it_is_asked_by_post_from_our_own_side(
    tmp_path: Path,
    problems: tuple[ConfigProblem, ...],
    headers: dict[str, str],
    status: int,
    text: str,
) -> None:
    site = replace(Installation(tmp_path).site(), reload=responding(*problems))
    async with served(site) as client, client.post("/-/reload", headers=headers) as response:
        assert response.status == status
        assert text in await response.text()


async def test_it_is_off_unless_enabled(tmp_path: Path) -> None:
    async with served(Installation(tmp_path).site()) as client:
        async with client.post("/-/reload") as response:
            assert response.status == 403
            assert "web.enable_reload" in await response.text()
        async with client.get("/-/reload") as response:
            assert response.status == 405
