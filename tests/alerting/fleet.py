"""A fleet of tenants whose probes fail as a scenario says, as the series of Prometheus.

Time is in seconds from 0. Each probe runs once a minute; samples come every 30 s.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

STEP_SECONDS = 30
RUN_SECONDS = 60
TENANTS = ("acme", "beta", "core", "data", "echo")
PROBES = {"acme": ("datasets", "sources", "projects")}
ONE_PROBE = ("datasets",)
CULPRITS = ("credential", "request", "tenant", "platform", "network", "undecided", "prober")
REASONS = {
    "none": ("ok", "success"),
    "credential": ("permission_denied", "auth_failure"),
    "request": ("client_error", "api_error"),
    "tenant": ("expectation_failed", "api_error"),
    "platform": ("server_error", "api_error"),
    "network": ("connection_refused", "network_failure"),
    "undecided": ("response_timeout", "network_failure"),
    "prober": ("internal_error", "prober_fault"),
}
CHECK_FAILED = "check failed: "
"""The prefix of a scenario's run with a failed check; the culprit follows."""
NOT_RUN = "not run"
REJECTED = "rejected"


@dataclass(frozen=True)
class Place:
    """One probe of one tenant, as one location probes it."""

    location: str
    tenant: str
    probe: str


Scenario = Callable[[Place, int], str]
"""The culprit of a run ("none": a success), CHECK_FAILED and a culprit, NOT_RUN, or REJECTED, by
place and time."""


@dataclass
class _Probe:
    """What a prober exports of a probe; `record` takes in a run."""

    at: float = 0.0
    succeeded: bool = False
    succeeded_at: float = 0.0
    in_a_row: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CULPRITS, 0))
    runs: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))
    check_failures: dict[str, int] = field(default_factory=dict)
    skipped: int = 0
    token_rejected: bool = False

    def record(self, culprit: str, at: float) -> None:
        if culprit == NOT_RUN:
            return
        if culprit == REJECTED:
            if self.token_rejected:
                self.skipped += 1
                return
            self.token_rejected, culprit = True, "credential"
        self.at, self.succeeded = at, culprit == "none"
        if self.succeeded:
            self.succeeded_at = at
        if culprit.startswith(CHECK_FAILED):
            culprit = culprit.removeprefix(CHECK_FAILED)
            self.in_a_row = dict.fromkeys(CULPRITS, 0)
            self.check_failures[culprit] = self.check_failures.get(culprit, 0) + 1
            return
        known = self.in_a_row
        self.in_a_row = {each: known[each] + 1 if each == culprit else 0 for each in CULPRITS}
        self.runs[culprit] += 1


def places(locations: tuple[str, ...]) -> Iterator[Place]:
    for location in locations:
        for tenant in TENANTS:
            for probe in PROBES.get(tenant, ONE_PROBE):
                yield Place(location, tenant, probe)


def series(job: str, locations: tuple[str, ...], scenario: Scenario, until: int) -> dict[str, str]:
    """Return promtool's input series of a whole fleet, under a job of its own."""
    columns: dict[str, list[float]] = {}
    for place in places(locations):
        for name, values in _of_place(job, place, scenario, until):
            if name not in columns:
                columns[name] = values
            else:  # a token's state is that of any of its tenant's probes
                columns[name] = [max(pair) for pair in zip(columns[name], values, strict=True)]
    return {name: " ".join(f"{each:g}" for each in values) for name, values in columns.items()}


def _of_place(
    job: str, place: Place, scenario: Scenario, until: int
) -> Iterator[tuple[str, list[float]]]:
    phase = STEP_SECONDS * (TENANTS.index(place.tenant) % 2)
    known, rows = _Probe(), []
    for at in range(0, until + 1, STEP_SECONDS):
        if at % RUN_SECONDS == phase:
            known.record(scenario(place, at), at or 1)
        rows.append(_row(job, place, known))
    for name in rows[0]:
        values = [row[name] for row in rows]
        if any(values) or "_total{" not in name:
            yield name, values


def _row(job: str, place: Place, probe: _Probe) -> dict[str, float]:
    owner = f'job="{job}",instance="{place.location}",location="{place.location}"'
    tenant = f'{owner},tenant="{place.tenant}"'
    one = f'{tenant},probe="{place.probe}"'
    fingerprint = f'fingerprint="{place.tenant}",source="file"'
    row = {
        f'prober_tenant_info{{{tenant},environment="production",base_url="https://x"}}': 1,
        f"prober_tenant_availability_objective_ratio{{{tenant}}}": 0.995,
        f'prober_token_state{{{tenant},state="rejected"}}': probe.token_rejected,
        f'prober_token_rejected_cause{{{tenant},cause="superseded"}}': probe.token_rejected,
        f"prober_token_info{{{tenant},{fingerprint}}}": 1,
        f"prober_probe_interval_seconds{{{one}}}": RUN_SECONDS,
        f"prober_probe_success{{{one}}}": probe.succeeded,
        f"prober_probe_last_run_timestamp_seconds{{{one}}}": probe.at,
        f"prober_probe_last_success_timestamp_seconds{{{one}}}": probe.succeeded_at,
        f'prober_probe_skipped_total{{{one},cause="token_rejected"}}': probe.skipped,
    }
    for culprit, count in probe.in_a_row.items():
        row[f'prober_probe_consecutive_failures{{{one},culprit="{culprit}"}}'] = count
    for culprit, count in probe.runs.items():
        reason, outcome = REASONS[culprit]
        labels = f'culprit="{culprit}",reason="{reason}",outcome="{outcome}"'
        row[f"prober_probe_runs_total{{{one},{labels}}}"] = count
    for culprit in CULPRITS:
        labels = f'culprit="{culprit}",reason="check_failed",outcome="api_error"'
        count = probe.check_failures.get(culprit, 0)
        row[f"prober_probe_runs_total{{{one},{labels}}}"] = count
    return {name: float(value) for name, value in row.items()}
