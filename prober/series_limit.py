"""Whether settings yield more series than they allow: known before anything is started."""

from prober.errors import Problem, SettingsError
from prober.recorders.store import series_estimate
from prober.settings.resolve import Configuration


def refuse_too_many_series(configuration: Configuration) -> Configuration:
    """Return it; raise SettingsError when it yields more series than `web.max_series` allows."""
    series = series_estimate(configuration.tenants, configuration.web.histograms)
    if series > configuration.web.max_series:
        raise SettingsError(
            (
                Problem(
                    str(configuration.source),
                    None,
                    "web.max_series",
                    f"these tenants and probes yield {series} series, more than the"
                    f" {configuration.web.max_series} allowed: raise web.max_series, or set"
                    " web.histograms to 'tenant' or 'off'",
                ),
            )
        )
    return configuration
