import pytest

from prober.metrics.registry import HistogramScope, MetricRegistry, series_estimate
from prober.models import Tenant
from tests.unit.metrics.factories import a_probe, a_tenant, some_metrics

FLEETS = {
    "nobody": (),
    "one": (a_tenant(),),
    "several": (
        a_tenant("acme", a_probe("a"), a_probe("b"), team="ops"),
        a_tenant("globex", a_probe("a")),
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
    while registry.refresh(1):
        pass
    assert family.text_by_owner[()] == 'prober_config_info{hash="new"} 1.0\n'

    registry.set_info("prober_config_info", (), None)
    assert not registry.refresh(1)
    assert family.text_by_owner[()] == ""


def test_an_own_label_never_takes_the_place_of_a_familys() -> None:
    extra = MetricRegistry("off").extend_labels(
        "prober_tenant_info", ["team", "tenant", "cost", "team"]
    )

    assert extra == ("cost", "team")
