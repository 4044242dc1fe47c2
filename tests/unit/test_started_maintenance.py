"""Maintenance that somebody started holds beside the windows of the configuration."""

from datetime import datetime

import pytest

from prober.config.sections import SchedulerSettings
from prober.history.annotations import StartedMaintenance
from prober.maintenance import MaintenanceWindow
from tests.builders import a_tenant
from tests.integration.test_fair_shares import Installation

BEGAN = 1_763_942_400.0  # 2025-11-24T00:00:00Z
WINDOW = MaintenanceWindow(1800.0, start=datetime(2025, 11, 24, 0, 30))  # noqa: DTZ001 -- wall clock


@pytest.mark.parametrize(
    ("offset", "ends_after"),
    [(-1, None), (0, 3600), (1800, 3600), (3599, 3600), (3600, None)],
)
def test_it_begins_and_ends(offset: float, ends_after: float | None) -> None:
    runs = Installation([a_tenant(name="acme")]).runs
    runs.start_maintenance(StartedMaintenance("acme", BEGAN, BEGAN + 3600, "alice"))
    ends_at = None if ends_after is None else BEGAN + ends_after
    assert runs.maintenance("acme", BEGAN + offset).ends_at == ends_at


@pytest.mark.parametrize(
    ("minutes", "offset", "ends_after"),
    [
        (15, 60, 900),  # only started
        (15, 2000, 3600),  # only the window
        (40, 2000, 3600),  # both: the later end
        (90, 2000, 5400),
        (0, 60, None),  # ended by hand
    ],
)
def test_the_later_end_counts(minutes: float, offset: float, ends_after: float | None) -> None:
    runs = Installation([a_tenant(name="acme", maintenance=(WINDOW,))]).runs
    runs.start_maintenance(StartedMaintenance("acme", BEGAN, BEGAN + minutes * 60, "alice"))
    ends_at = None if ends_after is None else BEGAN + ends_after
    assert runs.maintenance("acme", BEGAN + offset).ends_at == ends_at


def test_a_reload_leaves_it() -> None:
    tenant = a_tenant(name="acme")
    installation = Installation([tenant])
    installation.runs.start_maintenance(StartedMaintenance("acme", BEGAN, BEGAN + 60, "alice"))
    installation.runs.apply([tenant], SchedulerSettings())
    assert installation.runs.maintenance("acme", BEGAN + 1).is_active
