"""A tenant's latency: server time and network time, side by side."""

from prober.models import PHASE_NAMES
from prober.outcomes import LatencyComponent
from tools.grafana.field_config import SECONDS
from tools.grafana.palette import PLAIN, SIDE_COLOURS
from tools.grafana.panels import (
    DASHED,
    DOTTED,
    OBJECTIVE,
    About,
    AnyPanel,
    Column,
    Query,
    lines,
    listing,
    matrix,
)
from tools.grafana.queries import HERE, PROBE, RATE, mean, per_minute, quantile

_HALF, _THIRD = (12, 9), (8, 9)
_WORDS = {LatencyComponent.SERVER: "platform", LatencyComponent.NETWORK: "network"}
_RESPONSIBLE = {
    LatencyComponent.SERVER: "the supplier is responsible",
    LatencyComponent.NETWORK: "check the network path",
}
_COLOURS = {words: SIDE_COLOURS[side] for side, words in _WORDS.items()}
_RUNBOOKS = {
    LatencyComponent.SERVER: "ProberServerSlow",
    LatencyComponent.NETWORK: "ProberNetworkSlow",
}
_OWN = "prober"
_BOTH = tuple(_RUNBOOKS.values())


def latency() -> list[AnyPanel]:
    """Return the panels, three rows of them."""
    parts = map(_percentiles, LatencyComponent)
    connections = [_round_trips(), _retransmissions(), _stale_connections()]
    return [_split(), _slow(), _phases(), *parts, *connections]


def _split() -> AnyPanel:
    return lines(
        About(
            "Mean response time",
            "The layer that grows is slow: the platform by its Server-Timing, or the network path."
            " The prober's own time is in neither.",
            _BOTH,
        ),
        [
            Query(mean(f"prober_probe_{side}_seconds", PROBE), _WORDS[side])
            for side in LatencyComponent
        ]
        + [Query(mean("prober_probe_own_seconds", HERE), _OWN)],
        _THIRD,
        "s",
        {**_COLOURS, _OWN: PLAIN},
        stacked=True,
    )


def _slow() -> AnyPanel:
    responses = f"sum(rate(prober_probe_duration_seconds_count{{{PROBE}}}[{RATE}]))"
    slow = f"prober_probe_latency_objective_missed_total{{{PROBE}, component="
    return lines(
        About(
            "Share of responses over the objective",
            "Over half for long opens a ticket, by component, for the responsible party.",
            _BOTH,
        ),
        [
            Query(f'sum(rate({slow}"{side}"}}[{RATE}])) / {responses}', words)
            for side, words in _WORDS.items()
        ],
        _THIRD,
        "percentunit",
        _COLOURS,
    )


def _phases() -> AnyPanel:
    return listing(
        About(
            "Phases of the last run",
            "wait contains the server time; any other long phase is the network path.",
            (_RUNBOOKS[LatencyComponent.NETWORK],),
            nothing="No run yet.",
        ),
        [
            Query(
                f"max by (probe, phase) (prober_probe_last_phase_duration_seconds{{{PROBE}}})",
                "seconds",
            )
        ],
        [
            Column(r"probe\phase", "Probe"),
            *(Column(phase, phase.capitalize(), SECONDS) for phase in PHASE_NAMES),
        ],
        _THIRD,
        "-Wait",
        matrix("probe", "phase"),
    )


def _percentiles(side: LatencyComponent) -> AnyPanel:
    histogram = f"prober_probe_{side}_seconds"
    objective = f'max(prober_probe_latency_objective_seconds{{{PROBE}, component="{side}"}})'
    return lines(
        About(
            f"Time of the {_WORDS[side]}",
            f"p50 over the objective: mostly slow, {_RESPONSIBLE[side]}; p99 alone: sometimes.",
            (_RUNBOOKS[side],),
        ),
        [
            Query(quantile(0.5, histogram, PROBE), "p50"),
            Query(quantile(0.95, histogram, PROBE), "p95", DASHED),
            Query(quantile(0.99, histogram, PROBE), "p99", DOTTED, has_exemplars=True),
            Query(objective, "objective", OBJECTIVE),
        ],
        _HALF,
        "s",
        {**dict.fromkeys(("p50", "p95", "p99"), SIDE_COLOURS[side]), "objective": PLAIN},
    )


def _round_trips() -> AnyPanel:
    return lines(
        About(
            "TCP round trip of the last run",
            "Distance, by the kernel's own measurement: to the platform's edge, or to the proxy.",
            (_RUNBOOKS[LatencyComponent.NETWORK],),
        ),
        [Query(f"max by (probe) (prober_probe_last_tcp_rtt_seconds{{{PROBE}}})", "{{probe}}")],
        _THIRD,
        "s",
    )


def _retransmissions() -> AnyPanel:
    return lines(
        About(
            "TCP segments sent again",
            "Loss on the way there: each costs at least 0.2 s of the network's time.",
            (_RUNBOOKS[LatencyComponent.NETWORK],),
        ),
        [Query(per_minute("prober_probe_tcp_retransmissions_total", PROBE, "probe"), "{{probe}}")],
        _THIRD,
        "cpm",
    )


def _stale_connections() -> AnyPanel:
    return lines(
        About(
            "Requests sent again on a new connection",
            "The server closed a kept connection without a response. A lasting rate: its idle"
            " timeout is shorter than the interval; use `connection: fresh`.",
            (_RUNBOOKS[LatencyComponent.NETWORK],),
        ),
        [Query(per_minute("prober_probe_stale_connections_total", PROBE, "probe"), "{{probe}}")],
        _THIRD,
        "cpm",
    )
