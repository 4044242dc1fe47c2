"""From what is written to tenants and probes: defaults applied, cross-checks made.

Pure; problems are collected, not raised one by one.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Literal

from prober.access.rules import Access
from prober.credential import OAuthClient, TokenSource, TokenSourceKind
from prober.errors import Problem
from prober.maintenance import Window
from prober.model import WHOLE, Probe, Shard, Tenant, TransportOptions
from prober.settings.probe_schema import OwnProbe
from prober.settings.probes import Origins, probe_of, uses
from prober.settings.schema import Defaults, TenantEntry, Way
from prober.settings.token_schema import OAuth, Secret, Token
from prober.settings.url import is_readable_on_the_way
from prober.settings.yaml_file import KeyPath, Note

_FASTEST_BURN = 14.4  # of the alert rules: over an hour, the budget of 30 days goes in two
_FEWEST_ERRORS = 3.0


@dataclass(frozen=True, slots=True)
class WebOptions:
    """Where the daemon listens, and how many series it may export."""

    host: str
    port: int
    max_series: int
    histograms: Literal["probe", "tenant", "off"]
    ad_hoc_runs: bool
    reload: bool
    hosts: tuple[str, ...]
    config_file: Path | None = None
    max_connections: int = 512


@dataclass(frozen=True, slots=True)
class ScheduleOptions:
    """Limits on runs."""

    concurrency: int
    grace_seconds: float
    misfire_grace_seconds: float


@dataclass(frozen=True, slots=True)
class MeasurementOptions:
    """When a measurement is believed."""

    max_loop_lag_seconds: float


@dataclass(frozen=True, slots=True)
class TokenOptions:
    """When a rejected token is tried again."""

    canary_first_seconds: float
    canary_limit_seconds: float


@dataclass(frozen=True, slots=True)
class HistoryOptions:
    """What is remembered, and for how long."""

    enabled: bool
    retention_seconds: float
    max_bytes: int


@dataclass(frozen=True, slots=True)
class ReloadOptions:
    """When the configuration is read anew."""

    on_change: bool


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"]
    format: Literal["auto", "json", "console"]


@dataclass(frozen=True, slots=True)
class Configuration:
    """All that the daemon needs to know; `hash` changes when any of what is written does."""

    tenants: tuple[Tenant, ...]
    web: WebOptions
    access: Access
    schedule: ScheduleOptions
    measurement: MeasurementOptions
    tokens: TokenOptions
    log: LogOptions
    history: HistoryOptions
    reload: ReloadOptions
    state_directory: Path
    hash: str
    source: Path
    warnings: tuple[Problem, ...] = ()
    shard: Shard = WHOLE


def resolve_tenants(
    entries: Mapping[int, TenantEntry],
    own: Mapping[str, OwnProbe],
    broken: frozenset[str],
    defaults: Defaults,
    directory: Path,
    maintenance: Sequence[Window] = (),
) -> tuple[tuple[Tenant, ...], list[Note], list[Note]]:
    """Return tenants, problems and warnings.

    `entries` are keyed by their number in the file; `broken` names own probes that are written
    wrongly, so that their use is not told as unknown as well.
    """
    problems: list[Note] = []
    origins = Origins(own, broken, defaults)
    tenants: list[Tenant] = []
    names: dict[str, int] = {}
    for number, entry in entries.items():
        at = ("tenants", number)
        if entry.name in names:
            message = (
                f"'{entry.name}' is the name of tenants[{names[entry.name]}] too: write another"
            )
            problems.append(((*at, "name"), message))
        names.setdefault(entry.name, number)
        probes, found = _probes(entry, origins, at)
        problems += found
        tenant = _tenant(entry, probes, defaults, directory)
        tenants.append(replace(tenant, maintenance=(*maintenance, *tenant.maintenance)))
    return tuple(tenants), problems, _warnings(entries, tenants)


def state_directory(written: str | None, file: Path, environ: Mapping[str, str]) -> Path:
    """Return where state is kept; systemd's directory is the unit's own, others are shared."""
    if written is not None:
        return file.parent / written
    by_systemd = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if by_systemd:
        return Path(by_systemd)
    home = environ.get("HOME") or "/"
    base = environ.get("XDG_STATE_HOME") or f"{home}/.local/state"
    return Path(base, "prober", file.stem)


def _probes(
    entry: TenantEntry, origins: Origins, at: KeyPath
) -> tuple[tuple[Probe, ...], list[Note]]:
    probes: list[Probe] = []
    problems: list[Note] = []
    seen: set[str] = set()
    for number, use in enumerate(uses(entry)):
        here = (*at, "probes", number) if entry.probes is not None else at
        probe, wrong = probe_of(use, entry, origins)
        problems += [((*here, *path), message) for path, message in wrong]
        if probe is None:
            continue
        if probe.name in seen:
            message = f"'{probe.name}' stands here twice: give one of them another 'name'"
            problems.append((here, message))
        seen.add(probe.name)
        probes.append(probe)
    if entry.probes == []:
        problems.append(((*at, "probes"), "is empty: name a probe, or leave the key out"))
    return tuple(probes), problems


def _tenant(
    entry: TenantEntry, probes: Sequence[Probe], defaults: Defaults, directory: Path
) -> Tenant:
    availability = entry.objectives.availability or defaults.objectives.availability or 0.995
    return Tenant(
        name=entry.name,
        environment=entry.environment,
        base_url=_base_url(entry),
        token=_token(entry.token, directory),
        probes=tuple(probes),
        transport=_transport(entry, defaults, directory),
        labels=dict(entry.labels),
        availability_objective_ratio=availability,
        concurrency=entry.concurrency or defaults.concurrency or 10,
        maintenance=tuple(each.window() for each in entry.maintenance),
    )


def _base_url(entry: TenantEntry) -> str:
    if entry.base_url is not None:
        return entry.base_url
    if entry.domain is not None:
        return f"https://{entry.domain}.reinfer.io"
    return f"https://cloud.uipath.com/{entry.organisation}/{entry.tenant}/reinfer_"


def _token(token: Token, directory: Path) -> TokenSource:
    expires_at = None
    if token.expires_at is not None:
        moment = token.expires_at
        if not isinstance(moment, datetime):
            moment = datetime.combine(moment, time(), UTC)
        expires_at = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if token.oauth is not None:
        return _oauth(token.oauth, directory)
    kind, location = _place(token, directory)
    return TokenSource(kind, location, expires_at, token.max_age)


def _oauth(oauth: OAuth, directory: Path) -> TokenSource:
    secret = TokenSource(*_place(oauth.client_secret, directory))
    client = OAuthClient(oauth.client_id, secret, oauth.scope)
    return TokenSource(TokenSourceKind.OAUTH, oauth.token_url, client=client)


def _place(written: Token | Secret, directory: Path) -> tuple[TokenSourceKind, str]:
    if written.env is not None:
        return TokenSourceKind.ENVIRONMENT, written.env
    return TokenSourceKind.FILE, str(directory / Path(written.file or ""))


def _transport(entry: Way, defaults: Way, directory: Path) -> TransportOptions:
    proxy = entry.proxy or defaults.proxy or "environment"
    ca_file = entry.ca_file or defaults.ca_file
    shown = entry.client_certificate or defaults.client_certificate
    return TransportOptions(
        proxy_url=None if proxy in {"environment", "none"} else proxy,
        proxy_from_environment=proxy == "environment",
        ca_file=None if ca_file is None else directory / ca_file,
        client_certificate_file=None if shown is None else directory / shown.certificate,
        client_key_file=None if shown is None or shown.key is None else directory / shown.key,
    )


def honest_availability(tenant: Tenant) -> float:
    """Return the greatest objective whose fastest burn alert rests on three failures at least."""
    runs_an_hour = sum(3600 / probe.interval_seconds for probe in tenant.probes)
    if runs_an_hour == 0:
        return 1.0
    return max(0.0, 1 - _FEWEST_ERRORS / (_FASTEST_BURN * runs_an_hour))


def _warnings(entries: Mapping[int, TenantEntry], tenants: Sequence[Tenant]) -> list[Note]:
    warnings: list[Note] = []
    users: dict[tuple[str, ...], str] = {}
    for number, tenant in zip(entries, tenants, strict=True):
        at = ("tenants", number)
        origin = tenant.token.origin
        if origin in users:
            message = f"shares its token with tenant '{users[origin]}': they share a fate"
            warnings.append(((*at, "token"), message))
        users.setdefault(origin, tenant.name)
        honest = honest_availability(tenant)
        if tenant.availability_objective_ratio > honest:
            message = (
                f"promises an availability of {tenant.availability_objective_ratio:.4%} that"
                " its probes are too rare to judge: a page would rest on less than"
                f" {_FEWEST_ERRORS:g} failures; probe more often, or promise at most {honest:.4%}"
            )
            warnings.append((at, message))
        if is_readable_on_the_way(tenant.base_url):
            message = "is plain http: the token travels where anybody on the way can read it"
            warnings.append(((*at, "base_url"), message))
        if tenant.token.client is not None and is_readable_on_the_way(tenant.token.location):
            message = "is plain http: the secret travels where anybody on the way can read it"
            warnings.append(((*at, "token", "oauth", "token_url"), message))
    return warnings


def canonical(value: object) -> bytes:
    """Return JSON that is equal for equal values: what the configuration's hash is made of."""
    return json.dumps(value, sort_keys=True, default=str).encode()
