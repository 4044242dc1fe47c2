"""The samples of checks: values, and whether a check failed. Pure."""

from collections.abc import Mapping, Sequence

from prober.metrics.registry import Labels, MetricRegistry
from prober.models import CheckKind, CheckResult, Probe

_VALUE, _VALUE_TIMESTAMP = "prober_probe_value", "prober_probe_value_timestamp_seconds"
_CHECK_FAILED = "prober_probe_check_failed"
_CHECK_METRICS = (_VALUE, _VALUE_TIMESTAMP, _CHECK_FAILED)


class CheckMetrics:
    """The samples of one probe's checks; a probe without checks has none."""

    __slots__ = ("_owner", "_registry", "_series_by_check")

    def __init__(self, registry: MetricRegistry, owner: tuple[str, str]) -> None:
        self._registry = registry
        self._owner = owner
        # The labels of a check's series in `prober_probe_check_failed`.
        self._series_by_check: Mapping[str, Labels] = {}

    def configure(self, probe: Probe) -> None:
        """Apply the probe's checks; those that stay keep their values."""
        self._series_by_check = {
            check.name: (check.name, check.culprit.value, (check.severity or probe.severity).value)
            for check in probe.checks
            if check.has_limits
        }
        names = {check.name for check in probe.checks}
        for metric in _CHECK_METRICS:
            if not names:
                self._registry.drop(metric, self._owner)
                continue
            samples = self._registry.samples(metric, self._owner)
            kept = {
                samples.suffixes[key]: value
                for key, value in samples.values.items()
                if samples.suffixes[key][0] in names
            }
            if metric == _CHECK_FAILED:
                kept = {each: kept.get(each, 0.0) for each in self._series_by_check.values()}
            samples.replace_series(kept)

    def record(self, results: Sequence[CheckResult], *, in_maintenance: bool) -> None:
        """Set the values of a response that was checked.

        In maintenance no check counts as failed: that would lead to an alert.
        """
        values: dict[str, dict[Labels, float]] = {_VALUE: {}, _VALUE_TIMESTAMP: {}}
        failed: set[str] = set()
        for result in results:
            is_time = result.check.kind is CheckKind.TIMESTAMP
            if result.value is not None:
                metric = _VALUE_TIMESTAMP if is_time else _VALUE
                values[metric][result.check.name, result.item] = result.value
            if result.failed and not in_maintenance:
                failed.add(result.check.name)
        for metric, series in values.items():
            self._registry.samples(metric, self._owner).replace_series(series)
        self._registry.samples(_CHECK_FAILED, self._owner).replace_series(
            {series: float(name in failed) for name, series in self._series_by_check.items()}
        )
