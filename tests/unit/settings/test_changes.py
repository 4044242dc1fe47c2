from dataclasses import replace
from pathlib import Path

import pytest

from prober.settings.changes import adopted, changes
from prober.settings.load import load
from prober.settings.resolve import Configuration
from tests.builders import a_probe, a_tenant

ACME, BETA = a_tenant(name="acme"), a_tenant(name="beta")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    file = tmp_path_factory.mktemp("settings") / "prober.yaml"
    file.write_text("tenants: [{name: acme, domain: acme, token: {env: TOKEN}}]")
    return replace(load(file), tenants=(ACME, BETA))


def test_nothing_changed_is_told_as_such(before: Configuration) -> None:
    told = changes(before, replace(before, hash="another"))
    assert (told.added, told.removed, told.changed, told.unchanged) == ((), (), (), 2)
    assert told.needs_restart == ()


def test_tenants_come_go_and_change_by_name(before: Configuration) -> None:
    other_beta = replace(BETA, probes=(a_probe(interval_seconds=30.0),))
    gamma = a_tenant(name="gamma")
    told = changes(before, replace(before, tenants=(gamma, other_beta)))
    assert (told.added, told.removed, told.changed) == (("gamma",), ("acme",), ("beta",))
    assert told.unchanged == 0


def test_the_order_of_tenants_is_no_change(before: Configuration) -> None:
    assert changes(before, replace(before, tenants=(BETA, ACME))).changed == ()


@pytest.mark.parametrize(
    ("part", "change", "key"),
    [
        ("web", {"port": 1}, "web.listen"),
        ("web", {"host": "::1"}, "web.listen"),
        ("web", {"histograms": "off"}, "web.histograms"),
        ("web", {"ad_hoc_runs": True}, "web.ad_hoc_runs"),
        ("web", {"hosts": ("prober.example",)}, "web.hosts"),
        ("log", {"level": "debug"}, "log"),
        ("history", {"enabled": False}, "history.enabled"),
        ("", {"state_directory": Path("/elsewhere")}, "state.directory"),
    ],
)
def test_what_needs_a_restart_is_named_and_stays(
    before: Configuration, part: str, change: dict[str, object], key: str
) -> None:
    after = (
        replace(before, **{part: replace(getattr(before, part), **change)})
        if part
        else replace(before, **change)  # type: ignore[arg-type]
    )
    assert changes(before, after).needs_restart == (key,)
    assert adopted(before, after) == before


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("web", {"max_series": 7}),
        ("schedule", {"concurrency": 7}),
        ("measurement", {"max_loop_lag_seconds": 0.7}),
        ("tokens", {"canary_first_seconds": 7.0}),
        ("history", {"retention_seconds": 7e5}),
    ],
)
def test_all_else_is_in_force_at_once(
    before: Configuration, part: str, change: dict[str, object]
) -> None:
    after = replace(before, **{part: replace(getattr(before, part), **change)})
    assert changes(before, after).needs_restart == ()
    assert adopted(before, after) == after
