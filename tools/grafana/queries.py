"""PromQL that several panels use, built from the closed sets of `prober.outcomes`.

`scope` is a list of label matchers. Every query matches the job, counters are only used with rate
or increase, and series of two probers for the same tenant are aggregated.
"""

from prober.outcomes import Culprit, LatencyComponent, TokenState
from tools.grafana.palette import CULPRIT_CODES, TOKEN_CODES, Code

RATE = "$__rate_interval"
JOB = 'job=~"$job"'
TENANT = f'{JOB}, tenant=~"$tenant"'
HERE = f'{TENANT}, location=~"$location"'
PROBE = f'{HERE}, probe=~"$probe"'
INSTANCE = f'{JOB}, instance=~"$instance"'

_MISSED_INTERVALS, _GRACE_SECONDS = 3, 30  # as ProberProbesStale and the status page have it
# A failing probe weighs 100, so that the culprit of most probes wins, and a code is the last two
# digits; what explains everything else (a rejected token, maintenance) weighs more than any count.
_PROBE_WEIGHT, _TOKEN_WEIGHT, _MAINTENANCE_WEIGHT = 100, 10**7, 10**8


def tenant_status(scope: str, tenant_scope: str) -> str:
    """Return the query of each tenant's status, as a code of `palette.STATUSES`."""
    by = "job, tenant"
    tokens = (
        (TokenState.REJECTED, CULPRIT_CODES[Culprit.CREDENTIAL]),
        (TokenState.MISSING, CULPRIT_CODES[Culprit.PROBER]),
    )
    of_token = [
        f'max by ({by}) (prober_token_state{{{tenant_scope}, state="{state}"}} == 1)'
        f" * {_TOKEN_WEIGHT} + {code}"
        for state, code in tokens
    ]
    return _status(by, [_maintenance(tenant_scope), *of_token, *_of_probes(by, scope)])


def probe_status(scope: str, tenant_scope: str) -> str:
    """Return the query of each probe's status, as a code of `palette.STATUSES`."""
    by = "job, tenant, probe"
    every = f"max by ({by}) (prober_probe_success{{{scope}}}) * 0"
    maintenance = f"({every} + 1) * on (job, tenant) group_left () ({_maintenance(tenant_scope)})"
    rejected = f'max by (job, tenant) (prober_token_state{{{tenant_scope}, state="rejected"}} == 1)'
    paused = f"{every} + {Code.PAUSED} and on (job, tenant) {rejected}"
    failing, rest = _of_failures(by, scope), _of_other_probes(by, scope)
    return _status(by, [maintenance, *failing, paused, *rest])


def _status(by: str, terms: list[str]) -> str:
    """Join terms; of two series with the same labels, `or` keeps the first one."""
    return f"max by ({by}) (\n  " + "\n  or ".join(terms) + "\n) % 100"


def _maintenance(tenant_scope: str) -> str:
    return (
        f"max by (job, tenant) (prober_maintenance_active{{{tenant_scope}}} == 1)"
        f" * {_MAINTENANCE_WEIGHT} + {Code.MAINTENANCE}"
    )


def _of_probes(by: str, scope: str) -> list[str]:
    return [*_of_failures(by, scope), *_of_other_probes(by, scope)]


def _of_failures(by: str, scope: str) -> list[str]:
    # A failed check is no failure of the request, and has a gauge of its own.
    return [
        f"count by ({by}, culprit)"
        f' (prober_probe_consecutive_failures{{{scope}, culprit="{culprit}"}} > 0'
        f" or max without (check, severity)"
        f' (prober_probe_check_failed{{{scope}, culprit="{culprit}"}} == 1))'
        f" * {_PROBE_WEIGHT} + {code}"
        for culprit, code in CULPRIT_CODES.items()
    ]


def _of_other_probes(by: str, scope: str) -> list[str]:
    sides = (
        (LatencyComponent.SERVER, Code.PLATFORM_SLOW),
        (LatencyComponent.NETWORK, Code.NETWORK_SLOW),
    )
    slow = [
        f'count by ({by}) (prober_probe_last_duration_seconds{{{scope}, component="{side}"}}'
        f' > prober_probe_latency_objective_seconds{{{scope}, component="{side}"}}) * 0 + {code}'
        for side, code in sides
    ]
    run = f"prober_probe_last_run_timestamp_seconds{{{scope}}}"
    missed = f"{_MISSED_INTERVALS} * prober_probe_interval_seconds{{{scope}}} + {_GRACE_SECONDS}"
    late = f"time() - ({run} > 0) > {missed}"
    overdue = f"count by ({by}) ({late}) * 0 + {CULPRIT_CODES[Culprit.PROBER]}"
    waiting = f"(max by ({by}) ({run}) == 0) + {Code.WAITING}"
    return [overdue, *slow, waiting, f"max by ({by}) (prober_probe_success{{{scope}}}) * 0"]


def token_status(scope: str) -> str:
    """Return the query of each tenant's token state, as a code of `palette.TOKENS`."""
    states = [
        f'max by (job, tenant) (prober_token_state{{{scope}, state="{state}"}} == 1) * 0 + {code}'
        for state, code in sorted(TOKEN_CODES.items(), key=lambda each: -each[1])
    ]
    return "\n or ".join(states)


def days_until(metric: str, scope: str, by: str) -> str:
    """Return the query of the days until the time in a gauge."""
    return f"(min by ({by}) ({metric}{{{scope}}}) - time()) / 86400"


def quantile(ratio: float, histogram: str, scope: str) -> str:
    """Return the query of one percentile of a histogram, over all that the scope matches.

    Prometheus can be configured to store histograms in its native form
    (`convert_classic_histograms_to_nhcb`): then there are no buckets, sums and counts by name.
    """
    rate = f"sum by (le) (rate({histogram}_bucket{{{scope}}}[{RATE}]))"
    native = f"sum(rate({histogram}{{{scope}}}[{RATE}]))"
    return f"histogram_quantile({ratio}, {rate}) or histogram_quantile({ratio}, {native})"


def mean(histogram: str, scope: str) -> str:
    """Return the query of a histogram's mean."""
    total, count = (
        f"sum(rate({histogram}_{each}{{{scope}}}[{RATE}]))" for each in ("sum", "count")
    )
    native = f"sum(rate({histogram}{{{scope}}}[{RATE}]))"
    return f"{total} / {count} or histogram_sum({native}) / histogram_count({native})"


def per_minute(counter: str, scope: str, by: str = "") -> str:
    """Return the query of a counter's rate per minute, by labels or in total."""
    return f"sum{by and f' by ({by}) '}(rate({counter}{{{scope}}}[{RATE}])) * 60"


def timestamp_ms(metric: str, scope: str) -> str:
    """Return the query of a tenant's timestamp in ms, as Grafana reads it; absent while it is 0."""
    return f"(max by (job, tenant) ({metric}{{{scope}}}) > 0) * 1000"
