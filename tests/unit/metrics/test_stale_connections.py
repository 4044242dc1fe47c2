from dataclasses import replace

from prober.models import HttpExchange
from prober.outcomes import FailureKind
from tests.unit.metrics.factories import a_failure, an_answer, some_metrics

NAME = "prober_probe_stale_connections_total"


def test_requests_that_were_sent_again_are_counted_whatever_became_of_them() -> None:
    metrics = some_metrics()
    labels = {"tenant": "acme", "probe": "datasets"}
    assert metrics.registry.get_sample_value(NAME, labels) == 0.0
    for result in (an_answer(), a_failure(FailureKind.CONNECTION_RESET)):
        metrics.on_result(result)
        exchange: HttpExchange = replace(result.exchange, stale_connection_retries=1)
        metrics.on_result(replace(result, exchange=exchange))
        metrics.on_result(replace(result, exchange=exchange, in_maintenance=True))
    assert metrics.registry.get_sample_value(NAME, labels) == 4.0
