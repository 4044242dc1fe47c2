"""The prober itself: whether it lives, is punctual, measures well, and remembers."""

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
HEARTBEAT_LIMIT_SECONDS, LATENESS_LIMIT_SECONDS, LAG_LIMIT_SECONDS = 90.0, 1.0, 0.05
_SKIPS = (
    f'rate(prober_probe_skipped_total{{{INSTANCE}, cause!~"token_rejected|rate_limited"}}'
    "[$__range])"
)
_RUNS = f"rate(prober_probe_runs_total{{{INSTANCE}}}[$__range])"
_DISCARDS = f"rate(prober_measurements_discarded_total{{{INSTANCE}}}[$__range])"


def itself() -> Dashboard:
    """Return the dashboard of the probers themselves."""
    return framed(
        layout.ITSELF,
        "Prober: itself",
        "Whether the prober lives, is punctual, measures well, and remembers.",
        [layout.INSTANCES],
        [
            Row("", [*_life(), *_losses()]),
            Row("Punctual", [_quantiles_of_lateness(), _skipped(), _in_flight()]),
            Row("Trustworthy", [_quantiles_of_lag(), _discarded(), _anomalies()]),
            Row("Memory and settings", [_history(), _lost(), _settings()]),
        ],
    )


def _of(name: str) -> str:
    return f"{name}{{{INSTANCE}}}"


def _life() -> list[AnyPanel]:
    heartbeat = _of("prober_scheduler_heartbeat_timestamp_seconds")
    return [
        number(
            About("Answers", "No: it has ended, hangs, or cannot be reached.", ("ProberDown",)),
            f"min({_of('up')})",
            _GLANCE,
            YES,
        ),
        number(
            About(
                "Age of the heartbeat",
                "Over 90 s: the scheduler stands still, and all numbers are of the past.",
                ("ProberSchedulerStalled",),
            ),
            f"max(time() - {heartbeat})",
            _GLANCE,
            Look("s", 0, steps=((None, GOOD), (HEARTBEAT_LIMIT_SECONDS, BAD))),
        ),
        number(
            About(
                "Settings usable",
                "No: it goes on with those before; `prober validate` lists every problem.",
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
                "Runs skipped in this time",
                "Over 5 %: it has more to do than it can; those held back by a token do not count.",
                ("ProberOverloaded",),
            ),
            f"sum({_SKIPS}) / (sum({_SKIPS}) + sum({_RUNS}))",
            _GLANCE,
            SHARE_LOST,
        ),
        number(
            About(
                "Measurements discarded",
                "Over 5 %: its machine is too busy to trust its times; outcomes still count.",
                ("ProberOverloaded",),
            ),
            f"sum({_DISCARDS}) / sum({_RUNS})",
            _GLANCE,
            SHARE_LOST,
        ),
        number(
            About(
                "History written",
                "Minutes ago, or never: what happens now will not be remembered.",
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


def _quantiles_of_lateness() -> AnyPanel:
    about = About(
        "Lateness of runs",
        "p99 near the limit: runs start late, since the prober has more to do than it can.",
        ("ProberOverloaded",),
    )
    return _quantiles(about, "prober_scheduler_delay_seconds", LATENESS_LIMIT_SECONDS)


def _quantiles_of_lag() -> AnyPanel:
    about = About(
        "Lag of the event loop",
        "How late arrivals are read; a busy machine shows here first. Times of the network are free"
        " of it where the kernel stamps arrivals.",
        ("ProberOverloaded",),
    )
    return _quantiles(about, "prober_event_loop_lag_seconds", LAG_LIMIT_SECONDS)


def _skipped() -> AnyPanel:
    return lines(
        About(
            "Skipped runs by cause",
            "overlap: answers take longer than the interval; concurrency, misfire: too much to do;"
            " token_rejected: on purpose.",
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
            "A level that does not fall again: answers hang, and later runs will overlap.",
        ),
        [Query(f"sum by (instance) ({_of('prober_probes_in_flight')})", "{{instance}}")],
        _THIRD,
        "none",
    )


def _discarded() -> AnyPanel:
    return lines(
        About(
            "Discarded measurements by cause",
            "Any rate that stays: give the prober a calmer machine, or fewer probes.",
            ("ProberOverloaded",),
        ),
        [Query(per_minute("prober_measurements_discarded_total", INSTANCE, "cause"), "{{cause}}")],
        _THIRD,
        "cpm",
    )


def _anomalies() -> AnyPanel:
    return lines(
        About(
            "Answers whose time could not be split",
            "missing: no Server-Timing came; exceeds_total: more was told than was waited.",
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
            "Flat at its limit is well: the oldest is let go; 0: none is kept, the log says why.",
        ),
        [Query(f"sum by (instance) ({_of('prober_history_size_bytes')})", "{{instance}}")],
        _THIRD,
        "bytes",
    )


def _lost() -> AnyPanel:
    failures = f"increase({_of('prober_state_write_failures_total')}[{RATE}])"
    lost = f"increase({_of('prober_history_dropped_total')}[{RATE}])"
    return lines(
        About(
            "What memory lost",
            "over_size only says that 30 days do not fit; any other cause is a disk to look after.",
            ("ProberStateNotSaved",),
        ),
        [
            Query(f"sum by (cause) ({lost})", "history: {{cause}}"),
            Query(f"sum({failures})", "state not saved"),
        ],
        _THIRD,
        "none",
    )


def _settings() -> AnyPanel:
    version = f"max by (job, instance, version) ({_of('prober_build_info')})"
    settings = f"max by (job, instance, hash) ({_of('prober_config_info')})"
    moment = _of("prober_config_last_reload_success_timestamp_seconds")
    read = (
        f"{version} * on (job, instance) group_right (version) {settings}"
        f" * on (job, instance) group_left () max by (job, instance) ({moment}) * 1000"
    )
    return listing(
        About(
            "Settings and version of each prober",
            "Two hashes or versions in one job: a roll-out is not complete.",
            ("ProberReloadFailed",),
        ),
        [Query(read, "read")],
        [
            Column("instance", "Prober"),
            Column("version", "Version"),
            Column("hash", "Settings"),
            Column("read", "Read", AGO),
        ],
        _THIRD,
        "Prober",
    )
