"""What one result changes: the series of one probe, looked up once and kept."""

from collections.abc import Mapping
from types import MappingProxyType

from prober.model import Exchange, Probe, Result, TcpEvidence, Tenant, Verdict
from prober.outcomes import Counterpart, Culprit, Provenance, Side
from prober.recorders.series import ONLY
from prober.recorders.store import LOOP_LAG, OTHER, OWN, Store
from prober.verdict.latency import is_trustworthy, slow_sides

MAX_CODES = 8
"""How many status codes a probe has series for; all further ones are counted as `other`."""

_NO_FAILURES: Mapping[str, float] = MappingProxyType(
    {culprit: 0.0 for culprit in Culprit if culprit is not Culprit.NONE}
)


class ProbeSeries:
    """The series of one probe, and what a result does to them."""

    __slots__ = (
        "_anomalies",
        "_codes",
        "_consecutive",
        "_discarded",
        "_duration",
        "_interval",
        "_last_run",
        "_last_seconds",
        "_last_success",
        "_maintenance_runs",
        "_network",
        "_objective",
        "_own",
        "_phases",
        "_probe",
        "_retransmissions",
        "_round_trip",
        "_runs",
        "_server",
        "_skipped",
        "_slow",
        "_success",
    )

    def __init__(self, store: Store, tenant: Tenant, probe: Probe) -> None:
        owner = (tenant.name, probe.name)
        self._runs = store.block("prober_probe_runs_total", owner)
        self._success = store.block("prober_probe_success", owner)
        self._consecutive = store.block("prober_probe_consecutive_failures", owner)
        self._interval = store.block("prober_probe_interval_seconds", owner)
        self._last_run = store.block("prober_probe_last_run_timestamp_seconds", owner)
        self._last_success = store.block("prober_probe_last_success_timestamp_seconds", owner)
        self._duration = store.histogram("prober_probe_duration_seconds", owner)
        self._server = store.histogram("prober_probe_server_seconds", owner)
        self._network = store.histogram("prober_probe_network_seconds", owner)
        self._own = store.histogram("prober_probe_own_seconds", owner)
        self._retransmissions = store.block("prober_probe_tcp_retransmissions_total", owner)
        self._round_trip = store.block("prober_probe_last_tcp_rtt_seconds", owner)
        self._last_seconds = store.block("prober_probe_last_duration_seconds", owner)
        self._phases = store.block("prober_probe_last_phase_duration_seconds", owner)
        self._slow = store.block("prober_probe_latency_objective_missed_total", owner)
        self._objective = store.block("prober_probe_latency_objective_seconds", owner)
        self._codes = store.block("prober_probe_http_responses_total", owner)
        self._anomalies = store.block("prober_probe_server_timing_anomalies_total", owner)
        self._discarded = store.block("prober_measurements_discarded_total", owner)
        self._skipped = store.block("prober_probe_skipped_total", owner)
        self._maintenance_runs = store.block("prober_maintenance_runs_total", owner)
        self.configure(probe)

    def configure(self, probe: Probe) -> None:
        """Take over the probe's settings; its counters stay."""
        self._probe = probe
        self._interval.set(probe.interval_seconds)
        self._objective.replace(
            {
                Side.SERVER: probe.server_objective_seconds,
                Side.NETWORK: probe.network_objective_seconds,
            }
        )

    def skipped(self, cause: str) -> None:
        """Count a run that was not started."""
        self._skipped.add(key=cause)

    def record(self, result: Result, max_loop_lag_seconds: float) -> bool:
        """Take in a result: the outcome always, durations of the API if they are to be trusted.

        Tell whether they were discarded.
        """
        exchange, verdict = result.exchange, result.verdict
        self._record_verdict(result)
        if result.counterpart is not Counterpart.API:
            self._phases.replace({})
            self._last_seconds.replace({})
            return False
        self._record_connection(exchange.tcp)
        if exchange.failure is None and exchange.response is not None:
            self._count_code(str(exchange.response.status))
        answered = _answered_by_platform(exchange, verdict)
        if answered and verdict.latency.anomaly is not None:
            self._anomalies.add(key=verdict.latency.anomaly)
        if not is_trustworthy(exchange, max_loop_lag_seconds):
            self._discarded.add(key=LOOP_LAG)
            return True
        self._phases.replace(dict(exchange.phases.as_pairs()))
        if answered:
            self._record_latency(result)
        else:
            self._last_seconds.replace({})
        return False

    def _record_connection(self, tcp: TcpEvidence | None) -> None:
        self._round_trip.replace({} if tcp is None else {ONLY: tcp.rtt_seconds})
        if tcp is not None and tcp.retransmissions:
            self._retransmissions.add(float(tcp.retransmissions))

    def _record_verdict(self, result: Result) -> None:
        verdict = result.verdict
        if result.in_maintenance:
            self._maintenance_runs.add(key=verdict.outcome)
        else:
            self._runs.add(key=verdict.reason)
        self._last_run.set(result.started_at)
        self._success.set(1.0 if verdict.succeeded else 0.0)
        if verdict.succeeded:
            self._last_success.set(result.started_at)
        in_a_row = dict(_NO_FAILURES)
        if verdict.culprit in in_a_row and not result.in_maintenance:
            in_a_row[verdict.culprit] = self._consecutive.values[verdict.culprit] + 1.0
        self._consecutive.replace(in_a_row)

    def _count_code(self, code: str) -> None:
        codes = self._codes
        if code not in codes.values:
            if len(codes.values) > MAX_CODES:  # `other` is one of them, and no code
                code = OTHER
            else:
                codes.declare(code, (code,))
                codes.set(0.0, code)
        codes.add(key=code)

    def _record_latency(self, result: Result) -> None:
        latency, counts = result.verdict.latency, not result.in_maintenance
        if self._duration is not None and counts:
            self._duration.observe(latency.total_seconds)
        if latency.server_seconds is None or latency.network_seconds is None:
            self._last_seconds.replace({})
            return
        if self._server is not None and self._network is not None and counts:
            self._server.observe(latency.server_seconds)
            self._network.observe(latency.network_seconds)
        if self._own is not None and counts:
            self._own.observe(latency.own_seconds)
        sides: dict[str, float] = {
            Side.SERVER: latency.server_seconds,
            Side.NETWORK: latency.network_seconds,
            OWN: latency.own_seconds,
        }
        self._last_seconds.replace(sides)
        for side in slow_sides(latency, self._probe) if counts else ():
            self._slow.add(key=side)


def _answered_by_platform(exchange: Exchange, verdict: Verdict) -> bool:
    """Tell whether a whole answer came, and from the platform: only such are measured."""
    return exchange.failure is None and verdict.provenance is Provenance.PLATFORM
