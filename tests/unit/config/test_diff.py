from dataclasses import replace
from pathlib import Path

import pytest

from prober.config.diff import config_diff, with_restart_only_settings
from prober.config.loader import load
from prober.config.resolve import Config
from tests.builders import a_probe, a_tenant

ACME, BETA = a_tenant(name="acme"), a_tenant(name="beta")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Config:
    file = tmp_path_factory.mktemp("settings") / "prober.yaml"
    file.write_text("tenants: [{name: acme, domain: acme, token: {env: TOKEN}}]")
    return replace(load(file), tenants=(ACME, BETA))


def test_nothing_changed_is_told_as_such(before: Config) -> None:
    told = config_diff(before, replace(before, hash="another"))
    assert (told.added, told.removed, told.changed, told.unchanged) == ((), (), (), 2)
    assert told.needs_restart == ()


def test_tenants_come_go_and_change_by_name(before: Config) -> None:
    other_beta = replace(BETA, probes=(a_probe(interval_seconds=30.0),))
    gamma = a_tenant(name="gamma")
    told = config_diff(before, replace(before, tenants=(gamma, other_beta)))
    assert (told.added, told.removed, told.changed) == (("gamma",), ("acme",), ("beta",))
    assert told.unchanged == 0


def test_the_order_of_tenants_is_no_change(before: Config) -> None:
    assert config_diff(before, replace(before, tenants=(BETA, ACME))).changed == ()


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
    before: Config, part: str, change: dict[str, object], key: str
) -> None:
    after = (
        replace(before, **{part: replace(getattr(before, part), **change)})
        if part
        else replace(before, **change)  # type: ignore[arg-type]
    )
    assert config_diff(before, after).needs_restart == (key,)
    assert with_restart_only_settings(before, after) == before


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
def test_all_else_is_in_force_at_once(before: Config, part: str, change: dict[str, object]) -> None:
    after = replace(before, **{part: replace(getattr(before, part), **change)})
    assert config_diff(before, after).needs_restart == ()
    assert with_restart_only_settings(before, after) == after
