from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from prober.metrics.registry import HistogramScope, MetricRegistry, series_estimate
from prober.metrics.sink import PrometheusSink
from prober.models import Expectations, Tenant
from prober.outcomes import Culprit, Reason
from tests.unit.metrics.factories import a_probe, a_tenant, an_answer, some_metrics

FLEETS = {
    "nobody": (),
    "one": (a_tenant(),),
    "several": (
        a_tenant("acme", a_probe("a"), a_probe("b"), team="ops"),
        a_tenant("globex", a_probe("a")),
        a_tenant(
            "umbrella",
            replace(a_probe("a"), expectations=Expectations(200, None, 2.0)),
            replace(a_probe("b"), expectations=Expectations(404, culprit=Culprit.PLATFORM)),
        ),
    ),
}


@pytest.mark.parametrize("histograms", ["probe", "tenant", "off"])
@pytest.mark.parametrize("tenants", FLEETS.values(), ids=FLEETS)
def test_the_estimate_is_the_number_of_series_at_start(
    tenants: tuple[Tenant, ...], histograms: HistogramScope
) -> None:
    registry = some_metrics(histograms=histograms)
    registry.apply(tenants)
    lines = registry.render(False).decode().splitlines()

    estimate = series_estimate(tenants, histograms)

    assert estimate == registry.series_count == sum(not line.startswith("#") for line in lines)


def test_a_probe_counts_failed_expectations_by_culprit_from_the_start() -> None:
    time_and_data = Expectations(jmespath="x", max_server_seconds=1.0)
    probe = replace(a_probe(), expectations=time_and_data)
    metrics = some_metrics(a_tenant("acme", probe))
    assert failed_expectations(metrics) == {"platform": 0.0, "tenant": 0.0}

    result = an_answer(Reason.EXPECTATION_FAILED)
    of_platform = replace(result.verdict, culprit=Culprit.PLATFORM)
    metrics.on_result(result)
    metrics.on_result(replace(result, verdict=of_platform))
    metrics.on_result(replace(result, verdict=of_platform))
    assert failed_expectations(metrics) == {"platform": 2.0, "tenant": 1.0}

    # After a reload other culprits are added, and none is lost.
    given = replace(probe, expectations=Expectations(jmespath="x", culprit=Culprit.REQUEST))
    metrics.apply((a_tenant("acme", given),))
    metrics.on_result(result)  # begun before the reload
    assert failed_expectations(metrics) == {"platform": 2.0, "request": 0.0, "tenant": 2.0}
    assert failed_expectations(some_metrics()) == {}


def failed_expectations(metrics: PrometheusSink) -> dict[str, float]:
    text = metrics.render(False).decode()
    return {
        sample.labels["culprit"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "prober_probe_runs_total"
        and sample.labels["reason"] == "expectation_failed"
    }


def test_a_probe_has_about_a_hundred_series() -> None:
    one, two = (a_tenant("t", *map(a_probe, names)) for names in (("a",), ("a", "b")))

    more = series_estimate([two], "probe") - series_estimate([one], "probe")

    assert 80 <= more <= 120


def test_histograms_of_a_tenant_are_one_for_all_its_probes() -> None:
    registry = MetricRegistry("tenant")

    first = registry.histogram("prober_probe_duration_seconds", ("acme", "a"))
    second = registry.histogram("prober_probe_duration_seconds", ("acme", "b"))

    assert first is not None
    assert first is second
    assert first.owner == ("acme",)


def test_histograms_that_are_off_do_not_exist() -> None:
    assert MetricRegistry("off").histogram("prober_probe_duration_seconds", ("acme", "a")) is None
    assert MetricRegistry("off").histogram("prober_scheduler_delay_seconds") is not None


def test_an_owner_that_is_not_kept_goes_and_other_kinds_of_owners_stay() -> None:
    registry = MetricRegistry("probe")
    for name in ("a", "b"):
        registry.samples("prober_probe_success", ("acme", name))
    registry.samples("prober_token_state", ("acme",))

    registry.keep_only({("tenant", "probe"): {("acme", "b")}})

    left = [owner for family in registry.families for owner in family.samples_by_owner]
    assert left == [("acme", "b"), ("acme",)]


def test_an_info_is_one_series_with_its_present_labels_or_none() -> None:
    registry = MetricRegistry("probe")

    registry.set_info("prober_config_info", (), ("old",))
    registry.set_info("prober_config_info", (), ("new",))
    family = next(s for s in registry.families if s.definition.name == "prober_config_info")
    while registry.refresh():
        pass
    assert family.text_by_owner[()] == 'prober_config_info{hash="new"} 1.0\n'

    registry.set_info("prober_config_info", (), None)
    assert not registry.refresh()
    assert family.text_by_owner[()] == ""


def test_an_own_label_never_takes_the_place_of_a_familys() -> None:
    extra = MetricRegistry("off").extend_labels(
        "prober_tenant_info", ["team", "tenant", "cost", "team"]
    )

    assert extra == ("cost", "team")
