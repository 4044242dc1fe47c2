"""The samples of what is known of the world outside: references, and the status page. Pure.

The caller holds the lock of the registry.
"""

from collections import Counter
from collections.abc import Sequence

from prober.metrics.registry import NO_LABELS, MetricRegistry
from prober.references import ReferenceStatus
from prober.status_page import IMPACTS, SupplierStatus

_STATUS_PAGE = "prober_status_page_"
_NAMES = ("readable", "read_timestamp_seconds", "incidents", "incident_start_timestamp_seconds")


def set_references(registry: MetricRegistry, statuses: Sequence[ReferenceStatus]) -> None:
    """Set the last checks of all references; those of others go."""
    registry.keep_only({("reference",): {(each.url,) for each in statuses}})
    for each in statuses:
        owner = (each.url,)
        reachable = registry.samples("prober_reference_reachable", owner)
        reachable.set(float(each.is_reachable))
        registry.samples("prober_reference_check_timestamp_seconds", owner).set(each.checked_at)


def set_status_page(registry: MetricRegistry, status: SupplierStatus | None) -> None:
    """Set what the supplier's status page says; None removes all its series."""
    values: dict[str, dict[str, float]] = {}
    # Not yet read is not the same as without incidents: then there are no series.
    if status is not None and (status.read_at is not None or status.problem is not None):
        values["readable"] = {NO_LABELS: float(status.problem is None)}
    if status is not None and status.read_at is not None:
        values["read_timestamp_seconds"] = {NO_LABELS: status.read_at}
        counts = Counter(incident.impact for incident in status.incidents)
        values["incidents"] = {impact: float(counts[impact]) for impact in IMPACTS}
        if status.incidents:
            oldest = status.incidents[0].started_at
            values["incident_start_timestamp_seconds"] = {NO_LABELS: oldest}
    for name in _NAMES:
        registry.samples(f"{_STATUS_PAGE}{name}").replace(values.get(name, {}))
