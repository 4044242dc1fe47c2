"""The configuration file: one frozen pydantic model for each mapping in it. Pure.

The models check one mapping at a time; `prober.config.resolve` checks what several mappings mean
together, and makes tenants and probes of them.

Defaults are written here and in `sections`, and nowhere else, in the form that a user would write.
"""

import json
import re
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from prober.classifier.expectations import check_expression
from prober.config.addresses import BASE_URL, is_url
from prober.config.check_schema import Checked
from prober.config.consents import normalized_route
from prober.config.sections import (
    HistorySettings,
    LogSettings,
    MeasurementSettings,
    MetricsSettings,
    References,
    ReloadSettings,
    SchedulerSettings,
    StateSettings,
    StatusPage,
    TokenSettings,
    WebSettings,
)
from prober.config.strict_model import ExtensibleModel, Slug, StrictModel, default
from prober.config.text_schema import VARIABLE, Text, WrittenText, is_header_value
from prober.formatting import Duration, Size
from prober.maintenance import MaintenanceWindow, first_utc_time, validate_cron
from prober.models import AlertSeverity, ConnectionPolicy

LABEL_PATTERN = r"^[a-zA-Z_][a-zA-Z0-9_]{0,62}$"
LabelName = Annotated[str, StringConstraints(pattern=LABEL_PATTERN)]
AddressPart = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")]

_PROXY_URL = re.compile(r"https?://[^\s/?#]+/?")
_API_ROUTE = re.compile(r"/api(/(v1|_private|preview)(/.*)?)?$")
_BASE_URL_FORM = "write http(s)://HOST[:PORT]/PATH, with no '/' at the end, no '?', '#', '@'"


# Secrets and tokens: where they come from. No secret is ever in the file itself.


def reject_inline_secret(value: object) -> object:
    """Raise ValueError for anything but a mapping: a token or secret written into the file."""
    if not isinstance(value, dict | StrictModel):
        raise ValueError(  # noqa: TRY004 -- pydantic collects ValueError
            "a token must not be in this file: write {file: PATH} or {env: NAME}"
        )
    return value


# In the first and last year of the calendar, a time in one zone has no counterpart in another.
_YEARS = range(1970, 3000)


def _check_year(time: date) -> None:
    if time.year not in _YEARS:
        raise ValueError(f"write a year from {_YEARS[0]} to {_YEARS[-1]}")


def _parse_timestamp(value: object) -> object:
    if value is None:
        return value
    if isinstance(value, date):  # YAML itself reads 2027-03-01 as a date
        time = value
    else:
        try:
            time = datetime.fromisoformat(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise ValueError("write a date such as 2027-03-01, or 2027-03-01T12:00:00Z") from None
    _check_year(time)
    return time


Timestamp = Annotated[
    datetime | date | None, BeforeValidator(_parse_timestamp, json_schema_input_type=str | None)
]


class Secret(StrictModel):
    """Where a secret comes from: exactly one of `file` and `env`."""

    file: str | None = Field(default=None, min_length=1)
    """A file that contains only the secret; relative to this configuration file."""
    env: str | None = Field(default=None, pattern=VARIABLE)
    """An environment variable that contains the secret."""

    @model_validator(mode="after")
    def _validate_source(self) -> "Secret":
        if (self.file is None) == (self.env is None):
            raise ValueError("name exactly one source: 'file' or 'env'")
        return self


class OAuth(StrictModel):
    """OAuth 2.0 client credentials: the prober requests tokens and renews them before they expire.

    See RFC 6749, section 4.4.
    """

    token_url: str
    """The token endpoint, such as https://cloud.uipath.com/identity_/connect/token"""
    client_id: str = Field(min_length=1, max_length=256)
    """The application's id."""
    client_secret: Annotated[
        Secret, BeforeValidator(reject_inline_secret, json_schema_input_type=Secret)
    ]
    """Where the application's secret comes from."""
    scope: str | None = Field(default=None, min_length=1)
    """The scopes to request, separated by spaces."""

    @field_validator("token_url")
    @classmethod
    def _validate_token_url(cls, value: str) -> str:
        if not is_url(value, BASE_URL):
            raise ValueError(_BASE_URL_FORM)
        return value


class Token(ExtensibleModel):
    """Where a tenant's token comes from: exactly one of `file`, `env` and `oauth`."""

    file: str | None = Field(default=None, min_length=1)
    """A file that contains only the token; relative to this configuration file."""
    env: str | None = Field(default=None, pattern=VARIABLE)
    """An environment variable that contains the token."""
    oauth: OAuth | None = None
    """An identity server that issues tokens."""
    expires_at: Timestamp = None
    """When the token expires, if known; a date means 00:00 UTC of that day."""
    max_age: Duration | None = None
    """The maximum age of the token, counted from the first response that accepts it."""

    @model_validator(mode="after")
    def _validate_source(self) -> "Token":
        if sum(source is not None for source in (self.file, self.env, self.oauth)) != 1:
            raise ValueError("name exactly one source: 'file', 'env' or 'oauth'")
        if self.oauth is not None and (self.expires_at, self.max_age) != (None, None):
            raise ValueError(
                "leave out 'expires_at' and 'max_age': the identity server sets the lifetime of"
                " each token that it issues"
            )
        return self


# Probes


class LatencyObjectives(StrictModel):
    """Latency objectives. They are exported as metrics, so alert rules need no numbers."""

    server_latency: Duration | None = None
    """The server time that a response should not exceed."""
    network_latency: Duration | None = None
    """The network overhead that a response should not exceed."""


class Objectives(LatencyObjectives):
    """The objectives of a tenant and its probes."""

    availability: float | None = Field(default=None, gt=0, lt=1)
    """The minimum share of runs that do not fail because of the platform."""


class ProbeOptions(ExtensibleModel):
    """How a probe runs: for one probe, or in `defaults` for all."""

    interval: Duration | None = None
    """The time between two runs; at least 1s."""
    timeout: Duration | None = None
    """The time limit of a whole run. A shorter interval also shortens the default."""
    connect_timeout: Duration | None = None
    """The time limit of name resolution, TCP and TLS together. A shorter timeout also shortens the
    default."""
    connection: ConnectionPolicy | None = None
    """`fresh` opens a connection for every run, `reuse` keeps one open."""
    max_response_size: Size | None = None
    """How much of a response body is read, counted after decompression."""
    severity: AlertSeverity | None = None
    """The severity of an alert about this probe alone: `page` or `ticket`."""
    objectives: LatencyObjectives = LatencyObjectives()
    """The latency objectives of this probe."""


def _require_json(value: object) -> object:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError("contains a value that is not JSON, such as a date: quote it") from None
    return value


JsonBody = Annotated[Any, AfterValidator(_require_json)]
"""Any JSON value. YAML has more: dates, NaN, sets."""


def _int_as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Consents(StrictModel):
    """What the prober does only with explicit consent."""

    allow_billable: bool = False
    """Consent to a request that the vendor bills."""
    allow_writes: bool = False
    """Consent to a request that writes data."""


class ProbeRef(ProbeOptions, Consents, Checked):
    """A probe of a tenant: a built-in or a custom probe with its parameters."""

    use: str
    """The name of a built-in probe, of one under `probes`, or of a set under `probe_sets`."""
    name: Slug | None = None
    """The name in metrics and pages; default: the value of `use`. Of a set: what the names of its
    probes begin with; default: the project, if one is given."""
    project: str | None = None
    """The project's name: a parameter of datasets and sources. Any probe may belong to a project,
    for its environment (see `projects`) and the permissions that it needs."""
    dataset: str | None = None
    """Parameter: the dataset's name, `project/name`, or `id:` and 16 hex digits."""
    source: str | None = None
    """Parameter: the source's name, `project/name`, or `id:` and 16 hex digits."""
    stream: str | None = None
    """Parameter: the stream's name."""
    comment: str | None = None
    """Parameter: a comment's id within its source."""
    uid: str | None = None
    """Parameter: a comment's uid: the source's id, a dot, the comment's id."""
    bucket: str | None = None
    """Parameter: a bucket's id, 16 hex digits."""
    attachment: str | None = None
    """Parameter: an attachment's reference."""
    integration: str | None = None
    """Parameter: the integration's name, or `project/name`."""
    model_version: Annotated[
        str | None, BeforeValidator(_int_as_text, json_schema_input_type=str | int | None)
    ] = None
    """Parameter: a model's version number."""
    json_body: JsonBody = Field(default=None, alias="json")
    """Parameter: the request body, for probes that are billed."""


def _parse_probe_name(value: object) -> object:
    if not isinstance(value, str | dict | ProbeRef):
        raise ValueError("write the name of a probe, or {use: NAME, ...}")  # noqa: TRY004 -- pydantic
    return {"use": value} if isinstance(value, str) else value


NamedProbe = Annotated[
    ProbeRef,
    BeforeValidator(_parse_probe_name, json_schema_input_type=str | ProbeRef),
]


# 401, 403 and 429 describe the token and the rate limit: they never mean success.
_NEVER_EXPECTED_STATUSES = frozenset({401, 403, 429})


class Expectation(StrictModel):
    """What a successful response looks like, in addition to a 2xx with an `ok` envelope."""

    status: int | None = None
    """The expected status: a 2xx, or a 4xx with an error envelope (a negative check)."""
    jmespath: str | None = None
    """A JMESPath expression on the body that must be true."""
    max_server_time: Duration | None = None
    """The maximum server time."""
    culprit: Literal["tenant", "request", "credential", "platform"] | None = None
    """Who is responsible where an expectation fails.

    Default: `tenant` for `status` and `jmespath`, since they are about the tenant's own data, and
    `platform` for `max_server_time`. The platform responded, so no other culprit is possible.
    """

    @field_validator("status")
    @classmethod
    def _validate_status(cls, value: int | None) -> int | None:
        if value is None:
            return value
        if value // 100 not in {2, 4} or value in _NEVER_EXPECTED_STATUSES:
            raise ValueError("write a 2xx, or a 4xx other than 401, 403 and 429")
        return value

    @field_validator("jmespath")
    @classmethod
    def _validate_jmespath(cls, value: str | None) -> str | None:
        error = None if value is None else check_expression(value)
        if error is not None:
            raise ValueError(f"not a JMESPath expression: {error}")
        return value


# The prober computes these itself; a value from the file would break the request or leak a token.
_RESERVED_HEADERS = frozenset(
    {"authorization", "host", "content-length", "transfer-encoding", "connection", "user-agent"}
    | {"accept-encoding", "proxy-authorization", "cookie"}
)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_DOT_SEGMENT = re.compile(r"/(\.|%2e){1,2}(/|$)", re.IGNORECASE)


class CustomProbe(ProbeOptions, Consents, Checked):
    """A custom probe."""

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    """The HTTP method. A response to HEAD has no body: it needs a `Server-Timing` header."""
    path: str
    """What follows the tenant's base URL, percent-encoded: `/api/v1/...`."""
    json_body: JsonBody = Field(default=None, alias="json")
    """The request body."""
    headers: dict[str, WrittenText] = Field(default_factory=dict)
    """Additional request headers. A secret value comes from `{env: NAME}` or `{file: PATH}`."""
    query: dict[str, WrittenText] = Field(default_factory=dict)
    """Parameters that are added to the path, not percent-encoded; secrets as in `headers`."""
    expect: Expectation = Expectation()
    """What a successful response looks like."""

    @field_validator("path")
    @classmethod
    def _validate_path(cls, value: str) -> str:
        # "//host" would be a URL of another host, and '#' would cut the path off.
        if not re.fullmatch(r"/(?!/)[\x21\x24-\x7e]*", value):
            raise ValueError("begin with one '/', percent-encode the rest, and leave out '#'")
        # Dot segments are resolved before sending: the path could leave the tenant's base URL.
        if _DOT_SEGMENT.search(value.partition("?")[0]):
            raise ValueError("leave out '.' and '..' between slashes")
        return value

    @field_validator("headers")
    @classmethod
    def _validate_headers(cls, value: dict[str, Text]) -> dict[str, Text]:
        for name, content in value.items():
            if name.lower() in _RESERVED_HEADERS:
                raise ValueError(f"the header {name} is set by prober itself")
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError("a header's name contains characters that HTTP does not allow")
            if content.value is not None and not is_header_value(content.value):
                raise ValueError(f"the header {name} contains characters that HTTP does not allow")
        return value


# Maintenance windows

_MAX_WINDOW = timedelta(days=366)


def _parse_wall_clock(value: object) -> object:
    time = value
    if isinstance(value, str):
        try:
            time = datetime.fromisoformat(value)
        except ValueError:
            time = None
    if not isinstance(time, datetime):
        raise ValueError("write a time such as 2026-12-01T22:00")  # noqa: TRY004 -- pydantic
    if time.tzinfo is not None:
        raise ValueError("write it without a zone, such as 2026-12-01T22:00: see 'time_zone'")
    _check_year(time)
    return time


WallClock = Annotated[datetime, BeforeValidator(_parse_wall_clock, json_schema_input_type=str)]
"""A date and time without a zone: what a clock on the wall of `time_zone` shows."""


class MaintenanceEntry(StrictModel):
    """A maintenance window: `cron` or `repeat_every` with a `duration`, or `start` and `until`."""

    cron: str | None = None
    """When windows start, in five fields: `0 2 * * sun`."""
    start: WallClock | None = None
    """When the first or only window starts, in local time of `time_zone`: `2026-12-01T22:00`."""
    until: WallClock | None = None
    """When the only window ends."""
    repeat_every: Duration | None = None
    """The time from the start of one window to the start of the next, on the wall clock.

    When clocks are set back, an hour occurs twice: with up to 1h, windows start at both times,
    otherwise once.
    """
    duration: Duration | None = None
    """How long each window lasts."""
    time_zone: str = "UTC"
    """The time zone, such as `Europe/Berlin`."""

    @field_validator("cron")
    @classmethod
    def _validate_cron(cls, value: str | None) -> str | None:
        if value is not None:
            validate_cron(value)
        return value

    @field_validator("time_zone")
    @classmethod
    def _validate_time_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("is not a time zone: write one such as 'Europe/Berlin'") from None
        return value

    @model_validator(mode="after")
    def _validate_form(self) -> "MaintenanceEntry":
        given = {name for name in type(self).model_fields if getattr(self, name) is not None}
        if given - {"time_zone"} not in (
            {"cron", "duration"},
            {"start", "until"},
            {"start", "repeat_every", "duration"},
        ):
            raise ValueError(
                "write 'cron' and 'duration', or 'start' and 'until',"
                " or 'start', 'repeat_every' and 'duration'"
            )
        seconds = self.window().duration_seconds
        if not 0 < seconds <= _MAX_WINDOW.total_seconds():
            raise ValueError("must last longer than 0s, and a year at most")
        if self.repeat_every is not None and self.repeat_every < seconds:
            raise ValueError("'repeat_every' must be at least 'duration'")
        return self

    def window(self) -> MaintenanceWindow:
        """Return the window with its duration in seconds."""
        zone = ZoneInfo(self.time_zone)
        seconds = self.duration or 0.0
        if self.start is not None and self.until is not None:
            # Subtract points in time, not wall clocks: clocks may change during the window.
            length = first_utc_time(self.until, zone) - first_utc_time(self.start, zone)
            seconds = length.total_seconds()
        return MaintenanceWindow(seconds, self.time_zone, self.cron, self.start, self.repeat_every)


# Tenants


class ClientCertificate(StrictModel):
    """A client certificate, for servers that require one."""

    certificate: str
    """PEM file with the certificate chain."""
    key: str | None = None
    """PEM file with the private key; default: the key is in the same file."""


class TransportConfig(ExtensibleModel):
    """How a tenant is reached: for one tenant, or in `defaults` for all."""

    proxy: str | None = None
    """`environment` (HTTPS_PROXY, NO_PROXY, ...), `none`, or a proxy's URL."""
    ca_file: str | None = None
    """PEM file of the CAs to trust instead of the system's."""
    client_certificate: ClientCertificate | None = None
    """The certificate to present when the server requests one."""
    concurrency: int | None = Field(default=None, gt=0)
    """How many probes of one tenant may be in flight."""

    @field_validator("proxy")
    @classmethod
    def _validate_proxy(cls, value: str | None) -> str | None:
        if value in {None, "environment", "none"}:
            return value
        if not is_url(value or "", _PROXY_URL):
            raise ValueError("write 'environment', 'none', or a URL such as http://proxy:3128")
        return value


class DefaultObjectives(Objectives):
    """The objectives of all tenants and probes that set no other."""

    server_latency: Duration = default("2500ms")
    """The server time that a response should not exceed."""
    network_latency: Duration = default("500ms")
    """The network overhead that a response should not exceed."""
    availability: float = Field(default=0.995, gt=0, lt=1)
    """The minimum share of runs that do not fail because of the platform."""


class Defaults(ProbeOptions, TransportConfig):
    """What applies to every tenant and probe that sets nothing else."""

    interval: Duration = default("60s")
    """The time between two runs; at least 1s."""
    timeout: Duration = default("10s")
    """The time limit of a whole run. A shorter interval also shortens the default."""
    connect_timeout: Duration = default("5s")
    """The time limit of name resolution, TCP and TLS together. A shorter timeout also shortens the
    default."""
    connection: ConnectionPolicy = ConnectionPolicy.FRESH
    """`fresh` opens a connection for every run, `reuse` keeps one open."""
    max_response_size: Size = default("1MiB")
    """How much of a response body is read, counted after decompression."""
    severity: AlertSeverity = AlertSeverity.TICKET
    """The severity of an alert about a single probe: `page` or `ticket`."""
    proxy: str = "environment"
    """`environment` (HTTPS_PROXY, NO_PROXY, ...), `none`, or a proxy's URL."""
    concurrency: int = Field(default=10, gt=0)
    """How many probes of one tenant may be in flight."""
    objectives: DefaultObjectives = DefaultObjectives()
    """The objectives of every tenant and probe."""
    probes: list[NamedProbe] | None = None
    """What tenants without `probes` run; default: every built-in probe that needs no parameter and
    no consent."""

    @model_validator(mode="before")
    @classmethod
    def _drop_keys_without_value(cls, given: object) -> object:
        # `interval:` with nothing behind it means the same as leaving the key out.
        if not isinstance(given, dict):
            return given
        return {key: value for key, value in given.items() if value is not None}


class ProjectEntry(ExtensibleModel):
    """One project of a tenant."""

    environment: Slug
    """The environment of the probes in this project, instead of the tenant's."""


_RESERVED_LABELS = frozenset({"tenant", "environment", "base_url", "probe", "job", "instance"})


class TenantEntry(TransportConfig):
    """One tenant, by exactly one address: `organisation` and `tenant`, `domain`, or `base_url`."""

    name: Slug
    """The name in metrics and pages."""
    organisation: AddressPart | None = None
    """With `tenant`: https://cloud.uipath.com/<organisation>/<tenant>/reinfer_"""
    tenant: AddressPart | None = None
    """See `organisation`."""
    domain: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,63}$")] | None = None
    """https://<domain>.reinfer.io"""
    base_url: str | None = None
    """Any other URL that is followed by `/api/...`: self-hosted, or a simulator."""
    environment: Slug = "production"
    """production, development, ..."""
    token: Annotated[Token, BeforeValidator(reject_inline_secret, json_schema_input_type=Token)]
    """Where the tenant's token comes from."""
    probes: list[NamedProbe] | None = None
    """What to run, a list of probes and probe sets; default: `defaults.probes`."""
    projects: dict[str, ProjectEntry] = Field(default_factory=dict)
    """Projects of the tenant that differ from it, such as development and production."""
    labels: dict[LabelName, str] = Field(default_factory=dict)
    """Additional labels of `prober_tenant_info`."""
    maintenance: list[MaintenanceEntry] = Field(default_factory=list)
    """When this tenant is under maintenance: runs do not count for objectives and alerts."""
    objectives: Objectives = Objectives()
    """The objectives of this tenant."""

    @field_validator("base_url")
    @classmethod
    def _validate_base_url(cls, value: str | None) -> str | None:
        if value is None:
            return value
        if not is_url(value, BASE_URL):
            raise ValueError(_BASE_URL_FORM)
        if _API_ROUTE.search(normalized_route(urlsplit(value).path)):
            raise ValueError("leave out '/api' and what follows: prober adds it")
        return value

    @field_validator("labels")
    @classmethod
    def _validate_labels(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if name in _RESERVED_LABELS or name.startswith("__"):
                raise ValueError(f"the label {name} is reserved: choose another name")
        return value

    @model_validator(mode="after")
    def _validate_address(self) -> "TenantEntry":
        if (self.organisation is None) != (self.tenant is None):
            raise ValueError("'organisation' and 'tenant' must be set together")
        forms = [self.organisation, self.domain, self.base_url]
        if sum(form is not None for form in forms) != 1:
            raise ValueError(
                "name exactly one address: 'organisation' and 'tenant', 'domain', or 'base_url'"
            )
        return self


def _parse_single_pattern(value: object) -> object:
    return [value] if isinstance(value, str) else value


class ConfigFile(ExtensibleModel):
    """The configuration of prober."""

    web: WebSettings = WebSettings()
    """The daemon's HTTP server."""
    metrics: MetricsSettings = MetricsSettings()
    """What `/metrics` exports."""
    defaults: Defaults = Defaults()
    """What applies to all tenants and probes."""
    scheduler: SchedulerSettings = SchedulerSettings()
    """Limits on probe runs."""
    shutdown_timeout: Duration = default("15s")
    """How long runs in flight may take to finish when the daemon stops."""
    measurement: MeasurementSettings = MeasurementSettings()
    """Which measurements are discarded."""
    tokens: TokenSettings = TokenSettings()
    """How a rejected token is retried."""
    state: StateSettings = StateSettings()
    """Where the daemon keeps what must survive a restart."""
    history: HistorySettings = HistorySettings()
    """The history for pages and reports."""
    maintenance: list[MaintenanceEntry] = Field(default_factory=list)
    """When all tenants are under maintenance: runs do not count for objectives and alerts."""
    reload: ReloadSettings = ReloadSettings()
    """When this file is reloaded."""
    log: LogSettings = LogSettings()
    """The log."""
    include: Annotated[
        list[str], BeforeValidator(_parse_single_pattern, json_schema_input_type=str | list[str])
    ] = Field(default_factory=list)
    """Further files, by patterns such as `tenants.d/*.yaml`, relative to this file and in the order
    of their names. They may have `tenants`, `probes`, `probe_sets`, `maintenance`, `include`."""
    references: References = ()
    """URLs outside that must be reachable when the prober's own network is OK. Each gets a HEAD
    request once a minute, without any token. While none is reachable, tenants cause no pages."""
    status_page: StatusPage = None
    """The supplier's status page, such as https://status.uipath.com. Its incidents are shown, and
    change no verdict."""
    tenants: list[TenantEntry] = Field(min_length=1)
    """The tenants to probe."""
    probes: dict[Slug, CustomProbe] = Field(default_factory=dict)
    """Custom probes, in addition to the built-in ones."""
    probe_sets: dict[Slug, list[NamedProbe]] = Field(default_factory=dict)
    """Lists of probes by name, to use instead of a probe: `probes: [NAME]`."""
