import json
from typing import Any

import pytest
from pydantic import ValidationError

from prober.config.builtin_probes import CATALOGUE
from prober.config.resolve import check_custom, check_defaults
from prober.config.schema import CustomProbe, Defaults
from prober.config.text_schema import is_name_of_secret
from prober.models import AlertSeverity, CanaryTarget, ConnectionPolicy, Expectations, Probe
from prober.outcomes import Culprit
from prober.permissions import NEEDS
from tests.builders import a_probe
from tests.unit.config.factories import probe_and_problems

READ = {"path": "/api/v1/datasets"}


def test_a_built_in_probe_is_filled_and_tuned_by_default() -> None:
    probe, problems = probe_and_problems({"use": "streams", "dataset": "ops/mail"})
    assert problems == []
    assert probe == Probe(
        name="streams",
        sent_path="/api/v1/datasets/ops/mail/streams",
        method="GET",
        expectations=Expectations(jmespath="type(streams) == 'array'", culprit=Culprit.PLATFORM),
        checks=CATALOGUE["streams"].checks,
        interval_seconds=60.0,
        timeout_seconds=10.0,
        connect_timeout_seconds=5.0,
        connection=ConnectionPolicy.FRESH,
        max_response_bytes=1024 * 1024,
        server_objective_seconds=2.5,
        network_objective_seconds=0.5,
        severity=AlertSeverity.TICKET,
        project="ops",
        needs=NEEDS["streams"],
    )


@pytest.mark.parametrize(
    ("use", "path", "body"),
    [
        ({"use": "datasets"}, "/api/v1/datasets", None),
        (
            {"use": "stream-fetch", "project": "ops", "dataset": "mail", "stream": "triage"},
            "/api/v1/datasets/ops/mail/streams/triage/fetch",
            {"size": 1},
        ),
        (
            {
                "use": "predict-comments",
                "dataset": "ops/mail",
                "model_version": 7,
                "uid": "0123456789abcdef.a",
            },
            "/api/v1/datasets/ops/mail/labellers/7/predict-comments",
            {"uids": ["0123456789abcdef.a"]},
        ),
        (
            {
                "use": "predict",
                "dataset": "ops/mail",
                "model_version": "7",
                "json": {"documents": []},
                "allow_billable": True,
            },
            "/api/v1/datasets/ops/mail/labellers/7/predict",
            {"documents": []},
        ),
    ],
    ids=lambda value: value["use"] if isinstance(value, dict) and "use" in value else None,
)
def test_parameters_stand_in_path_and_body(use: dict[str, Any], path: str, body: object) -> None:
    probe, problems = probe_and_problems(use)
    assert problems == []
    assert probe is not None
    assert probe.sent_path == path
    assert (None if probe.body is None else json.loads(probe.body)) == body


def test_an_own_probe_is_what_is_written() -> None:
    own = {
        "method": "POST",
        "path": "/api/v1/audit_events/query",
        "json": {"limit": 1},
        "headers": {"X-Team": "ops"},
        "expect": {"status": 404, "jmespath": "true", "max_server_time": "2s"},
    }
    probe, problems = probe_and_problems({"use": "mine", "name": "events"}, own)
    assert problems == []
    assert probe == a_probe(
        name="events",
        sent_path="/api/v1/audit_events/query",
        method="POST",
        body=b'{"limit":1}',
        sent_headers=(("X-Team", "ops"),),
        expectations=Expectations(404, "true", 2.0),
    )


@pytest.mark.parametrize("culprit", ["tenant", "request", "credential", "platform"])
def test_a_probe_says_who_is_responsible_for_its_expectations(culprit: str) -> None:
    own = {"path": "/api/v1/datasets", "expect": {"jmespath": "true", "culprit": culprit}}
    probe, problems = probe_and_problems({"use": "mine"}, own)
    assert problems == []
    assert probe is not None
    assert probe.expectations == Expectations(None, "true", culprit=Culprit(culprit))


@pytest.mark.parametrize("culprit", ["network", "prober", "none", "undecided", "Platform", "", 1])
def test_who_cannot_be_responsible_is_refused(culprit: object) -> None:
    own = {"path": "/api/v1/datasets", "expect": {"jmespath": "true", "culprit": culprit}}
    with pytest.raises(ValidationError, match=r"'tenant', 'request', 'credential' or 'platform'"):
        CustomProbe.model_validate(own)


LAYERS = [("use", "1s"), ("own", "2s"), ("tenant", "3s"), ("defaults", "4s")]


@pytest.mark.parametrize("first", range(4), ids=[name for name, _ in LAYERS])
def test_the_nearest_that_says_an_objective_counts(first: int) -> None:
    said = {name: {"server_latency": value} for name, value in LAYERS[first:]}
    probe, _ = probe_and_problems(
        {"use": "mine", "objectives": said.get("use", {})},
        {**READ, "objectives": said.get("own", {})},
        objectives=said.get("tenant"),
        defaults={"objectives": said["defaults"]},
    )
    assert probe is not None
    assert probe.server_objective_seconds == first + 1.0
    assert probe.network_objective_seconds == 0.5


@pytest.mark.parametrize(
    ("use", "own", "defaults", "seconds"),
    [
        ({"interval": "20s"}, {"interval": "30s"}, {"interval": "40s"}, 20.0),
        ({}, {"interval": "30s"}, {"interval": "40s"}, 30.0),
        ({}, {}, {"interval": "40s"}, 40.0),
        ({}, {}, {}, 60.0),
    ],
)
def test_the_nearest_that_says_an_interval_counts(
    use: dict[str, str], own: dict[str, str], defaults: dict[str, str], seconds: float
) -> None:
    probe, _ = probe_and_problems({"use": "mine", **use}, {**READ, **own}, defaults=defaults)
    assert probe is not None
    assert probe.interval_seconds == seconds


def test_everything_that_can_be_tuned_is_tuned() -> None:
    tuning = {
        "interval": "30s",
        "timeout": "20s",
        "connect_timeout": "15s",
        "connection": "reuse",
        "max_response_size": "2MiB",
        "severity": "page",
        "objectives": {"network_latency": "100ms"},
    }
    probe, _ = probe_and_problems({"use": "datasets"}, defaults=tuning)
    assert probe is not None
    assert (probe.timeout_seconds, probe.connect_timeout_seconds) == (20.0, 15.0)
    assert probe.connection is ConnectionPolicy.REUSE
    assert probe.max_response_bytes == 2 * 1024 * 1024
    assert probe.network_objective_seconds == 0.1
    assert probe.severity is AlertSeverity.PAGE


def test_time_outs_that_nobody_names_fit_a_short_interval() -> None:
    probe, problems = probe_and_problems({"use": "datasets", "interval": "2s"})
    assert problems == []
    assert probe is not None
    assert (probe.timeout_seconds, probe.connect_timeout_seconds) == (2.0, 2.0)


def test_time_outs_may_be_as_long_as_what_bounds_them() -> None:
    use = {"use": "datasets", "interval": "1s", "timeout": "1s", "connect_timeout": "1s"}
    assert probe_and_problems(use)[1] == []


@pytest.mark.parametrize("key", ["timeout", "connect_timeout"])
def test_a_time_out_of_nothing_is_refused(key: str) -> None:
    _, problems = probe_and_problems({"use": "datasets", key: "0s"})
    assert ((key,), f"is 0s: write more than 0 and at most the {_bound(key)}") in problems


def _bound(key: str) -> str:
    return {"timeout": "interval, 60s", "connect_timeout": "timeout, 10s"}[key]


def test_a_wrong_time_out_says_whose_word_it_is() -> None:
    _, problems = probe_and_problems(
        {"use": "mine", "interval": "5s"}, {**READ, "timeout": "6s"}, defaults={"timeout": "9s"}
    )
    reported = "is 6s (from 'probes'): write more than 0 and at most the interval, 5s"
    assert problems == [(("timeout",), reported)]


CANARY_USE = {
    "use": "canary",
    "project": "ops",
    "source": "mailbox",
    "dataset": "mail",
    "model_version": 7,
    "allow_billable": True,
    "allow_writes": True,
}


def test_a_canary_runs_once_an_hour_and_has_its_paths() -> None:
    probe, problems = probe_and_problems({**CANARY_USE, "stream": "triage"})
    assert problems == []
    assert probe is not None
    assert probe.interval_seconds == 3600.0
    assert probe.sent_path == "/api/v1/sources/ops/mailbox/sync"
    assert probe.canary == CanaryTarget(
        "/api/v1/sources/ops/mailbox/comments/prober-canary",
        "/api/v1/datasets/ops/mail/labellers/7/predict-comments",
        "/api/v1/datasets/ops/mail/streams/triage/fetch",
    )
    assert [check.name for check in probe.checks] == ["readable", "predicted", "streamed"]
    needed = {need.permission.name for need in probe.needs or ()}
    assert needed == {"sources-add-comments", "sources-read", "voc-readonly", "triggers-consume"}


def test_a_canary_without_a_stream_has_two_stages() -> None:
    probe, problems = probe_and_problems({**CANARY_USE, "interval": "20m"})
    assert (probe is not None, problems) == (True, [])
    assert probe is not None
    assert probe.interval_seconds == 1200.0
    assert probe.canary is not None
    assert probe.canary.stream_path is None
    assert [check.name for check in probe.checks] == ["readable", "predicted"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"allow_writes": False},
            ((), "'canary' writes data: add 'allow_writes: true' to allow it"),
        ),
        (
            {"stream": "a/b"},
            (("stream",), "'stream' must be a name of letters, digits, '_' and '-'"),
        ),
        ({"comment": "x"}, (("comment",), "is not a parameter of 'canary', which takes")),
        ({"model_version": None}, (("model_version",), "is missing: 'canary' needs it")),
        (
            {"interval": "10m", "stream": "triage"},
            (("interval",), "is 600s: write more than the longest limit, 600s"),
        ),
        (
            {"checks": [{"name": "readable", "enabled": False}]},
            (("checks",), "'readable' cannot be off: it finds what the other stages ask for"),
        ),
        (
            {"checks": [{"name": "other", "value": "x", "kind": "number"}]},
            (("checks",), "'other' is not a stage of a canary: readable, predicted, streamed"),
        ),
    ],
)
def test_an_impossible_canary_is_reported(
    changes: dict[str, Any], problem: tuple[tuple[str, ...], str]
) -> None:
    use = {key: value for key, value in {**CANARY_USE, **changes}.items() if value is not None}
    probe, problems = probe_and_problems(use)
    assert probe is None
    [(path, message)] = problems
    assert path == problem[0]
    assert message.startswith(problem[1])


def test_the_limits_of_a_canary_can_be_changed() -> None:
    checks = [{"name": "predicted", "max": 900}, {"name": "streamed", "enabled": False}]
    probe, problems = probe_and_problems({**CANARY_USE, "stream": "triage", "checks": checks})
    assert problems == []
    assert probe is not None
    assert {check.name: check.max for check in probe.checks} == {"readable": 60, "predicted": 900}


def test_defaults_that_cannot_be_are_told_by_themselves() -> None:
    assert check_defaults(Defaults()) == []
    wrong = check_defaults(Defaults.model_validate({"interval": "5s", "timeout": "6s"}))
    assert wrong == [(("timeout",), "is 6s: write more than 0 and at most the interval, 5s")]


def test_an_own_probe_goes_before_a_built_in_one_and_its_broken_form_is_not_unknown() -> None:
    assert probe_and_problems({"use": "broken"}) == (None, [])


CONSENTS = {
    "allow_billable": "is billed",
    "allow_writes": "writes data",
}


def consent_problem(name: str, *missing: str) -> tuple[tuple[()], str]:
    what = " and ".join(CONSENTS[key] for key in missing)
    keys = " and ".join(f"'{key}: true'" for key in missing)
    return (), f"'{name}' {what}: add {keys} to allow it"


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("predict", ["allow_billable"]),
        ("predict-raw-emails", ["allow_billable"]),
        ("sync", ["allow_billable", "allow_writes"]),
        ("sync-raw-emails", ["allow_billable", "allow_writes"]),
    ],
)
@pytest.mark.parametrize("given", [[], ["allow_billable"], ["allow_writes"], list(CONSENTS)])
def test_a_built_in_that_is_billed_or_writes_needs_each_consent(
    name: str, needed: list[str], given: list[str]
) -> None:
    values = {
        "dataset": "ops/mail",
        "source": "ops/mail",
        "model_version": 7,
        "json": {"documents": []},
    }
    use = {key: values[key] for key in CATALOGUE[name].parameters}
    probe, problems = probe_and_problems({"use": name, **dict.fromkeys(given, True), **use})
    missing = [key for key in needed if key not in given]
    assert problems == ([consent_problem(name, *missing)] if missing else [])
    assert (probe is None) == bool(missing)


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("PUT", "/api/v1/datasets/ops/mail", ["allow_writes"]),
        ("PATCH", "/api/v1/datasets/ops/mail", ["allow_writes"]),
        ("POST", "/api/v1/datasets/ops/mail/labellers/7/predict", ["allow_billable"]),
        (
            "POST",
            "/api/v1/datasets/ops/mail/labellers/7/predict-extractions?x=1",
            ["allow_billable"],
        ),
        ("POST", "/api/v1/datasets/ops/mail/labellers/7/predict/", ["allow_billable"]),
        ("PUT", "/api/v1/datasets/ops/mail/labellers/7/predict", list(CONSENTS)),
        ("POST", "/api/v1/sources/ops/mail/%73ync", list(CONSENTS)),
        ("POST", "/api/v1/sources/ops/mail/sync-csv", list(CONSENTS)),
    ],
)
def test_a_custom_probe_that_is_billed_or_writes_needs_each_consent(
    method: str, path: str, needed: list[str]
) -> None:
    custom = {"method": method, "path": path}
    given = dict.fromkeys(needed, True)
    wrong = dict.fromkeys(set(CONSENTS) - set(needed), True)
    refused = (None, [consent_problem("mine", *needed)])
    assert probe_and_problems({"use": "mine"}, custom) == refused
    assert probe_and_problems({"use": "mine", **wrong}, custom) == refused
    assert probe_and_problems({"use": "mine", **given}, custom)[1] == []
    assert probe_and_problems({"use": "mine"}, {**custom, **given})[1] == []


def test_consents_of_a_custom_probe_and_of_its_use_add_up() -> None:
    custom = {"method": "POST", "path": "/api/v1/sources/ops/mail/sync", "allow_billable": True}
    assert probe_and_problems({"use": "mine", "allow_writes": True}, custom)[1] == []


@pytest.mark.parametrize(
    ("method", "path", "key"),
    [
        ("DELETE", "/api/v1/datasets/ops/mail", "method"),
        ("POST", "/api/v1/datasets/ops/mail/streams/triage/advance", "path"),
        ("POST", "/api/v1/datasets/ops/mail/streams/triage/advance/", "path"),
        ("POST", "/api/v1/datasets/ops/mail/streams/triage/advance?x=1", "path"),
        ("POST", "/api/v1/datasets/ops/mail/streams/triage/%72eset", "path"),
        ("PUT", "/api/v1/datasets/ops/mail/streams/triage/exceptions", "path"),
    ],
)
def test_no_consent_lets_a_probe_move_or_delete(method: str, path: str, key: str) -> None:
    own = CustomProbe.model_validate(
        {"method": method, "path": path, "allow_billable": True, "allow_writes": True}
    )
    assert check_custom(own) == [((key,), "moves or deletes data: prober never does that")]


def test_an_own_probe_that_reads_is_good() -> None:
    assert check_custom(CustomProbe.model_validate({"path": "/api/v1/datasets?q=/advance"})) == []


def test_what_looks_like_a_secret_is_one_unless_it_is_said_not_to_be() -> None:
    own = {
        "path": "/api/v1/x?sig=in%20path&page=1",
        "headers": {
            "X-Api-Key": "a-key",
            "X-Team": "ops-team",
            "X-Own": {"value": "told-so", "secret": True},
            "X-Sort-Key": {"value": "created", "secret": False},
        },
        "query": {"code": "a code/+", "limit": "10"},
    }
    probe, problems = probe_and_problems({"use": "mine"}, own)
    assert problems == []
    assert probe is not None
    assert probe.sent_path == "/api/v1/x?sig=in%20path&page=1&code=a%20code%2F%2B&limit=10"
    assert {each.get_secret_value() for each in probe.secrets} == {
        "a-key",
        "told-so",
        "in path",
        "a code/+",
    }
    assert ("X-Sort-Key", "created") in probe.sent_headers
    assert "a-key" not in repr(probe)
    assert "in%20path" not in repr(probe)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("X-Api-Key", True),
        ("apikey", True),
        ("API_KEY", True),
        ("X-Auth-Token", True),
        ("token", True),
        ("sig", True),
        ("code", True),
        ("client_secret", True),
        ("password", True),
        ("X-Country-Code", False),
        ("X-Team", False),
        ("monkey", False),
        ("design", False),
    ],
)
def test_names_of_secrets(name: str, *, is_one: bool) -> None:
    assert is_name_of_secret(name) is is_one
