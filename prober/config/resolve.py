"""From what is written to tenants and probes: defaults applied, cross-checks made.

Pure; problems are collected, not raised one by one.

From one use of a probe to the `Probe` that is run. Pure.

What keys of `web` and web.yml mean together. Pure.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, Self, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlencode

from pydantic import SecretStr

from prober.config import schema
from prober.config.builtin_probes import CATALOGUE, DEFAULT_PROBES, BuiltinProbe, path_segment
from prober.config.schema import (
    CustomProbe,
    Defaults,
    LatencyObjectives,
    OAuth,
    ProbeOptions,
    ProbeRef,
    Secret,
    TenantEntry,
    Token,
    TransportConfig,
    is_loopback,
    is_remote_plaintext,
)
from prober.config.text_schema import is_name_of_secret
from prober.config.yaml import KeyPath, Note
from prober.errors import ConfigProblem
from prober.maintenance import MaintenanceWindow
from prober.models import (
    SINGLE_SHARD,
    AlertSeverity,
    ConnectionPolicy,
    Expectations,
    OAuthClient,
    Probe,
    Shard,
    Tenant,
    TokenSource,
    TokenSourceKind,
    TransportOptions,
)
from prober.web.auth import AccessPolicy

Problems = list[Note]
_T = TypeVar("_T")

_CONSENT = "add 'i_accept_costs: true' if you mean it"
_BILLED = re.compile(
    r"/(predict|predict-raw-emails|predict-extractions|sync|sync-raw-emails|sync-csv)$"
)
_REFUSED_ROUTES = re.compile(r"/(advance|reset|exceptions)$")
_PARAMETERS = (
    "project", "dataset", "source", "stream", "comment", "uid", "bucket", "model_version",
)  # fmt: skip
_MIN_INTERVAL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class ProbeCatalog:
    """Where a use finds its probe: one's own, else the catalogue; `broken` ones are known."""

    custom: Mapping[str, CustomProbe]
    broken: frozenset[str]
    defaults: Defaults


@dataclass(frozen=True, slots=True)
class OptionLayers:
    """Who may say how a probe is run: the first that says something counts."""

    tuning: tuple[ProbeOptions, ...]
    objectives: tuple[LatencyObjectives, ...]

    @classmethod
    def of(cls, entry: TenantEntry, defaults: Defaults, *said: ProbeOptions) -> Self:
        """Stack what a probe's use and its definition say over the tenant and the defaults."""
        return cls(
            (*said, defaults),
            (*(each.objectives for each in said), entry.objectives, defaults.objectives),
        )


def probe_refs(entry: TenantEntry) -> Sequence[ProbeRef]:
    """Return what a tenant runs."""
    if entry.probes is not None:
        return entry.probes
    return tuple(ProbeRef(use=name) for name in DEFAULT_PROBES)


def resolve_probe(
    use: ProbeRef, entry: TenantEntry, origins: ProbeCatalog
) -> tuple[Probe | None, Problems]:
    """Return the probe that `use` stands for in a tenant, or None with the problems."""
    own = origins.custom.get(use.use)
    if own is not None:
        problems = _unexpected_parameters(use, ()) + _needs_consent(use, own)
        return _apply_options(
            _custom_request(own), use, OptionLayers.of(entry, origins.defaults, use, own), problems
        )
    built_in = CATALOGUE.get(use.use)
    if built_in is None:
        if use.use in origins.broken:
            return None, []
        return None, [(("use",), _unknown(use.use, {*CATALOGUE, *origins.custom}))]
    path, problems = _builtin_request(built_in, use)
    if built_in.consent and not use.i_accept_costs:
        problems.append(((), f"'{use.use}' is billed or writes: {_CONSENT}"))
    request = Probe(
        name=use.use,
        path=path,
        method=built_in.method,
        body=_body(built_in, use),
        expectations=built_in.expectations,
    )
    return _apply_options(request, use, OptionLayers.of(entry, origins.defaults, use), problems)


def check_custom(probe: CustomProbe) -> Problems:
    """Return what is wrong with a probe of one's own, used or not."""
    never = "moves or deletes data: prober never does that"
    if probe.method == "DELETE":
        return [(("method",), never)]
    return [(("path",), never)] if _REFUSED_ROUTES.search(_route(probe)) else []


def check_defaults(defaults: Defaults) -> Problems:
    """Return what is wrong with the defaults by themselves, so that it is told once."""
    return _timing(OptionLayers((defaults,), ()))[1]


def _route(own: CustomProbe) -> str:
    return unquote(own.path.partition("?")[0]).rstrip("/")


def _needs_consent(use: ProbeRef, own: CustomProbe) -> Problems:
    writes = own.method in {"PUT", "PATCH"} or _BILLED.search(_route(own))
    if writes and not (own.i_accept_costs or use.i_accept_costs):
        return [((), f"'{use.use}' calls a route that is billed or writes: {_CONSENT}")]
    return []


def _custom_request(own: CustomProbe) -> Probe:
    """Return the request of an own probe, whose texts have been read: see `texts`."""
    query = urlencode({name: text.value or "" for name, text in own.query.items()}, quote_via=quote)
    separator = "&" if "?" in own.path else "?"
    return Probe(
        name="",
        path=f"{own.path}{separator}{query}" if query else own.path,
        secrets=tuple(map(SecretStr, _secrets(own))),
        method=own.method,
        body=None if own.json_body is None else _json(own.json_body),
        headers=tuple((name, text.value or "") for name, text in own.headers.items()),
        expectations=Expectations(own.expect.status, own.expect.jmespath, own.expect.max_server),
    )


def _secrets(own: CustomProbe) -> list[str]:
    texts = [*own.headers.items(), *own.query.items()]
    found = [text.value or "" for name, text in texts if text.is_secret(name)]
    written = parse_qsl(own.path.partition("?")[2])
    found += [value for name, value in written if is_name_of_secret(name)]
    return [each for each in dict.fromkeys(found) if each]


def _builtin_request(built_in: BuiltinProbe, use: ProbeRef) -> tuple[str, Problems]:
    problems = _unexpected_parameters(use, built_in.parameters)
    path = built_in.path
    for parameter in built_in.parameters:
        value = use.json_body if parameter == "json" else getattr(use, parameter)
        if value is None:
            problems.append(((parameter,), f"is missing: '{use.use}' needs it"))
            continue
        if parameter == "json":
            continue
        try:
            segment = path_segment(parameter, str(value), use.project)
        except ValueError as error:
            problems.append(((parameter,), str(error)))
            continue
        path = path.replace(f"{{{parameter}}}", segment)
    return path, problems


def _unexpected_parameters(use: ProbeRef, wanted: Sequence[str]) -> Problems:
    allowed = {*wanted, *(["project"] if {"dataset", "source"} & set(wanted) else [])}
    given = [name for name in _PARAMETERS if getattr(use, name) is not None]
    if use.json_body is not None:
        given.append("json")
    takes = f"takes {', '.join(sorted(allowed))}" if allowed else "takes no parameter"
    return [
        ((name,), f"is no parameter of '{use.use}', which {takes}")
        for name in given
        if name not in allowed
    ]


def _body(built_in: BuiltinProbe, use: ProbeRef) -> bytes | None:
    if built_in.body is None:
        return None
    if built_in.body == "{json}":
        return _json(use.json_body)
    if built_in.body == "{uid}":
        return _json({"uids": [use.uid]})
    return _json(built_in.body)


def _apply_options(
    request: Probe, use: ProbeRef, layers: OptionLayers, problems: Problems
) -> tuple[Probe | None, Problems]:
    """Apply intervals, time-outs and objectives."""
    (interval, timeout, connect_timeout), wrong = _timing(layers)
    problems = problems + wrong
    if problems:
        return None, problems
    probe = replace(
        request,
        name=use.name or use.use,
        interval_seconds=interval,
        timeout_seconds=timeout,
        connect_timeout_seconds=connect_timeout,
        connection=_first_set(
            ConnectionPolicy.FRESH, [layer.connection for layer in layers.tuning]
        ),
        body_limit_bytes=_first_set(1024 * 1024, [layer.body_limit for layer in layers.tuning]),
        server_objective_seconds=_first_set(2.5, [each.server for each in layers.objectives]),
        network_objective_seconds=_first_set(0.5, [each.network for each in layers.objectives]),
        severity=_first_set(AlertSeverity.TICKET, [layer.severity for layer in layers.tuning]),
    )
    return probe, []


def _first_set(default: _T, said: Iterable[_T | None]) -> _T:
    return next((value for value in said if value is not None), default)


def _timing(layers: OptionLayers) -> tuple[tuple[float, float, float], Problems]:
    """Return interval, timeout and connect_timeout, and what is wrong with them together."""
    interval = _first_set(60.0, [layer.interval for layer in layers.tuning])
    timeout = _first_set(min(10.0, interval), [layer.timeout for layer in layers.tuning])
    connect_timeout = _first_set(
        min(5.0, timeout), [layer.connect_timeout for layer in layers.tuning]
    )
    wrong: list[tuple[str, float, str]] = []
    if interval < _MIN_INTERVAL_SECONDS:
        wrong.append(("interval", interval, "write at least 1s"))
    if not 0 < timeout <= interval:
        remedy = f"write more than 0 and at most the interval, {interval:g}s"
        wrong.append(("timeout", timeout, remedy))
    if not 0 < connect_timeout <= timeout:
        remedy = f"write more than 0 and at most the timeout, {timeout:g}s"
        wrong.append(("connect_timeout", connect_timeout, remedy))
    return (interval, timeout, connect_timeout), [
        ((key,), f"is {value:g}s{_objective_set_in(layers, key)}: {remedy}")
        for key, value, remedy in wrong
    ]


def _objective_set_in(layers: OptionLayers, key: str) -> str:
    """Return whose word counts for `key`, where that is not the place the problem is told at."""
    here, *above = layers.tuning
    layer = next((each for each in (here, *above) if getattr(each, key) is not None), here)
    if layer is here:
        return ""
    return " (from 'defaults')" if isinstance(layer, Defaults) else " (from 'probes')"


def _unknown(name: str, known: set[str]) -> str:
    close = get_close_matches(name, known, n=1)
    if close:
        return f"there is no probe '{name}'; did you mean '{close[0]}'?"
    return f"there is no probe '{name}'; there are {', '.join(sorted(known))}"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


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
class Config:
    """All that the daemon needs to know; `hash` changes when any of what is written does."""

    tenants: tuple[Tenant, ...]
    web: WebOptions
    access: AccessPolicy
    schedule: ScheduleOptions
    measurement: MeasurementOptions
    tokens: TokenOptions
    log: LogOptions
    history: HistoryOptions
    reload: ReloadOptions
    state_directory: Path
    hash: str
    source: Path
    warnings: tuple[ConfigProblem, ...] = ()
    shard: Shard = SINGLE_SHARD


def resolve_tenants(
    entries: Mapping[int, TenantEntry],
    own: Mapping[str, CustomProbe],
    broken: frozenset[str],
    defaults: Defaults,
    directory: Path,
    maintenance: Sequence[MaintenanceWindow] = (),
) -> tuple[tuple[Tenant, ...], list[Note], list[Note]]:
    """Return tenants, problems and warnings.

    `entries` are keyed by their number in the file; `broken` names own probes that are written
    wrongly, so that their use is not told as unknown as well.
    """
    problems: list[Note] = []
    origins = ProbeCatalog(own, broken, defaults)
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
    entry: TenantEntry, origins: ProbeCatalog, at: KeyPath
) -> tuple[tuple[Probe, ...], list[Note]]:
    probes: list[Probe] = []
    problems: list[Note] = []
    seen: set[str] = set()
    for number, use in enumerate(probe_refs(entry)):
        here = (*at, "probes", number) if entry.probes is not None else at
        probe, wrong = resolve_probe(use, entry, origins)
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
    kind, location = _resolve_path(token, directory)
    return TokenSource(kind, location, expires_at, token.max_age)


def _oauth(oauth: OAuth, directory: Path) -> TokenSource:
    secret = TokenSource(*_resolve_path(oauth.client_secret, directory))
    client = OAuthClient(oauth.client_id, secret, oauth.scope)
    return TokenSource(TokenSourceKind.OAUTH, oauth.token_url, client=client)


def _resolve_path(written: Token | Secret, directory: Path) -> tuple[TokenSourceKind, str]:
    if written.env is not None:
        return TokenSourceKind.ENVIRONMENT, written.env
    return TokenSourceKind.FILE, str(directory / Path(written.file or ""))


def _transport(
    entry: TransportConfig, defaults: TransportConfig, directory: Path
) -> TransportOptions:
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


def max_measurable_objective(tenant: Tenant) -> float:
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
        honest = max_measurable_objective(tenant)
        if tenant.availability_objective_ratio > honest:
            message = (
                f"promises an availability of {tenant.availability_objective_ratio:.4%} that"
                " its probes are too rare to judge: a page would rest on less than"
                f" {_FEWEST_ERRORS:g} failures; probe more often, or promise at most {honest:.4%}"
            )
            warnings.append((at, message))
        if is_remote_plaintext(tenant.base_url):
            message = "is plain http: the token travels where anybody on the way can read it"
            warnings.append(((*at, "base_url"), message))
        if tenant.token.client is not None and is_remote_plaintext(tenant.token.location):
            message = "is plain http: the secret travels where anybody on the way can read it"
            warnings.append(((*at, "token", "oauth", "token_url"), message))
    return warnings


def canonical_json(value: object) -> bytes:
    """Return JSON that is equal for equal values: what the configuration's hash is made of."""
    return json.dumps(value, sort_keys=True, default=str).encode()


_WRITE_SETTINGS = ("ad_hoc_runs", "reload")
"""Keys that let clients do more than read."""


def web_options(web: schema.Web, config_file: Path | None) -> WebOptions:
    """Return the options of the web server, whose web.yml is `config_file`."""
    host, port = schema.listen_address(web.listen)
    return WebOptions(
        host,
        port,
        web.max_series,
        web.histograms,
        web.ad_hoc_runs,
        web.reload,
        tuple(web.hosts),
        config_file,
        web.max_connections,
    )


def unauthenticated_write_errors(web: schema.Web, access: AccessPolicy) -> list[Note]:
    """Return what is wrong when clients may write and none of them can show who it is."""
    if access.authenticates_clients:
        return []
    message = (
        "would let everybody do it who reaches the address: name a web.config_file with"
        " basic_auth_users or client certificates, or leave it false"
    )
    return [(("web", key), message) for key in _WRITE_SETTINGS if getattr(web, key)]


def exposure_warnings(web: schema.Web, access: AccessPolicy) -> list[Note]:
    """Return what is to be said when other machines reach the web server."""
    host, _ = schema.listen_address(web.listen)
    if is_loopback(host):
        return []
    warnings: list[Note] = []
    if not access.requires_authentication:
        message = (
            f"{host} is reached from other machines, and nobody is asked who they are: name a"
            " web.config_file with basic_auth_users or client certificates, or listen on 127.0.0.1"
        )
        warnings.append((("web", "listen"), message))
    if access.users and access.tls is None:
        message = "passwords travel in plain HTTP: add tls_server_config to web.config_file"
        warnings.append((("web", "listen"), message))
    return warnings
