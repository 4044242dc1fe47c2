"""A daemon that finds the history of an earlier prober remembers it from the first moment."""

from pathlib import Path

import structlog

from prober.config.loader import load
from prober.status_service import StatusService
from tests.unit.history.test_schema import write_the_first_version
from tests.unit.metrics.factories import some_metrics
from tests.unit.stats.factories import NOW

SETTINGS = """
state: {directory: .}
history: {retention: 9000d}
tenants: [{name: acme, organisation: acme, tenant: prod, token: {env: A}, probes: [datasets]}]
"""


async def test_the_past_is_remembered_at_once(tmp_path: Path) -> None:
    (tmp_path / "prober.yaml").write_text(SETTINGS)
    write_the_first_version(tmp_path)
    memory = StatusService(load(tmp_path / "prober.yaml"), some_metrics(), structlog.get_logger())
    assert memory.history is not None
    assert memory.history.streaks(NOW, NOW) == ()
    await memory.start()
    try:
        assert len(memory.history.streaks(NOW, NOW)) == 1
    finally:
        await memory.close()
