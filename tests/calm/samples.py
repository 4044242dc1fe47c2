"""What Prometheus would have scraped of the simulated world, as OpenMetrics, a day a file."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.alerting.fleet import CULPRITS, REASONS
from tests.alerting.histograms import BOUNDS
from tests.calm import world
from tests.calm.world import DAY, LOCATIONS, PROBES

START = 1_769_990_400  # Monday, 2026-02-02, 0:00 UTC
Column = list[float]
EVERY_MINUTES = {"counter": 2, "gauge": 1}
"""A sample that says the same is left out, unless one was left out for so long."""
_KEPT = ("credential", "request", "platform", "network", "undecided")
_NO_FAILURES = dict.fromkeys(CULPRITS, 0)
SLOW_MINUTES = 5
"""Latencies are asked for by the hour, so that few of their samples are enough."""


@dataclass
class _ProbeState:
    """The counters of a probe, which go on from day to day."""

    runs: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))
    in_a_row: dict[str, int] = field(default_factory=lambda: _NO_FAILURES)
    skipped: int = 0
    not_found: int = 0
    last_run: float = 0.0
    last_success: float = 0.0
    succeeded: bool = False
    was_rejected: bool = False


@dataclass
class _LatencyState:
    counts: list[int]
    answers: int = 0
    seconds: float = 0.0


class Samples:
    """Writes one day after the other."""

    def __init__(self) -> None:
        self._probes = {
            (location, tenant, probe): _ProbeState()
            for location in LOCATIONS
            for tenant, probes in PROBES.items()
            for probe in probes
        }
        self._latencies: dict[tuple[str, str, str], _LatencyState] = {}

    def write(self, day: int, file: Path) -> None:
        """Write the day's samples; days come in order."""
        with file.open("w") as out:
            for location in LOCATIONS:
                lost = world.lost_scrapes(location, day)
                for name, kind, column in self._of_location(location, day):
                    out.writelines(_lines(name, kind, column, day, lost))
            out.write("# EOF\n")

    def _of_location(self, location: str, day: int) -> Iterator[tuple[str, str, Column]]:
        owner = f'job="prober",instance="{location}",location="{location}"'
        dead = [world.prober_is_dead(location, day * DAY + each) for each in range(DAY)]
        yield f"up{{{owner}}}", "gauge", [float(not each) for each in dead]
        restarts = [at - day * DAY for at in world.RESTARTS[location] if at // DAY == day]
        every = list(self._own(owner, day))
        for tenant, probes in PROBES.items():
            every += _of_tenant(f'{owner},tenant="{tenant}"', tenant, day)
            every += self._of_latency(owner, location, tenant, day, restarts)
            for probe in probes:
                every += self._of_probe(owner, (location, tenant, probe), day, restarts)
        for name, kind, column in every:
            if any(dead):
                column = [  # noqa: PLW2901 -- what a dead prober would have said is not known
                    value if not gone else float("nan")
                    for value, gone in zip(column, dead, strict=True)
                ]
            yield name, kind, column

    def _own(self, owner: str, day: int) -> Iterator[tuple[str, str, Column]]:
        minutes = range(day * DAY, (day + 1) * DAY)
        heartbeat = f"prober_scheduler_heartbeat_timestamp_seconds{{{owner}}}"
        yield heartbeat, "gauge", [float(START + at * 60) for at in minutes]
        yield f"prober_config_last_reload_successful{{{owner}}}", "gauge", [1.0] * DAY
        first, second = (START + at * 60.0 for at in world.CERTIFICATE)
        host = f'{owner},host="cloud.example"'
        yield (
            f"prober_tls_certificate_expiry_timestamp_seconds{{{host}}}",
            "gauge",
            [first if at < world.CERTIFICATE_RENEWED_AT else second for at in minutes],
        )

    def _of_latency(
        self, owner: str, location: str, tenant: str, day: int, restarts: list[int]
    ) -> Iterator[tuple[str, str, Column]]:
        for side in ("server", "network"):
            name = f"prober_probe_{side}_seconds"
            bounds = BOUNDS[name]
            state = self._latencies.setdefault(
                (location, tenant, side), _LatencyState([0] * len(bounds))
            )
            rows: list[list[float]] = []
            for each in range(0, DAY, SLOW_MINUTES):
                if any(each - SLOW_MINUTES < at <= each for at in restarts):
                    state.counts, state.answers, state.seconds = [0] * len(bounds), 0, 0.0
                at = day * DAY + each
                seconds = world.server_seconds(tenant, at) if side == "server" else 0.04
                state.answers += SLOW_MINUTES
                state.seconds += seconds * SLOW_MINUTES
                for place in range(bisect_left(bounds, seconds), len(bounds)):
                    state.counts[place] += SLOW_MINUTES
                row = [float(count) for count in state.counts]
                rows.append([*row, state.answers, state.answers, state.seconds])
            labels = f'{owner},tenant="{tenant}"'
            names = [f'{name}_bucket{{{labels},le="{bound}"}}' for bound in (*bounds, "+Inf")]
            names += [f"{name}_count{{{labels}}}", f"{name}_sum{{{labels}}}"]
            for place, each_name in enumerate(names):
                column = [float("nan")] * DAY
                column[::SLOW_MINUTES] = [row[place] for row in rows]
                yield each_name, "slow", column

    def _of_probe(
        self, owner: str, key: tuple[str, str, str], day: int, restarts: list[int]
    ) -> Iterator[tuple[str, str, Column]]:
        location, tenant, probe = key
        noise = dict(world.noise(" ".join(key), day))
        quiet = world.is_quiet(day * DAY)
        state, rows = self._probes[key], []
        for each in range(DAY):
            at = day * DAY + each
            if each in restarts:
                state = self._probes[key] = _ProbeState()
            found = None if quiet else world.culprit(location, tenant, probe, at)
            rejected = world.token_is_rejected(tenant, at)
            _record(state, found or noise.get(each) or "none", at, rejected=rejected)
            rows.append(_snapshot(state))
        labels = f'{owner},tenant="{tenant}",probe="{probe}"'
        for place, (name, kind) in enumerate(_names(labels)):
            yield name, kind, [row[place] for row in rows]
        yield f'prober_probe_info{{{labels},severity="ticket"}}', "gauge", [1.0] * DAY
        yield f"prober_probe_interval_seconds{{{labels}}}", "gauge", [60.0] * DAY


def _record(state: _ProbeState, culprit: str, at: int, *, rejected: bool) -> None:
    if rejected and state.was_rejected:
        state.skipped += 1
        return
    state.was_rejected = rejected
    if rejected:
        culprit = "credential"
    state.last_run = float(START + at * 60)
    state.succeeded = culprit == "none"
    if state.succeeded:
        state.last_success = state.last_run
    state.runs[culprit] += 1
    known = state.in_a_row
    if culprit != "none" or known is not _NO_FAILURES:
        failed = {each: known[each] + 1 if each == culprit else 0 for each in CULPRITS}
        state.in_a_row = failed if culprit != "none" else _NO_FAILURES
    if culprit == "request" and at < world.CERTIFICATE[0]:
        state.not_found += 1


def _names(labels: str) -> Iterator[tuple[str, str]]:
    yield f"prober_probe_success{{{labels}}}", "gauge"
    yield f"prober_probe_last_run_timestamp_seconds{{{labels}}}", "gauge"
    yield f"prober_probe_last_success_timestamp_seconds{{{labels}}}", "gauge"
    yield f'prober_probe_skipped_total{{{labels},cause="token_rejected"}}', "counter"
    yield f'prober_probe_http_responses_total{{{labels},code="404"}}', "counter"
    for culprit in CULPRITS:
        yield f'prober_probe_consecutive_failures{{{labels},culprit="{culprit}"}}', "gauge"
    for culprit in ("none", *_KEPT):
        reason, outcome = REASONS[culprit]
        known = f'{labels},culprit="{culprit}",reason="{reason}",outcome="{outcome}"'
        yield f"prober_probe_runs_total{{{known}}}", "counter"


def _snapshot(state: _ProbeState) -> tuple[float, ...]:
    return (
        float(state.succeeded),
        state.last_run,
        state.last_success,
        state.skipped,
        state.not_found,
        *state.in_a_row.values(),
        *(state.runs[each] for each in ("none", *_KEPT)),
    )


def _of_tenant(labels: str, tenant: str, day: int) -> Iterator[tuple[str, str, Column]]:
    minutes = range(day * DAY, (day + 1) * DAY)
    info = f'{labels},environment="production",base_url="https://cloud.example/{tenant}"'
    yield f"prober_tenant_info{{{info}}}", "gauge", [1.0] * DAY
    yield f"prober_tenant_availability_objective_ratio{{{labels}}}", "gauge", [0.995] * DAY
    rejected = [float(world.token_is_rejected(tenant, at)) for at in minutes]
    yield f'prober_token_state{{{labels},state="rejected"}}', "gauge", rejected
    yield f'prober_token_state{{{labels},state="valid"}}', "gauge", [1 - each for each in rejected]
    yield f'prober_token_rejected_cause{{{labels},cause="superseded"}}', "gauge", rejected
    source = f'{labels},fingerprint="{tenant}",source="file"'
    yield f"prober_token_info{{{source}}}", "gauge", [1.0] * DAY
    loads = world.token_loads(tenant)
    if loads:
        since = [loaded for loaded, _ in loads]
        present = [loads[bisect_right(since, at) - 1] for at in minutes]
        seconds = f"prober_token_%s_timestamp_seconds{{{labels}}}"
        yield seconds % "loaded", "gauge", [START + loaded * 60.0 + 1 for loaded, _ in present]
        yield seconds % "expiry", "gauge", [START + expiry * 60.0 for _, expiry in present]


def _lines(name: str, kind: str, column: Column, day: int, lost: frozenset[int]) -> Iterator[str]:
    """Yield the samples of a series."""
    start = START + day * DAY * 60
    pause = EVERY_MINUTES.get(kind, 1)
    before, due = None, 0
    for each, value in enumerate(column):
        if each in lost or value != value:  # noqa: PLR0124 -- not a number
            continue
        if value != before or each >= due:
            before, due = value, each + pause
            yield f"{name} {value:.10g} {start + each * 60}\n"
