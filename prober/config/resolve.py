"""Makes tenants and probes of the parsed configuration file, and checks it as a whole. Pure.

Problems are collected and returned, so that the user sees all of them at once.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

from pydantic import SecretStr

from prober.config import consents
from prober.config.builtin_probes import (
    CATALOGUE,
    DEFAULT_PROBES,
    PARAMETERS,
    PROJECT_PARAMETERS,
    BuiltinProbe,
    check_project,
    path_segment,
)
from prober.config.canary import canary_problems, with_canary
from prober.config.check_schema import Checked
from prober.config.checks import resolve_checks
from prober.config.config_checks import tenant_warnings
from prober.config.probe_sets import LocatedProbe, expand
from prober.config.schema import (
    Consents,
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
)
from prober.config.sections import (
    HistorySettings,
    LogSettings,
    MeasurementSettings,
    MetricsSettings,
    ReloadSettings,
    SchedulerSettings,
    StatusPageSettings,
    TokenSettings,
    WebSettings,
)
from prober.config.text_schema import is_name_of_secret
from prober.config.yaml import KeyPath, Note
from prober.errors import ConfigProblem
from prober.file_signature import ConfigSources
from prober.formatting import did_you_mean
from prober.maintenance import MaintenanceWindow
from prober.models import (
    SINGLE_SHARD,
    Check,
    Expectations,
    OAuthClient,
    Probe,
    Shard,
    Tenant,
    TokenSource,
    TokenSourceKind,
    TransportOptions,
)
from prober.outcomes import Culprit
from prober.permissions import NEEDS
from prober.web.auth import AccessPolicy

Problems = list[Note]
_T = TypeVar("_T")

_MIN_INTERVAL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class ProbeCatalog:
    """Where the name in `use` is looked up: custom probes first, then the built-in ones.

    `broken` names custom probes that have errors of their own, so that their use is not reported as
    unknown too.
    """

    custom: Mapping[str, CustomProbe]
    broken: frozenset[str]
    defaults: Defaults
    sets: Mapping[str, Sequence[ProbeRef]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EntryOrigin:
    """Where a tenant is written: the directory for its relative paths, and its key in messages."""

    directory: Path
    key: str


@dataclass(frozen=True, slots=True)
class OptionLayers:
    """The mappings that may set an option of a probe, most specific first; the last is complete."""

    options: tuple[ProbeOptions, ...]
    objectives: tuple[LatencyObjectives, ...]

    @classmethod
    def of(cls, entry: TenantEntry, defaults: Defaults, *probe: ProbeOptions) -> Self:
        """Return the layers of a probe: its use, its definition, the tenant, the defaults."""
        return cls(
            (*probe, defaults),
            (*(each.objectives for each in probe), entry.objectives, defaults.objectives),
        )

    def value(self, key: str) -> Any:  # noqa: ANN401 -- whatever the option's type is
        """Return an option, as the first layer sets it."""
        return next(value for each in self.options if (value := getattr(each, key)) is not None)

    def objective(self, key: str) -> float:
        """Return an objective, as the first layer sets it."""
        values: Iterable[float | None] = (getattr(each, key) for each in self.objectives)
        return next(value for value in values if value is not None)

    def owner(self, key: str) -> ProbeOptions | None:
        """Return the layer that sets an option, None when only its default applies."""
        return next((each for each in self.options if _is_set(each, key)), None)

    def seconds_up_to(self, key: str, limit: float) -> float:
        """Return a time limit; a default is shortened to `limit`, a value that is set is not."""
        seconds = float(self.value(key))
        return min(seconds, limit) if self.owner(key) is None else seconds


def _is_set(layer: ProbeOptions, key: str) -> bool:
    return key in layer.model_fields_set and getattr(layer, key) is not None


def probe_refs(entry: TenantEntry, number: int, catalog: ProbeCatalog) -> Sequence[LocatedProbe]:
    """Return the probes of a tenant and where they are written; sets are expanded.

    The built-in default ones are written nowhere: their problems point to the tenant.
    """
    at: KeyPath = ("tenants", number, "probes")
    if entry.probes is not None:
        return expand(entry.probes, at, catalog.sets)
    if catalog.defaults.probes is not None:
        return expand(catalog.defaults.probes, ("defaults", "probes"), catalog.sets)
    return tuple(LocatedProbe(at[:2], ProbeRef(use=name)) for name in DEFAULT_PROBES)


def resolve_probe(
    use: ProbeRef, entry: TenantEntry, catalog: ProbeCatalog
) -> tuple[Probe | None, Problems]:
    """Return the probe that `use` means for a tenant; None if there are problems."""
    custom, builtin = catalog.custom.get(use.use), CATALOGUE.get(use.use)
    canary = None
    if custom is not None:
        layers = OptionLayers.of(entry, catalog.defaults, use, custom)
        problems = _unexpected_parameters(use, ())
        if not consents.is_refused(custom.method, custom.path):  # else no consent would do
            problems += _missing_consents(
                use,
                (use, custom),
                is_billable=consents.is_billed(custom.method, custom.path),
                writes=consents.writes(custom.method, custom.path),
            )
        request = _custom_request(use, custom)
        # Problems of the definition itself are reported once: see `check_custom`.
        base, _ = resolve_checks((), custom.checks)
    elif builtin is not None:
        layers = OptionLayers.of(entry, catalog.defaults, use, *_own_options(builtin))
        path, problems = _builtin_path(builtin, use)
        problems += _missing_consents(
            use,
            (use,),
            is_billable=builtin.is_billable,
            writes="writes data" if builtin.is_write else None,
        )
        request = _builtin_request(use, builtin, path)
        base, canary = builtin.checks, builtin.canary
    elif use.use in catalog.broken:
        return None, []
    else:
        known = {*CATALOGUE, *catalog.custom, *catalog.sets}
        return None, [(("use",), _unknown(use.use, known))]
    checks, check_problems = _checks(use, base)
    problems += check_problems + _project_problems(use)
    if canary is not None and not problems:
        problems += canary_problems(checks, float(layers.value("interval")))
    probe, problems = _build_probe(replace(request, checks=checks), layers, problems)
    if probe is None:
        return None, problems
    # What a custom probe needs is not known, whatever its name.
    probe = _in_project(probe, use, entry, "" if custom is not None else use.use)
    return probe if canary is None else with_canary(probe, canary, use), []


def _in_project(probe: Probe, use: ProbeRef, entry: TenantEntry, builtin: str) -> Probe:
    """Return a probe with its project, the environment of that, and the permissions it needs."""
    project = project_of(use)
    in_tenant = entry.projects.get(project or "")
    return replace(
        probe,
        project=project,
        environment=None if in_tenant is None else in_tenant.environment,
        needs=NEEDS.get(builtin),
    )


def project_of(use: ProbeRef) -> str | None:
    """Return the project that a probe belongs to: that of its object in a project, or `project`."""
    names = (use.dataset, use.source, use.integration)
    owners = [name.rpartition("/")[0] for name in names if name is not None]
    return next((owner for owner in owners if owner), use.project)


def _project_problems(use: ProbeRef) -> Problems:
    if use.project is None or any(getattr(use, name) is not None for name in PROJECT_PARAMETERS):
        return []  # of a dataset, source or integration, it is checked as a part of the path
    try:
        check_project(use.project)
    except ValueError as error:
        return [(("project",), str(error))]
    return []


def check_custom(probe: CustomProbe) -> Problems:
    """Return what is wrong with a custom probe itself, even if no tenant uses it."""
    problems = _checks(probe, ())[1]
    if probe.method == "DELETE":
        return [*problems, (("method",), consents.NEVER)]
    if consents.is_refused(probe.method, probe.path):
        return [*problems, (("path",), consents.NEVER)]
    override = consents.method_override(probe.headers, probe.query, probe.path, probe.json_body)
    if override is None:
        return problems
    key, name = override
    message = f"'{name}' would change what the request does: write the request itself in its place"
    return [*problems, ((key,) if key == "path" else (key, name), message)]


def _checks(written: Checked, base: Sequence[Check]) -> tuple[tuple[Check, ...], Problems]:
    checks, problems = resolve_checks(base, written.checks)
    return checks, [(("checks", *path), message) for path, message in problems]


def check_defaults(defaults: Defaults) -> Problems:
    """Return what is wrong with the defaults themselves, to report it once and not per probe."""
    return _timing(OptionLayers((defaults,), ()))[1]


def _builtin_request(use: ProbeRef, builtin: BuiltinProbe, path: str) -> "_Request":
    name = use.name or use.use
    return _Request(name, path, builtin.method, _body(builtin, use), (), builtin.expectations)


@dataclass(frozen=True, slots=True)
class _Request:
    """What a probe sends and expects: the part of a `Probe` that no option changes."""

    name: str
    path: str
    method: str
    body: bytes | None
    headers: tuple[tuple[str, str], ...]
    expectations: Expectations
    secrets: tuple[SecretStr, ...] = ()
    checks: tuple[Check, ...] = ()


def _missing_consents(
    use: ProbeRef, given: Sequence[Consents], *, is_billable: bool, writes: str | None
) -> Problems:
    """Return a problem if a request needs consents that are not given.

    `writes` says in words that it writes, or may write; None if it only reads.
    """
    needed = (
        ("is billed", "allow_billable", is_billable),
        (writes or "", "allow_writes", writes is not None),
    )
    missing = [
        (what, key)
        for what, key, is_needed in needed
        if is_needed and not any(getattr(each, key) for each in given)
    ]
    if not missing:
        return []
    what = " and ".join(what for what, _ in missing)
    keys = " and ".join(f"'{key}: true'" for _, key in missing)
    return [((), f"'{use.use}' {what}: add {keys} to allow it")]


def _custom_request(use: ProbeRef, custom: CustomProbe) -> _Request:
    """Return the request of a custom probe with values already read: see `texts.with_texts`."""
    expect = custom.expect
    query = urlencode(
        {name: text.value or "" for name, text in custom.query.items()}, quote_via=quote
    )
    separator = "&" if "?" in custom.path else "?"
    return _Request(
        use.name or use.use,
        f"{custom.path}{separator}{query}" if query else custom.path,
        custom.method,
        None if custom.json_body is None else _json(custom.json_body),
        tuple((name, text.value or "") for name, text in custom.headers.items()),
        Expectations(
            expect.status,
            expect.jmespath,
            expect.max_server_time,
            None if expect.culprit is None else Culprit(expect.culprit),
        ),
        tuple(map(SecretStr, _secrets(custom))),
    )


def _secrets(custom: CustomProbe) -> list[str]:
    """Return the secret values of headers, query and path of a custom probe, each once."""
    texts = [*custom.headers.items(), *custom.query.items()]
    found = [text.value or "" for name, text in texts if text.is_secret(name)]
    in_path = parse_qsl(custom.path.partition("?")[2])
    found += [value for name, value in in_path if is_name_of_secret(name)]
    return [each for each in dict.fromkeys(found) if each]


def _own_options(builtin: BuiltinProbe) -> tuple[ProbeOptions, ...]:
    """Return the options that a built-in probe sets itself, below those of its use."""
    if builtin.interval_seconds is None:
        return ()
    return (ProbeOptions.model_construct({"interval"}, interval=builtin.interval_seconds),)


def _builtin_path(builtin: BuiltinProbe, use: ProbeRef) -> tuple[str, Problems]:
    allowed = (*builtin.parameters, *builtin.optional_parameters)
    problems = _unexpected_parameters(use, allowed)
    for parameter in builtin.optional_parameters:
        value = getattr(use, parameter)
        if value is not None:
            try:
                path_segment(parameter, str(value), use.project)
            except ValueError as error:
                problems.append(((parameter,), str(error)))
    path = builtin.path
    for parameter in builtin.parameters:
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
    allowed = {*wanted, *(["project"] if PROJECT_PARAMETERS & set(wanted) else [])}
    given = [name for name in PARAMETERS if getattr(use, name) is not None]  # not the project
    if use.json_body is not None:
        given.append("json")
    takes = f"takes {', '.join(sorted(allowed))}" if allowed else "takes no parameter"
    return [
        ((name,), f"is not a parameter of '{use.use}', which {takes}")
        for name in given
        if name not in allowed
    ]


def _body(builtin: BuiltinProbe, use: ProbeRef) -> bytes | None:
    if builtin.body is None:
        return None
    if builtin.body == "{json}":
        return _json(use.json_body)
    if builtin.body == "{uid}":
        return _json({"uids": [use.uid]})
    return _json(builtin.body)


def _build_probe(
    request: _Request, layers: OptionLayers, problems: Problems
) -> tuple[Probe | None, Problems]:
    """Return the request with its intervals, time limits and objectives; None for problems."""
    (interval, timeout, connect_timeout), timing_problems = _timing(layers)
    problems = problems + timing_problems
    if problems:
        return None, problems
    probe = Probe(
        name=request.name,
        sent_path=request.path,
        method=request.method,
        body=request.body,
        sent_headers=request.headers,
        secrets=request.secrets,
        expectations=request.expectations,
        checks=request.checks,
        interval_seconds=interval,
        timeout_seconds=timeout,
        connect_timeout_seconds=connect_timeout,
        connection=layers.value("connection"),
        max_response_bytes=layers.value("max_response_size"),
        server_objective_seconds=layers.objective("server_latency"),
        network_objective_seconds=layers.objective("network_latency"),
        severity=layers.value("severity"),
    )
    return probe, []


def _timing(layers: OptionLayers) -> tuple[tuple[float, float, float], Problems]:
    """Return interval, timeout and connect_timeout, and what is wrong with them together."""
    interval = float(layers.value("interval"))
    timeout = layers.seconds_up_to("timeout", interval)
    connect_timeout = layers.seconds_up_to("connect_timeout", timeout)
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
        ((key,), f"is {value:g}s{_inherited_from(layers, key)}: {remedy}")
        for key, value, remedy in wrong
    ]


def _inherited_from(layers: OptionLayers, key: str) -> str:
    """Return the section that sets `key`, if it is not the mapping that the problem points to."""
    owner = layers.owner(key)
    if owner is None or owner is layers.options[0]:
        return ""
    return " (from 'defaults')" if isinstance(owner, Defaults) else " (from 'probes')"


def _unknown(name: str, known: set[str]) -> str:
    hint = did_you_mean(name, known) or f"; there are {', '.join(sorted(known))}"
    return f"there is no probe '{name}'{hint}"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


DIRECT = TransportOptions(proxy_url=None, proxy_from_environment=False)


def outside_transport(defaults: Defaults, directory: Path) -> TransportOptions:
    """Return how to reach what is no tenant: no client certificate is presented to it."""
    options = _transport(defaults, defaults, directory, directory)
    return replace(options, client_certificate_file=None, client_key_file=None)


@dataclass(frozen=True, slots=True)
class WebConfig:
    """The contents of web.yml, with warnings about it."""

    access: AccessPolicy
    warnings: tuple[ConfigProblem, ...]


@dataclass(frozen=True, slots=True)
class Config:
    """A complete, valid configuration. `hash` changes with any value that is written.

    `web_config_file` is the resolved path of web.yml: from the command line or `web.config_file`.
    """

    tenants: tuple[Tenant, ...]
    web: WebSettings
    web_config_file: Path | None
    access: AccessPolicy
    metrics: MetricsSettings
    scheduler: SchedulerSettings
    shutdown_timeout_seconds: float
    measurement: MeasurementSettings
    tokens: TokenSettings
    log: LogSettings
    history: HistorySettings
    reload: ReloadSettings
    state_directory: Path
    hash: str
    source: Path
    sources: ConfigSources
    references: tuple[str, ...] = ()
    status_page: StatusPageSettings | None = None
    outside_transport: TransportOptions = DIRECT
    """How references and the status page are reached: as `defaults` say, without a certificate."""
    warnings: tuple[ConfigProblem, ...] = ()
    shard: Shard = SINGLE_SHARD


def resolve_tenants(
    entries: Mapping[int, TenantEntry],
    catalog: ProbeCatalog,
    directory: Path,
    maintenance: Sequence[MaintenanceWindow] = (),
    origins: Mapping[int, EntryOrigin] = MappingProxyType({}),
) -> tuple[tuple[Tenant, ...], list[Note], list[Note]]:
    """Return tenants, problems and warnings.

    `entries` are keyed by their position among all tenants. Relative paths of a tenant are resolved
    against the directory in `origins`, others against `directory`; `maintenance` applies to all.
    """
    problems: list[Note] = []
    tenants: list[Tenant] = []
    names: dict[str, int] = {}
    for number, entry in entries.items():
        at = ("tenants", number)
        origin = origins.get(number, EntryOrigin(directory, f"tenants[{number}]"))
        if entry.name in names:
            first = names[entry.name]
            key = origins[first].key if first in origins else f"tenants[{first}]"
            message = f"'{entry.name}' is also the name of {key}: rename one"
            problems.append(((*at, "name"), message))
        names.setdefault(entry.name, number)
        probes, probe_problems = _probes(entry, number, catalog)
        problems += probe_problems
        transport = _transport(entry, catalog.defaults, origin.directory, directory)
        tenant = _tenant(entry, probes, catalog.defaults, origin.directory, transport)
        tenants.append(replace(tenant, maintenance=(*maintenance, *tenant.maintenance)))
    return tuple(tenants), problems, tenant_warnings(entries, tenants)


def _probes(
    entry: TenantEntry, number: int, catalog: ProbeCatalog
) -> tuple[tuple[Probe, ...], list[Note]]:
    probes: list[Probe] = []
    problems: list[Note] = []
    seen: set[str] = set()
    for located in probe_refs(entry, number, catalog):
        probe, probe_problems = resolve_probe(located.use, entry, catalog)
        problems += [((*located.at, *path), message) for path, message in probe_problems]
        if probe is None:
            continue
        if probe.name in seen:
            message = f"'{probe.name}' is listed twice: give one of them another 'name'"
            problems.append((located.at, message))
        seen.add(probe.name)
        probes.append(probe)
    for at, written in (
        (("tenants", number, "probes"), entry.probes),
        (("defaults", "probes"), catalog.defaults.probes),
    ):
        if written == []:
            problems.append((at, "is empty: name a probe, or leave the key out"))
    return tuple(probes), problems


def _tenant(
    entry: TenantEntry,
    probes: Sequence[Probe],
    defaults: Defaults,
    directory: Path,
    transport: TransportOptions,
) -> Tenant:
    return Tenant(
        name=entry.name,
        environment=entry.environment,
        base_url=_base_url(entry),
        token=_token(entry.token, directory),
        probes=tuple(probes),
        transport=transport,
        labels=dict(entry.labels),
        availability_objective_ratio=_or_default(
            entry.objectives.availability, defaults.objectives.availability
        ),
        concurrency=_or_default(entry.concurrency, defaults.concurrency),
        maintenance=tuple(each.window() for each in entry.maintenance),
    )


def _or_default(value: _T | None, default: _T) -> _T:
    return default if value is None else value


def _base_url(entry: TenantEntry) -> str:
    if entry.base_url is not None:
        return entry.base_url
    if entry.domain is not None:
        return f"https://{entry.domain}.reinfer.io"
    return f"https://cloud.uipath.com/{entry.organisation}/{entry.tenant}/reinfer_"


def _token(token: Token, directory: Path) -> TokenSource:
    if token.oauth is not None:
        return _oauth(token.oauth, directory)
    expires_at = None if token.expires_at is None else _epoch_seconds(token.expires_at)
    kind, location = _secret_location(token, directory)
    return TokenSource(kind, location, expires_at, token.max_age)


def _epoch_seconds(written: datetime | date) -> float:
    """Return a point in time; without a zone it is UTC, and a date means its start."""
    at = written if isinstance(written, datetime) else datetime.combine(written, time())
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _oauth(oauth: OAuth, directory: Path) -> TokenSource:
    secret = TokenSource(*_secret_location(oauth.client_secret, directory))
    client = OAuthClient(oauth.client_id, secret, oauth.scope)
    return TokenSource(TokenSourceKind.OAUTH, oauth.token_url, client=client)


def _secret_location(written: Token | Secret, directory: Path) -> tuple[TokenSourceKind, str]:
    if written.env is not None:
        return TokenSourceKind.ENVIRONMENT, written.env
    return TokenSourceKind.FILE, str(directory / Path(written.file or ""))


def _transport(
    entry: TransportConfig, defaults: Defaults, own_directory: Path, directory: Path
) -> TransportOptions:
    """Return how a tenant is reached; paths in `defaults` are relative to `directory`."""
    proxy = _or_default(entry.proxy, defaults.proxy)
    ca_file, ca_directory = entry.ca_file, own_directory
    if ca_file is None:
        ca_file, ca_directory = defaults.ca_file, directory
    certificate, certificate_directory = entry.client_certificate, own_directory
    if certificate is None:
        certificate, certificate_directory = defaults.client_certificate, directory
    key = None if certificate is None else certificate.key
    return TransportOptions(
        proxy_url=None if proxy in {"environment", "none"} else proxy,
        proxy_from_environment=proxy == "environment",
        ca_file=None if ca_file is None else ca_directory / ca_file,
        client_certificate_file=(
            None if certificate is None else certificate_directory / certificate.certificate
        ),
        client_key_file=None if key is None else certificate_directory / key,
    )


def canonical_json(value: object) -> bytes:
    """Return JSON that is equal for equal values: the input of the configuration's hash."""
    return json.dumps(value, sort_keys=True, default=str).encode()
