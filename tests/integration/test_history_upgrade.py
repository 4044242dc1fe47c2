"""A daemon that finds the history of an earlier prober remembers it from the first moment."""

from pathlib import Path

import structlog

from prober.memory import Memory
from prober.settings.load import load
from tests.unit.history.test_schema import write_the_first_version
from tests.unit.recorders.results import some_metrics
from tests.unit.timeline.runs import NOW

SETTINGS = """
state: {directory: .}
history: {retention: 9000d}
tenants: [{name: acme, organisation: acme, tenant: prod, token: {env: A}, probes: [datasets]}]
"""


async def test_the_past_is_remembered_at_once(tmp_path: Path) -> None:
    (tmp_path / "prober.yaml").write_text(SETTINGS)
    write_the_first_version(tmp_path)
    memory = Memory(load(tmp_path / "prober.yaml"), some_metrics(), structlog.get_logger())
    assert memory.archive is not None
    assert memory.archive.spells(NOW, NOW) == ()
    await memory.start()
    try:
        assert len(memory.archive.spells(NOW, NOW)) == 1
    finally:
        await memory.close()
