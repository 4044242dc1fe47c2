"""The prober itself: whether it is up, on time, accurate, and records its history."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.grafana import layout
from tools.grafana.field_config import AGO, SHARE_LOST, YES
from tools.grafana.layout import Row, framed
from tools.grafana.palette import BAD, GOOD, NEUTRAL, PLAIN
from tools.grafana.panels import (
    DASHED,
    OBJECTIVE,
    About,
    AnyPanel,
    Column,
    Look,
    Query,
    lines,
    listing,
    number,
)
from tools.grafana.queries import INSTANCE, RATE, per_minute, quantile

_GLANCE, _HALF, _THIRD = (4, 4), (12, 8), (8, 8)
# As the alerts on them have it.
HEARTBEAT_LIMIT_SECONDS, START_DELAY_LIMIT_SECONDS, LAG_LIMIT_SECONDS = 90.0, 1.0, 0.05
_SKIPS = (
    f'rate(prober_probe_skipped_total{{{INSTANCE}, cause!~"token_rejected|rate_limited"}}'
    "[$__range])"
)
_RUNS = f"rate(prober_probe_runs_total{{{INSTANCE}}}[$__range])"
_DISCARDS = f"rate(prober_measurements_discarded_total{{{INSTANCE}}}[$__range])"


def self_monitoring() -> Dashboard:
    """Return the dashboard of the probers themselves."""
    return framed(
        layout.SELF_MONITORING,
        "Prober: self-monitoring",
        "Whether the prober is up, on time, accurate, and records its history.",
        [layout.INSTANCES],
        [
            Row("", [*_up(), *_losses()]),
            Row("Schedule", [_start_delay(), _skipped(), _in_flight()]),
            Row("Accuracy", [_loop_lag(), _discarded(), _anomalies()]),
            Row("History and configuration", [_history(), _lost(), _configurations()]),
        ],
    )


def _of(name: str) -> str:
    return f"{name}{{{INSTANCE}}}"


def _up() -> list[AnyPanel]:
    heartbeat = _of("prober_scheduler_heartbeat_timestamp_seconds")
    return [
        number(
            About("Up", "No: it was stopped, hangs, or is not reachable.", ("ProberDown",)),
            f"min({_of('up')})",
            _GLANCE,
            YES,
        ),
        number(
            About(
                "Age of the heartbeat",
                "Over 90 s: the scheduler is stalled, and all values are outdated.",
                ("ProberSchedulerStalled",),
            ),
            f"max(time() - {heartbeat})",
            _GLANCE,
            Look("s", 0, steps=((None, GOOD), (HEARTBEAT_LIMIT_SECONDS, BAD))),
        ),
        number(
            About(
                "Configuration valid",
                "No: the previous one stays in use; `prober validate` lists every problem.",
                ("ProberReloadFailed",),
            ),
            f"min({_of('prober_config_last_reload_successful')})",
            _GLANCE,
            YES,
        ),
    ]


def _losses() -> list[AnyPanel]:
    written = _of("prober_history_last_write_timestamp_seconds")
    return [
        number(
            About(
                "Runs skipped",
                "Over 5 %: the prober is overloaded; runs paused by a rejected token do not count.",
                ("ProberOverloaded",),
            ),
            f"sum({_SKIPS}) / (sum({_SKIPS}) + sum({_RUNS}))",
            _GLANCE,
            SHARE_LOST,
        ),
        number(
            About(
                "Measurements discarded",
                "Over 5 %: the host is too busy for accurate times; outcomes still count.",
                ("ProberOverloaded",),
            ),
            f"sum({_DISCARDS}) / sum({_RUNS})",
            _GLANCE,
            SHARE_LOST,
        ),
        number(
            About(
                "History written",
                "Minutes ago, or never: results are not being recorded.",
                ("ProberStateNotSaved",),
                nothing="never",
            ),
            f"min({written} > 0) * 1000",
            _GLANCE,
            AGO,
        ),
    ]


def _quantiles(about: About, histogram: str, limit: float) -> AnyPanel:
    alerted = f"max({_of('prober_build_info')}) * {limit}"
    return lines(
        about,
        [
            Query(quantile(0.5, histogram, INSTANCE), "p50"),
            Query(quantile(0.99, histogram, INSTANCE), "p99", DASHED),
            Query(alerted, "alert over", OBJECTIVE),
        ],
        _THIRD,
        "s",
        {"p50": NEUTRAL, "p99": NEUTRAL, "alert over": PLAIN},
    )


def _start_delay() -> AnyPanel:
    about = About(
        "Start delay of runs",
        "p99 near the limit: runs start late, the prober is overloaded.",
        ("ProberOverloaded",),
    )
    return _quantiles(about, "prober_scheduler_delay_seconds", START_DELAY_LIMIT_SECONDS)


def _loop_lag() -> AnyPanel:
    about = About(
        "Event loop lag",
        "How late arrivals are read; a busy host is visible here first. Network times do not"
        " include it where the kernel timestamps arrivals.",
        ("ProberOverloaded",),
    )
    return _quantiles(about, "prober_event_loop_lag_seconds", LAG_LIMIT_SECONDS)


def _skipped() -> AnyPanel:
    return lines(
        About(
            "Skipped runs by cause",
            "overlap: responses take longer than the interval; concurrency, misfire: overloaded;"
            " token_rejected: paused on purpose.",
            ("ProberOverloaded",),
        ),
        [Query(per_minute("prober_probe_skipped_total", INSTANCE, "cause"), "{{cause}}")],
        _THIRD,
        "cpm",
        stacked=True,
    )


def _in_flight() -> AnyPanel:
    return lines(
        About(
            "Runs in flight",
            "A level that does not fall: responses hang, and later runs will overlap.",
        ),
        [Query(f"sum by (instance) ({_of('prober_probes_in_flight')})", "{{instance}}")],
        _THIRD,
        "none",
    )


def _discarded() -> AnyPanel:
    return lines(
        About(
            "Discarded measurements by cause",
            "A lasting rate: use a less busy host, or fewer probes.",
            ("ProberOverloaded",),
        ),
        [Query(per_minute("prober_measurements_discarded_total", INSTANCE, "cause"), "{{cause}}")],
        _THIRD,
        "cpm",
    )


def _anomalies() -> AnyPanel:
    return lines(
        About(
            "Responses without a usable server time",
            "missing: no Server-Timing; exceeds_total: it was longer than the whole request.",
        ),
        [
            Query(
                per_minute("prober_probe_server_timing_anomalies_total", INSTANCE, "kind"),
                "{{kind}}",
            )
        ],
        _THIRD,
        "cpm",
    )


def _history() -> AnyPanel:
    return lines(
        About(
            "Size of the history",
            "Flat at its limit is normal: the oldest data is deleted. 0: disabled, or see the log.",
        ),
        [Query(f"sum by (instance) ({_of('prober_history_size_bytes')})", "{{instance}}")],
        _THIRD,
        "bytes",
    )


def _lost() -> AnyPanel:
    failures = f"increase({_of('prober_state_write_failures_total')}[{RATE}])"
    lost = f"increase({_of('prober_history_dropped_total')}[{RATE}])"
    raised = f"increase({_of('prober_sink_failures_total')}[{RATE}])"
    return lines(
        About(
            "Data not recorded",
            "over_size: the retention does not fit into max_size; any other cause: check the disk."
            " error in a sink: see the log.",
            ("ProberStateNotSaved", "ProberSinkFails"),
        ),
        [
            Query(f"sum by (cause) ({lost})", "history: {{cause}}"),
            Query(f"sum({failures})", "state not saved"),
            Query(f"sum by (sink) ({raised})", "error in a sink: {{sink}}"),
        ],
        _THIRD,
        "none",
    )


def _configurations() -> AnyPanel:
    version = f"max by (job, instance, version) ({_of('prober_build_info')})"
    settings = f"max by (job, instance, hash) ({_of('prober_config_info')})"
    reloaded_at = _of("prober_config_last_reload_success_timestamp_seconds")
    read = (
        f"{version} * on (job, instance) group_right (version) {settings}"
        f" * on (job, instance) group_left () max by (job, instance) ({reloaded_at}) * 1000"
    )
    return listing(
        About(
            "Configuration and version of each prober",
            "Different hashes or versions in one job: a roll-out is not complete.",
            ("ProberReloadFailed",),
        ),
        [Query(read, "read")],
        [
            Column("instance", "Prober"),
            Column("version", "Version"),
            Column("hash", "Configuration"),
            Column("read", "Loaded", AGO),
        ],
        _THIRD,
        "Prober",
    )
