"""The ready texts are what prometheus-client writes for the same numbers, byte for byte."""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from prober.metrics.definitions import METRIC_DEFINITIONS
from prober.metrics.sink import HistogramScope, PrometheusSink
from prober.models import ProbeResult, SkippedRun, Tenant, TokenEvent, TokenSource, TokenStatus
from prober.models import TokenSourceKind as Kind
from prober.outcomes import (
    FailureKind,
    Reason,
    RejectionCause,
    Responder,
    ServerTimingAnomaly,
    SkipCause,
    TokenEventKind,
)
from prober.outcomes import TokenState as State
from tests.unit.metrics.factories import (
    NOW,
    a_failure,
    a_probe,
    a_tenant,
    an_answer,
    some_metrics,
)

Action = Callable[[PrometheusSink], None]
Parse = Callable[[str], Iterable[Metric]]

seconds = st.floats(0, 1e7, allow_nan=False) | st.sampled_from([0.0, 0.025, 0.25, 60.0])
moments = st.floats(0, 4e9, allow_nan=False)
names = st.sampled_from(["acme", "globex", "gone"])
probe_names = st.sampled_from(["datasets", "sources", "gone"])
odd_texts = st.text(max_size=8) | st.sampled_from(['"', "\\", "a\nb", "ü"])
printable = odd_texts.filter(lambda text: text.isprintable() or text in {'"', "\\", "a\nb"})

answers = st.builds(
    an_answer,
    st.sampled_from(Reason),
    provenance=st.sampled_from(Responder),
    status=st.integers(200, 215),
    server=seconds | st.sampled_from(ServerTimingAnomaly),
    network=seconds,
    loop_lag=st.sampled_from([0.0, 0.05, 0.06]),
    certificate_expiry=st.none() | moments,
    facts=st.dictionaries(
        st.sampled_from(["x_correlation_id", "cf_ray"]), st.sampled_from(["a-1", "b", 'a"b\n'])
    ),
)
failures = st.builds(a_failure, st.sampled_from(FailureKind))


def at_another(result: ProbeResult, tenant: str, probe: str, moment: float) -> ProbeResult:
    return replace(result, tenant=tenant, probe=probe, started_at=moment)


results = st.builds(at_another, answers | failures, names, probe_names, moments)
tenants = st.lists(
    st.builds(
        lambda name, wanted, labels, interval: a_tenant(
            name, *(a_probe(probe, interval) for probe in sorted(wanted)), **labels
        ),
        st.sampled_from(["acme", "globex"]),
        st.sets(st.sampled_from(["datasets", "sources"]), min_size=1),
        st.dictionaries(st.sampled_from(["team", "region"]), printable, max_size=2),
        st.sampled_from([30.0, 60.0, 1e6]),
    ),
    max_size=2,
    unique_by=lambda tenant: tenant.name,
)
sources = st.builds(TokenSource, st.sampled_from(Kind), st.just("/token"))
statuses = st.builds(
    TokenStatus,
    names,
    sources,
    st.sampled_from(State),
    fingerprint=st.none() | printable,
    cause=st.none() | st.sampled_from(RejectionCause),
    loaded_at=st.none() | moments,
    first_accepted_at=st.none() | moments,
    last_accepted_at=st.none() | moments,
    expires_at=st.none() | moments,
    rotations=st.integers(0, 9),
)
token_events = st.builds(TokenEvent, st.sampled_from(TokenEventKind), moments, statuses)
actions: st.SearchStrategy[Action] = st.one_of(
    results.map(lambda value: lambda m: m.on_result(value)),
    tenants.map(lambda value: lambda m: m.apply(value)),
    st.builds(SkippedRun, names, probe_names, moments, st.sampled_from(SkipCause)).map(
        lambda value: lambda m: m.on_skip(value)
    ),
    printable.map(lambda value: lambda m: m.sink_failed(value)),
    statuses.map(lambda value: lambda m: m.on_token_status(value)),
    token_events.map(lambda value: lambda m: m.on_token_event(value)),
    printable.map(lambda value: lambda m: m.state_write_failed(value)),
    printable.map(lambda value: lambda m: m.state_written(value)),
    seconds.map(lambda value: lambda m: m.run_started(value)),
    st.just(PrometheusSink.run_finished),
    seconds.map(lambda value: lambda m: m.loop_lag(value)),
    moments.map(lambda value: lambda m: m.heartbeat(value, 4)),
    st.tuples(moments, printable).map(lambda value: lambda m: m.configuration_loaded(*value)),
    st.just(lambda metrics: metrics.configuration_failed("prober.yaml:1: not YAML")),
)


@settings(max_examples=3 * settings().max_examples // 2)
@given(
    before=tenants,
    histograms=st.sampled_from(["probe", "tenant", "off"]),
    steps=st.lists(actions, max_size=40),
)
def test_the_text_is_the_clients_byte_for_byte_whatever_happened(
    before: list[Tenant], histograms: HistogramScope, steps: list[Action]
) -> None:
    metrics = some_metrics(histograms=histograms)
    metrics.apply(before)
    for step in steps:
        step(metrics)

    assert metrics.render(False) == generate_latest(metrics.registry)
    assert metrics.render(True) == generate_openmetrics(metrics.registry)


def metrics_after_a_day() -> PrometheusSink:
    metrics = some_metrics(a_tenant("acme", team='the "night" shift'))
    for result in (an_answer(certificate_expiry=NOW), a_failure(FailureKind.DNS), an_answer()):
        metrics.on_result(result)
    source = TokenSource(Kind.FILE, "/token")
    metrics.on_token_status(TokenStatus("acme", source, State.VALID, "0badc0de", expires_at=NOW))
    metrics.configuration_loaded(NOW, "cafe")
    return metrics


@pytest.mark.parametrize(
    ("openmetrics", "parse"), [(False, parse_text), (True, parse_openmetrics)], ids=["0.0.4", "OM"]
)
def test_the_clients_own_parser_reads_every_family_and_its_help(
    openmetrics: bool, parse: Parse
) -> None:
    text = metrics_after_a_day().render(openmetrics).decode()

    read = {family.name: family.documentation for family in parse(text)}

    assert read == {
        family.name.removesuffix("_total"): family.help for family in METRIC_DEFINITIONS
    }


def test_openmetrics_has_the_unit_that_is_in_the_name() -> None:
    text = metrics_after_a_day().render(True).decode()
    units = dict(re.findall(r"^# UNIT (\S+) (\S+)$", text, re.MULTILINE))
    assert units["prober_probe_duration_seconds"] == "seconds"
    assert units["prober_history_size_bytes"] == "bytes"
    assert "prober_probe_success" not in units
    assert all(name.endswith(f"_{unit}") for name, unit in units.items())
    assert "# UNIT" not in metrics_after_a_day().render(False).decode()


@pytest.mark.parametrize("openmetrics", [False, True])
def test_there_are_no_created_series_and_openmetrics_alone_has_an_end(openmetrics: bool) -> None:
    text = metrics_after_a_day().render(openmetrics).decode()

    assert "_created" not in text
    assert text.endswith("# EOF\n") is openmetrics


def test_every_label_of_a_series_is_one_of_its_familys() -> None:
    declared = {
        family.name.removesuffix("_total"): set(family.labels) for family in METRIC_DEFINITIONS
    }
    declared["prober_tenant_info"].add("team")

    for family in parse_text(metrics_after_a_day().render(False).decode()):
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == declared[family.name], sample
