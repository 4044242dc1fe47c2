"""Exemplars: from a bucket of a latency histogram to the id of a request."""

import re
from dataclasses import replace

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.samples import Exemplar

from prober.metrics.exemplars import LABEL, MeasuredRequest, measured_request
from prober.metrics.sink import HistogramScope, PrometheusSink
from prober.models import ProbeResult
from prober.outcomes import Reason, Responder
from tests.unit.metrics.factories import NOW, a_tenant, an_answer, some_metrics

ID = "0b9c7a7e-4a1d-4b8e-9a53-0f7f7f6f5e4d"
OPENMETRICS_LIMIT = 128
COMPONENTS = ("duration", "server", "network")


def answered(request_id: str = ID, server: float = 0.25, at: float = NOW) -> ProbeResult:
    return replace(an_answer(server=server, facts={"x_correlation_id": request_id}), started_at=at)


def exemplars(metrics: PrometheusSink) -> dict[tuple[str, str], Exemplar]:
    """Return the exemplars of a scrape in OpenMetrics, by name and `le`."""
    families = parse_openmetrics(metrics.render(True).decode())
    return {
        (sample.name, sample.labels["le"]): sample.exemplar
        for family in families
        for sample in family.samples
        if sample.exemplar is not None
    }


def test_each_latency_has_its_own_value_the_id_and_the_start_of_the_request() -> None:
    metrics = some_metrics()
    metrics.on_result(answered())

    found = exemplars(metrics)

    assert {key: each.value for key, each in found.items()} == {
        ("prober_probe_duration_seconds_bucket", "0.5"): 0.3125,
        ("prober_probe_server_seconds_bucket", "0.25"): 0.25,
        ("prober_probe_network_seconds_bucket", "0.1"): 0.0625,
    }
    assert {(each.labels[LABEL], float(each.timestamp or 0)) for each in found.values()} == {
        (ID, NOW)
    }


def test_a_bucket_keeps_its_last_request_and_others_keep_theirs() -> None:
    metrics = some_metrics()
    for request_id, server, at in (("one", 0.25, 1.0), ("slow", 20.0, 2.0), ("two", 0.2, 3.0)):
        metrics.on_result(answered(request_id, server, at))

    found = exemplars(metrics)

    name = "prober_probe_server_seconds_bucket"
    of_server = {le: each.labels[LABEL] for (of, le), each in found.items() if of == name}
    assert of_server == {"0.25": "two", "30.0": "slow"}


def test_only_openmetrics_has_exemplars() -> None:
    without, metrics = some_metrics(), some_metrics()
    without.on_result(an_answer(facts={}))
    metrics.on_result(answered())

    assert ID in metrics.render(True).decode()
    assert metrics.render(False) == without.render(False)


def test_a_reload_keeps_the_exemplars_of_a_probe_that_stays() -> None:
    metrics = some_metrics()
    metrics.on_result(answered())
    before = exemplars(metrics)
    metrics.apply([a_tenant()])
    assert exemplars(metrics) == before
    metrics.apply([])
    assert exemplars(metrics) == {}


@pytest.mark.parametrize(("histograms", "number"), [("tenant", len(COMPONENTS)), ("off", 0)])
def test_histograms_by_tenant_have_them_too(histograms: HistogramScope, number: int) -> None:
    metrics = some_metrics(histograms=histograms)
    metrics.on_result(answered())
    assert len(exemplars(metrics)) == number


def test_what_is_not_the_platforms_or_is_in_maintenance_leaves_none() -> None:
    metrics = some_metrics()
    facts = {"x_correlation_id": ID}
    metrics.on_result(an_answer(Reason.EDGE_ERROR, provenance=Responder.NOBODY, facts=facts))
    metrics.on_result(replace(answered(), in_maintenance=True))
    assert exemplars(metrics) == {}


@pytest.mark.parametrize(
    "facts",
    [
        {"x_correlation_id": ID},
        {"x_uipath_correlation_id": ID},
        {"x_request_id": ID},
        {"cf_ray": "78c709774a112a34-CDG"},
        {"x_correlation_id": "|7d5d747a:be97b2f1.", "x_request_id": "not this one"},
        {"x_correlation_id": "[redacted]", "x_request_id": ID},
        {"x_correlation_id": "a" * 100},
    ],
    ids=str,
)
def test_a_usual_id_is_taken(facts: dict[str, str]) -> None:
    found = measured_request(facts, 1.0)

    assert found is not None
    assert found in {MeasuredRequest(each, 1.0) for each in facts.values()}
    assert len(LABEL) + len(found.request_id) <= OPENMETRICS_LIMIT
    assert re.fullmatch(r"[!-~]+", found.request_id)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "a" * 101,
        "one, two",
        "a b",
        'a"b',
        "a\\",
        "a\nb",
        "a\n",
        "ü",
        "٣",
        "a\u2028b",
        "{a}",
        "# EOF",
        "[redacted]",
        "id-[redacted]",
        "<script>",
    ],
)
def test_an_unusual_text_is_left_out_and_not_changed(value: str) -> None:
    assert measured_request({"x_correlation_id": value}, 1.0) is None


def test_other_facts_are_no_ids() -> None:
    facts = {"server": "cloudflare", "message": "x", "request_context": "appId=cid-v1:x"}
    assert measured_request(facts, 1.0) is None
