import hashlib
import os
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from pydantic import BaseModel

from prober.config.loader import load
from prober.config.renamed_keys import RENAMED_KEYS, RENAMED_SECTIONS
from prober.config.schema import (
    ConfigFile,
    Consents,
    Defaults,
    Expectation,
    LatencyObjectives,
    MaintenanceEntry,
    ProbeOptions,
)
from prober.config.sections import (
    HistorySettings,
    LogSettings,
    MeasurementSettings,
    MetricsSettings,
    ReloadSettings,
    SchedulerSettings,
    StateSettings,
    TokenSettings,
    WebSettings,
)
from prober.config.yaml import MAX_FILE_BYTES
from prober.errors import ConfigProblem, SettingsError
from prober.maintenance import MaintenanceWindow
from prober.models import TokenSource, TokenSourceKind

ROOT = Path(__file__).parents[3]
BAD = ROOT / "tests" / "fixtures" / "settings" / "bad"
SPECIMENS = sorted(path.name for path in BAD.glob("*.yaml"))
SECTIONS = (
    WebSettings,
    MetricsSettings,
    SchedulerSettings,
    MeasurementSettings,
    TokenSettings,
    StateSettings,
    HistorySettings,
    ReloadSettings,
    LogSettings,
)
ONE_TENANT = """
tenants:
  - name: acme
    domain: acme
    token: {env: ACME_TOKEN}
"""


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("PROBER_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "prober.yaml"
    path.write_text(ONE_TENANT)
    return path


def problems_of(path: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        load(path)
    return str(caught.value)


@pytest.mark.parametrize("name", SPECIMENS)
def test_a_mistake_is_told_with_file_line_key_and_remedy(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(BAD)
    assert problems_of(Path(name)) == Path(name).with_suffix(".txt").read_text().rstrip("\n")


@pytest.mark.parametrize("name", SPECIMENS)
def test_no_error_text_tells_a_token(name: str) -> None:
    assert "3f9c0d1e-not-a-real-token" not in problems_of(BAD / name)


def test_every_text_has_its_specimen() -> None:
    assert sorted(path.with_suffix(".yaml").name for path in BAD.glob("*.txt")) == SPECIMENS


def test_problems_stand_in_the_order_of_the_file() -> None:
    with pytest.raises(SettingsError) as caught:
        load(BAD / "several-at-once.yaml")
    lines = [problem.line or 0 for problem in caught.value.problems]
    assert lines == sorted(lines)
    assert len(lines) > 5


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "prober.yaml"
    assert problems_of(missing) == f"{missing}: cannot be read: No such file or directory"


def test_a_file_of_more_than_4_mebibytes_is_not_read(tmp_path: Path) -> None:
    large = tmp_path / "prober.yaml"
    large.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    assert problems_of(large) == f"{large}: is larger than 4 MiB"


def test_a_file_of_exactly_4_mebibytes_is_read(file: Path) -> None:
    file.write_bytes(ONE_TENANT.encode().ljust(MAX_FILE_BYTES, b"#"))
    assert load(file).tenants[0].name == "acme"


def test_a_byte_order_mark_is_no_mistake(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + ONE_TENANT.encode())
    assert load(file).tenants[0].name == "acme"


@pytest.mark.parametrize("name", ["prober.yaml", "prober.example.yaml"])
def test_the_files_we_ship_are_good(name: str) -> None:
    configuration = load(ROOT / "config" / name)
    assert configuration.warnings == ()
    assert all(tenant.probes for tenant in configuration.tenants)


def test_the_example_shows_the_defaults(file: Path) -> None:
    plain, example = load(file), load(ROOT / "config" / "prober.example.yaml")
    parts = ("web", "metrics", "scheduler", "shutdown_timeout_seconds", "measurement", "log")
    for part in (*parts, "history", "reload", "tokens"):
        assert getattr(plain, part) == getattr(example, part)
    like_default = example.tenants[2]
    assert plain.tenants[0].probes[0] == like_default.probes[0]
    assert plain.tenants[0].concurrency == like_default.concurrency


@pytest.mark.parametrize(
    "model",
    [ConfigFile, *SECTIONS, Defaults, Expectation, Consents, MaintenanceEntry],
    ids=lambda model: model.__name__,
)
def test_the_example_shows_every_key(model: type[BaseModel]) -> None:
    written = (ROOT / "config" / "prober.example.yaml").read_text()
    assert [key for key in model.model_fields if not re.search(rf"\b{key}:", written)] == []


def test_a_small_file_is_filled_with_defaults(file: Path) -> None:
    configuration = load(file)
    assert configuration.web == WebSettings()
    assert (configuration.web.host, configuration.web.port) == ("127.0.0.1", 9824)
    assert not configuration.web.enable_run_now
    assert not configuration.web.enable_reload
    assert configuration.web.allowed_hosts == ()
    assert configuration.metrics.max_series == 200_000
    assert configuration.metrics.histograms == "probe"
    assert configuration.scheduler.max_concurrent == 200
    assert configuration.scheduler.max_start_delay_seconds == 5.0
    assert configuration.shutdown_timeout_seconds == 15.0
    assert configuration.measurement.max_loop_lag_seconds == 0.05
    assert configuration.tokens.retry_initial_seconds == 60.0
    assert configuration.tokens.retry_max_seconds == 900.0
    assert configuration.history.retention_seconds == 30 * 86_400
    assert configuration.history.max_bytes == 512 * 1024 * 1024
    assert (configuration.log.level, configuration.log.format) == ("info", "auto")
    assert configuration.source == file
    assert configuration.tenants[0].token == TokenSource(TokenSourceKind.ENVIRONMENT, "ACME_TOKEN")


def test_maintenance_of_all_and_of_one_tenant_are_both_its_own(file: Path) -> None:
    file.write_text(
        "maintenance: [{cron: 0 2 * * sun, duration: 2h, time_zone: Europe/Berlin}]\n"
        + ONE_TENANT
        + "    maintenance: [{start: 2026-12-01T22:00, until: 2026-12-02T02:00}]\n"
    )
    assert load(file).tenants[0].maintenance == (
        MaintenanceWindow(7200.0, "Europe/Berlin", cron="0 2 * * sun"),
        MaintenanceWindow(14_400.0, start=datetime(2026, 12, 1, 22)),  # noqa: DTZ001 -- a wall clock's
    )


def test_a_window_over_the_change_of_clocks_is_as_long_as_it_is(file: Path) -> None:
    file.write_text(
        ONE_TENANT + "    maintenance:\n      - {start: 2026-10-25T00:00, until: 2026-10-25T06:00,"
        " time_zone: Europe/Berlin}\n"
    )
    assert load(file).tenants[0].maintenance[0].duration_seconds == 7 * 3600


def test_a_key_without_value_counts_as_left_out(file: Path) -> None:
    before = load(file)
    file.write_text(
        "web:\nmetrics:\nshutdown_timeout:\nprobes:\nmaintenance:\ndefaults: {interval:, proxy: }\n"
        + ONE_TENANT
    )
    assert replace(load(file), hash=before.hash) == before


def test_a_section_without_value_is_no_problem_next_to_one_that_is_wrong(file: Path) -> None:
    file.write_text("web:\nlog: loud\n" + ONE_TENANT)
    assert problems_of(file) == f"{file}:2: log: must be a mapping: '{{key: value}}'"


def test_environment_variables_go_over_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('web: {listen: "127.0.0.1:1", max_connections: 7}\n' + ONE_TENANT)
    monkeypatch.setenv("PROBER_WEB__LISTEN", "[::1]:9000")
    monkeypatch.setenv("prober_log__level", "debug")
    monkeypatch.setenv("PROBER_SCHEDULER__MAX_CONCURRENT", "5")
    monkeypatch.setenv("PROBER_SHUTDOWN_TIMEOUT", "1s")
    monkeypatch.setenv("PROBER_MEASUREMENT__MAX_LOOP_LAG", "20ms")
    monkeypatch.setenv("PROBER_DEFAULTS__OBJECTIVES__SERVER_LATENCY", "1s")
    configuration = load(file)
    assert (configuration.web.host, configuration.web.port) == ("::1", 9000)
    assert configuration.web.max_connections == 7
    assert configuration.shutdown_timeout_seconds == 1.0
    assert configuration.log.level == "debug"
    assert configuration.scheduler.max_concurrent == 5
    assert configuration.measurement.max_loop_lag_seconds == 0.02
    assert configuration.tenants[0].probes[0].server_objective_seconds == 1.0


def test_tenants_and_probes_come_from_the_file_alone(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROBER_TENANTS", "[]")
    assert len(load(file).tenants) == 1


@pytest.mark.parametrize(
    ("variables", "read", "expected"),
    [
        ({"PROBER_WEB__ALLOWED_HOSTS": '["a", "b"]'}, "web.allowed_hosts", ("a", "b")),
        ({"PROBER_WEB__ALLOWED_HOSTS": "[a, b]"}, "web.allowed_hosts", ("a", "b")),
        ({"PROBER_WEB__ALLOWED_HOSTS": "[]"}, "web.allowed_hosts", ()),
        ({"PROBER_WEB": "{allowed_hosts: [a]}"}, "web.allowed_hosts", ("a",)),
        ({"PROBER_WEB": '{"max_connections": 9}'}, "web.max_connections", 9),
        ({"PROBER_WEB": '{"max_connections": 9}'}, "web.enable_run_now", False),
        (
            {"PROBER_WEB": '{"max_connections": 9}', "PROBER_WEB__MAX_CONNECTIONS": "8"},
            "web.max_connections",
            8,
        ),
        ({"PROBER_LOG": "{level: debug}"}, "log.level", "debug"),
    ],
)
def test_lists_and_mappings_of_variables_are_json_or_yaml(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    read: str,
    expected: object,
) -> None:
    file.write_text("web: {max_connections: 7, allowed_hosts: [x]}\n" + ONE_TENANT)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    section, key = read.split(".")
    assert getattr(getattr(load(file), section), key) == expected


def test_a_mapping_below_the_first_level_is_merged(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("defaults: {interval: 10s, objectives: {availability: 0.9}}\n" + ONE_TENANT)
    monkeypatch.setenv("PROBER_DEFAULTS__OBJECTIVES", '{"server_latency": "2s"}')
    (tenant,) = load(file).tenants
    assert tenant.availability_objective_ratio == 0.9
    assert tenant.probes[0].server_objective_seconds == 2.0


@pytest.mark.parametrize("value", ['["a"', "[a: b: c]", "{a"])
def test_a_variable_that_is_no_json_says_so(
    file: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("PROBER_WEB__ALLOWED_HOSTS", value)
    assert problems_of(file).startswith(
        "PROBER_WEB__ALLOWED_HOSTS: web.allowed_hosts: is neither JSON nor YAML"
    )


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("PROBER_WEB_LISTEN", "did you mean 'PROBER_WEB__LISTEN'?"),
        ("PROBER_WBE__LISTEN", "did you mean 'PROBER_WEB__LISTEN'?"),
        ("prober_log_level", "did you mean 'PROBER_LOG__LEVEL'?"),
        ("PROBER_LISTEN", "did you mean 'PROBER_WEB__LISTEN'?"),
        ("PROBER_TENANTS", "write 'tenants' in the configuration file"),
        ("PROBER_", "variables are written like PROBER_WEB__LISTEN"),
        ("PROBER_PORT_9824_TCP_ADDR", "variables are written like PROBER_WEB__LISTEN"),
    ],
)
def test_a_variable_without_effect_is_warned_of(
    file: Path, monkeypatch: pytest.MonkeyPatch, variable: str, message: str
) -> None:
    file.write_text("defaults: {interval: 10s}\n" + ONE_TENANT)
    monkeypatch.setenv(variable, "1")
    (warning,) = load(file).warnings
    assert str(warning).startswith(f"{variable}: ")
    assert str(warning).endswith(message)


DURATION = "write a duration such as '500ms', '30s', '2m', '1h30m' or '14d'"
LISTEN = "write ADDRESS:PORT, such as 127.0.0.1:9824 or [::1]:9824, or :9824 for every address"


@pytest.mark.parametrize(
    ("variable", "value", "reported"),
    [
        ("PROBER_WEB__LISTEN", "nowhere", f"PROBER_WEB__LISTEN: web.listen: {LISTEN}"),
        ("prober_web__listen", "nowhere", f"prober_web__listen: web.listen: {LISTEN}"),
        (
            "PROBER_WEB__LISTN",
            "127.0.0.1:1",
            "PROBER_WEB__LISTN: web.listn: unknown key; did you mean 'listen'?",
        ),
        ("PROBER_WEB", "nowhere", "PROBER_WEB: web: must be a mapping: '{key: value}'"),
        ("PROBER_WEB", '{"listen": "nowhere"}', f"PROBER_WEB: web.listen: {LISTEN}"),
        (
            "PROBER_DEFAULTS__INTERVAL",
            "100ms",
            "PROBER_DEFAULTS__INTERVAL: defaults.interval: is 0.1s: write at least 1s",
        ),
        (
            "PROBER_SHUTDOWN_TIMEOUT",
            "15",
            "PROBER_SHUTDOWN_TIMEOUT: shutdown_timeout: a duration needs a unit: write '15s'",
        ),
        (
            "PROBER_SHUTDOWN_TIMEOUT__SECONDS",
            "15",
            f"PROBER_SHUTDOWN_TIMEOUT__SECONDS: shutdown_timeout: {DURATION}",
        ),
        (
            "PROBER_LOG__LEVEL__ROOT",
            "debug",
            "PROBER_LOG__LEVEL__ROOT: log.level: write 'debug', 'info', 'warning' or 'error'",
        ),
    ],
)
def test_a_wrong_variable_is_named_in_place_of_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, reported: str
) -> None:
    file.write_text('web: {listen: "127.0.0.1:1"}\n' + ONE_TENANT)
    monkeypatch.setenv(variable, value)
    assert reported in problems_of(file).splitlines()


RENAMED_VARIABLES = [
    (f"PROBER_{section}__{old}".upper(), f"{section}.{old}", new)
    for section, keys in (
        ("web", RENAMED_KEYS[WebSettings]),
        ("tokens", RENAMED_KEYS[TokenSettings]),
        ("defaults", RENAMED_KEYS[ProbeOptions]),
        ("defaults__objectives", RENAMED_KEYS[LatencyObjectives]),
        ("schedule", RENAMED_SECTIONS["schedule"]),
    )
    for old, new in keys.items()
]


@pytest.mark.parametrize(("variable", "key", "new"), RENAMED_VARIABLES)
def test_a_variable_of_an_old_key_gets_an_error_with_the_new_name(
    file: Path, monkeypatch: pytest.MonkeyPatch, variable: str, key: str, new: str
) -> None:
    monkeypatch.setenv(variable, "1")
    key = key.replace("__", ".")
    assert problems_of(file) == f"{variable}: {key}: was renamed: write {new}"


def test_the_specimen_has_every_old_key() -> None:
    written = (BAD / "renamed-keys.yaml").read_text()
    sections = [*RENAMED_KEYS.values(), *RENAMED_SECTIONS.values()]
    old = [key for keys in sections for key in keys]
    assert [key for key in old if not re.search(rf"\b{key}:", written)] == []


def test_the_hash_is_that_of_the_content_not_of_its_writing(tmp_path: Path) -> None:
    plain, other = tmp_path / "a.yaml", tmp_path / "b.yaml"
    plain.write_text("log: {level: debug, format: json}\n" + ONE_TENANT)
    other.write_text("# a comment\n" + ONE_TENANT + "log:\n  format: 'json'\n  level: debug\n")
    assert load(plain).hash == load(other).hash
    assert len(load(plain).hash) == len(hashlib.sha256().hexdigest()[:16])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ACME_TOKEN", "OTHER_TOKEN"),
        ("name: acme", "name: beta"),
        ("domain: acme", "domain: acme\n    labels: {team: ops}"),
        ("\ntenants", "\nlog: {level: debug}\ntenants"),
    ],
)
def test_the_hash_changes_with_the_content(file: Path, old: str, new: str) -> None:
    before = load(file).hash
    file.write_text(ONE_TENANT.replace(old, new))
    assert load(file).hash != before


def test_the_hash_changes_with_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load(file).hash
    monkeypatch.setenv("PROBER_LOG__LEVEL", "debug")
    assert load(file).hash != before


def test_two_tenants_with_one_token_are_warned_of(file: Path) -> None:
    file.write_text(ONE_TENANT + "  - {name: beta, domain: beta, token: {env: ACME_TOKEN}}\n")
    reported = (
        "is also the token of tenant 'acme': when it is rejected or replaced, both are affected"
    )
    assert load(file).warnings == (ConfigProblem(str(file), 6, "tenants[1].token", reported),)


@pytest.mark.parametrize(
    ("address", "is_warned_of"),
    [
        ("https://cloud.uipath.com/acme/prod/reinfer_", False),
        ("https://staging.uipath.com/acme/prod/reinfer_", False),
        ("https://cloud.uipath.com", True),
        ("https://cloud.uipath.com/acme", True),
        ("https://cloud.uipath.com/acme/prod", True),
        ("https://cloud.uipath.com/acme/prod/orchestrator_", True),
        ("https://cloud.uipath.com/acme/prod/reinfer_/datasets", True),
        ("https://legacy.reinfer.io", False),
        ("https://uipath.com.proxy.example/a", False),
    ],
)
def test_an_address_of_the_cloud_without_a_tenant_is_warned_of(
    tmp_path: Path, address: str, is_warned_of: bool
) -> None:
    file = tmp_path / "prober.yaml"
    file.write_text(
        f"tenants: [{{name: a, base_url: '{address}', token: {{file: t}}, probes: [datasets]}}]"
    )
    (tmp_path / "t").write_text("a-token")
    (tmp_path / "t").chmod(0o600)
    warned = [
        each for each in load(file).warnings if "is not an address of a tenant" in each.message
    ]
    assert bool(warned) == is_warned_of


@pytest.mark.parametrize(
    ("base_url", "warned"),
    [
        ("http://lab.example/reinfer_", True),
        ("http://127.evil.example", True),
        ("http://localhost.evil.example:8080", True),
        ("http://192.0.2.1:8080", True),
        ("http://127.0.0.1:8080/acme/dev/reinfer_", False),
        ("http://127.1.2.3", False),
        ("http://localhost:8080", False),
        ("http://[::1]:8080/reinfer_", False),
        ("https://lab.example", False),
    ],
)
def test_a_token_in_clear_on_the_wire_is_warned_of(
    file: Path, base_url: str, *, warned: bool
) -> None:
    file.write_text(ONE_TENANT.replace("domain: acme", f"base_url: '{base_url}'"))
    keys = [problem.key for problem in load(file).warnings]
    assert keys == (["tenants[0].base_url"] if warned else [])


@pytest.mark.parametrize(
    ("base_url", "proxy", "no_proxy", "reported"),
    [
        ("http://127.0.0.1:1", "environment", "", "HTTP_PROXY, which can read the token: add"),
        ("http://lab.example", "environment", "", "HTTP_PROXY, which can read the token"),
        ("http://lab.example", "http://other:1", "*", "'proxy', which can read the token"),
        ("http://127.0.0.1:1", "environment", "127.0.0.0/8", ""),
        ("http://127.0.0.1:1", "none", "", ""),
        ("https://lab.example", "environment", "", ""),
    ],
)
def test_a_token_that_a_proxy_can_read_is_warned_of(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    base_url: str,
    proxy: str,
    no_proxy: str,
    reported: str,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    way = f"base_url: '{base_url}', proxy: '{proxy}'"
    file.write_text(f"tenants:\n  - {{name: acme, {way}, token: {{env: ACME_TOKEN}}}}\n")
    messages = [each.message for each in load(file).warnings if "proxy" in each.message]
    assert len(messages) == bool(reported)
    assert all(f"through the proxy of {reported}" in message for message in messages)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTPS_PROXY", "http://proxy:99999"),
        ("http_proxy", "http://[::1"),
        ("NO_PROXY", "10.0.0.0/33"),
    ],
)
def test_a_bad_proxy_of_the_environment_is_a_problem_of_its_variable(
    file: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert problems_of(file).startswith(f"{variable}: ")
    file.write_text("defaults: {proxy: none}\n" + ONE_TENANT)
    load(file)


@pytest.mark.parametrize(
    ("availability", "interval", "reported"),
    [
        ("0.995", "60s", None),
        ("0.9965", "60s", None),
        ("0.999", "60s", "set an objective of at most 99.6527%"),
        ("0.999", "10s", None),
        ("0.995", "5m", "set an objective of at most 98.2638%"),
    ],
)
def test_a_promise_that_the_rate_of_probes_cannot_carry_is_warned_of(
    file: Path, availability: str, interval: str, reported: str | None
) -> None:
    file.write_text(
        f"defaults: {{interval: {interval}, objectives: {{availability: {availability}}}}}\n"
        "tenants:\n"
        "  - {name: acme, domain: acme, token: {env: ACME_TOKEN}, probes: [datasets]}\n"
    )
    warnings = [str(problem) for problem in load(file).warnings]
    assert len(warnings) == (reported is not None)
    assert reported is None or reported in warnings[0]


@pytest.mark.parametrize("interval", ["3h", "4h48m", "5h", "1d", "30d"])
def test_an_objective_for_rare_probes_gets_no_useless_advice(file: Path, interval: str) -> None:
    file.write_text(f"defaults: {{interval: {interval}}}\n" + ONE_TENANT)
    (warning,) = load(file).warnings
    assert "runs an hour of all probes together)" in warning.message
    assert "at most" not in warning.message


@pytest.mark.parametrize("objective", [0.99, 0.995, 0.999, 0.9999, 0.999999, 0.123])
@pytest.mark.parametrize("interval_seconds", [1, 7, 60, 300, 1200, 86400])
def test_the_advice_on_objectives_can_be_followed(
    file: Path, objective: float, interval_seconds: int
) -> None:
    def written(objective: str, interval: str) -> list[str]:
        file.write_text(
            f"defaults: {{interval: {interval}, objectives: {{availability: {objective}}}}}\n"
            "tenants:\n"
            "  - {name: acme, domain: acme, token: {env: ACME_TOKEN}, probes: [datasets]}\n"
        )
        return [problem.message for problem in load(file).warnings]

    for message in written(str(objective), f"{interval_seconds}s"):
        if advice := re.search(r"at most ([0-9.]+)%", message):
            assert not written(str(float(advice[1]) / 100), f"{interval_seconds}s")
        runs = re.search(r"\(([0-9,]+) runs an hour", message)
        assert runs is not None
        interval_milliseconds = 3_600_000 // int(runs[1].replace(",", ""))
        if interval_milliseconds >= 1000:
            assert not written(str(objective), f"{interval_milliseconds}ms")


SECRET_TEXTS = (
    ONE_TENANT
    + """
probes:
  mine:
    path: /api/v1/x
    headers: {X-Key: {env: THE_KEY}}
    query: {sig: {file: sig}}
"""
)


def test_texts_of_own_probes_are_read_where_they_are(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_KEY", "from-the-environment")
    (file.parent / "sig").write_text("from/the file\n")
    file.write_text(SECRET_TEXTS.replace("ACME_TOKEN}", "ACME_TOKEN}\n    probes: [mine]"))
    [probe] = load(file).tenants[0].probes
    assert probe.sent_headers == (("X-Key", "from-the-environment"),)
    assert probe.sent_path == "/api/v1/x?sig=from%2Fthe%20file"
    secrets = {each.get_secret_value() for each in probe.secrets}
    assert secrets == {"from-the-environment", "from/the file"}


def test_texts_that_are_not_there_are_problems_that_show_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(SECRET_TEXTS)
    reported = problems_of(file)
    assert "probes.mine.headers.X-Key: the environment variable THE_KEY is not set" in reported
    assert "probes.mine.query.sig: " in reported
    assert "cannot be read: No such file" in reported
    monkeypatch.setenv("THE_KEY", "very\nsecret")
    os.mkfifo(file.parent / "sig")
    reported = problems_of(file)
    assert "is not a regular file" in reported
    assert "characters that HTTP does not allow" in reported
    assert "very" not in reported


def test_a_password_of_a_proxy_in_the_file_is_warned_of(file: Path) -> None:
    file.write_text("defaults: {proxy: 'http://me:pass-word@proxy:3128'}\n" + ONE_TENANT)
    [warning] = load(file).warnings
    assert "contains a password" in warning.message
    assert "pass-word" not in str(warning)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "prober.yaml")
    assert problems_of(tmp_path / "prober.yaml").endswith("is not a regular file")
    assert problems_of(tmp_path).endswith("is not a regular file")
