from dataclasses import replace
from pathlib import Path
from typing import Any

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


def changed(config: Config, part: str, change: dict[str, Any]) -> Config:
    """Return a configuration with other values of a section, or of its own for the part ''."""
    if not part:
        return replace(config, **change)
    return replace(config, **{part: getattr(config, part).model_copy(update=change)})


def test_nothing_changed_is_told_as_such(before: Config) -> None:
    reported = config_diff(before, replace(before, hash="another"))
    assert (reported.added, reported.removed, reported.changed, reported.unchanged) == (
        (),
        (),
        (),
        2,
    )
    assert reported.needs_restart == ()


def test_tenants_come_go_and_change_by_name(before: Config) -> None:
    other_beta = replace(BETA, probes=(a_probe(interval_seconds=30.0),))
    gamma = a_tenant(name="gamma")
    reported = config_diff(before, replace(before, tenants=(gamma, other_beta)))
    assert (reported.added, reported.removed, reported.changed) == (
        ("gamma",),
        ("acme",),
        ("beta",),
    )
    assert reported.unchanged == 0


def test_the_order_of_tenants_is_no_change(before: Config) -> None:
    assert config_diff(before, replace(before, tenants=(BETA, ACME))).changed == ()


@pytest.mark.parametrize(
    ("part", "change", "key"),
    [
        ("web", {"listen": "[::1]:1"}, "web.listen"),
        ("web", {"max_connections": 7}, "web.max_connections"),
        ("web", {"enable_run_now": True}, "web.enable_run_now"),
        ("web", {"enable_reload": True}, "web.enable_reload"),
        ("web", {"allowed_hosts": ("prober.example",)}, "web.allowed_hosts"),
        ("metrics", {"histograms": "off"}, "metrics.histograms"),
        ("log", {"level": "debug"}, "log"),
        ("history", {"enabled": False}, "history.enabled"),
        ("", {"state_directory": Path("/elsewhere")}, "state.directory"),
        ("", {"web_config_file": Path("/elsewhere/web.yml")}, "web.config_file"),
    ],
)
def test_what_needs_a_restart_is_named_and_stays(
    before: Config, part: str, change: dict[str, Any], key: str
) -> None:
    after = changed(before, part, change)
    assert config_diff(before, after).needs_restart == (key,)
    assert with_restart_only_settings(before, after) == before


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("metrics", {"max_series": 7}),
        ("scheduler", {"max_concurrent": 7}),
        ("measurement", {"max_loop_lag": 0.7}),
        ("tokens", {"retry_initial": 7.0}),
        ("history", {"retention": 7e5}),
        ("", {"shutdown_timeout_seconds": 7.0}),
    ],
)
def test_all_else_is_in_force_at_once(before: Config, part: str, change: dict[str, Any]) -> None:
    after = changed(before, part, change)
    assert config_diff(before, after).needs_restart == ()
    assert with_restart_only_settings(before, after) == after
