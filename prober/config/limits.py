"""Limits that the configuration as a whole must respect. Pure."""

from prober.config.resolve import Config
from prober.errors import ConfigProblem, SettingsError
from prober.metrics.registry import series_estimate


def check_series_limit(config: Config) -> Config:
    """Return `config`; raises SettingsError if it yields more series than `metrics.max_series`."""
    limit = config.metrics.max_series
    series = series_estimate(config.tenants, config.metrics.histograms)
    if series > limit:
        message = (
            f"these tenants and probes yield {series} series, more than the limit of {limit}: raise"
            " metrics.max_series, or set metrics.histograms to 'tenant' or 'off'"
        )
        problem = ConfigProblem(str(config.source), None, "metrics.max_series", message)
        raise SettingsError((problem,))
    return config
