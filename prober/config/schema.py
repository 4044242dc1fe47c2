"""The YAML file as it may be written: one pydantic model for each mapping in it.

Models say what each key takes; what keys mean together across mappings is `resolve`'s business.

Probes as they may be written in the YAML file, built-in ones and one's own.

Maintenance windows as they may be written in the YAML file.

What addresses may look like in the settings. Pure.

Where a token comes from, as it may be written in the YAML file: never the token itself.
"""

import json
import re
from datetime import date, datetime, timedelta
from ipaddress import ip_address
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from prober.classifier.expectations import check_expression
from prober.config.text_schema import VARIABLE, Text, WrittenText, is_header_value
from prober.formatting import Duration, Size
from prober.maintenance import MaintenanceWindow, first_utc_time, validate_cron
from prober.models import AlertSeverity, ConnectionPolicy

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]

_RESERVED_HEADERS = frozenset(
    {"authorization", "host", "content-length", "transfer-encoding", "connection", "user-agent"}
    | {"accept-encoding", "proxy-authorization", "cookie"}
)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_UNEXPECTABLE_STATUSES = frozenset({401, 403, 429})


_DOT_SEGMENT = re.compile(r"/(\.|%2e){1,2}(/|$)", re.IGNORECASE)


def _is_json(value: object) -> object:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError(
            "holds a value that JSON does not know, such as a date: put it in quotes"
        ) from None
    return value


JsonBody = Annotated[Any, AfterValidator(_is_json)]
"""Whatever JSON can say; YAML can say more."""


def _json_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class StrictModel(BaseModel):
    """A mapping in which every key is known."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class LatencyObjectives(StrictModel):
    """What is promised; exported as metrics, so that alert rules need no numbers of their own."""

    server: Duration | None = None
    """The platform's own time that an answer should not exceed. Default 2.5s."""
    network: Duration | None = None
    """The network overhead that an answer should not exceed. Default 500ms."""


class Objectives(LatencyObjectives):
    """What is promised of a tenant and its probes."""

    availability: float | None = Field(default=None, gt=0, lt=1)
    """The share of runs that must not fail by the platform's fault. Default 0.995."""


class ProbeOptions(StrictModel):
    """How a probe is run; said for one probe, or in `defaults` for all."""

    interval: Duration | None = None
    """Time between two runs; at least 1s. Default 60s."""
    timeout: Duration | None = None
    """Time for a whole attempt. Default 10s."""
    connect_timeout: Duration | None = None
    """Time for name resolution, TCP and TLS together. Default 5s."""
    connection: ConnectionPolicy | None = None
    """`fresh` (default) opens a connection for every attempt, `reuse` keeps one open."""
    body_limit: Size | None = None
    """How much of an answer is read, counted after decompression. Default 1MiB."""
    severity: AlertSeverity | None = None
    """What an alert about this probe alone is: `page` or `ticket`. Default ticket."""
    objectives: LatencyObjectives = LatencyObjectives()
    """What is promised of this probe."""


class ProbeRef(ProbeOptions):
    """A probe of a tenant: a built-in one or one of your own, with its parameters."""

    use: str
    """The name of a built-in probe, or of one under `probes`."""
    name: Slug | None = None
    """The name in metrics and pages, where it is not that of `use`."""
    project: str | None = None
    """Parameter: the project's name."""
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
    model_version: Annotated[
        str | None, BeforeValidator(_json_text, json_schema_input_type=str | int | None)
    ] = None
    """Parameter: a model's version number."""
    json_body: JsonBody = Field(default=None, alias="json")
    """Parameter: the request's body, for probes that are billed."""
    i_accept_costs: bool = False
    """Consent to a probe that is billed or that writes."""


def _parse_probe_name(value: object) -> object:
    if not isinstance(value, str | dict | ProbeRef):
        raise ValueError("write the name of a probe, or {use: NAME, ...}")  # noqa: TRY004 -- pydantic
    return {"use": value} if isinstance(value, str) else value


NamedProbe = Annotated[
    ProbeRef,
    BeforeValidator(_parse_probe_name, json_schema_input_type=str | ProbeRef),
]


class Expectation(StrictModel):
    """What a good answer looks like, beside a 2xx with an `ok` envelope."""

    status: int | None = None
    """The status that is right: a 2xx, or a 4xx with an error envelope (a negative check)."""
    jmespath: str | None = None
    """An expression on the body that must give true."""
    max_server: Duration | None = None
    """The most that the platform's own time may be."""

    @field_validator("status")
    @classmethod
    def _validate_status(cls, value: int | None) -> int | None:
        if value is None:
            return value
        if value // 100 not in {2, 4} or value in _UNEXPECTABLE_STATUSES:
            raise ValueError("write a 2xx, or a 4xx other than 401, 403 and 429")
        return value

    @field_validator("jmespath")
    @classmethod
    def _validate_jmespath(cls, value: str | None) -> str | None:
        trouble = None if value is None else check_expression(value)
        if trouble is not None:
            raise ValueError(f"not a JMESPath expression: {trouble}")
        return value


class CustomProbe(ProbeOptions):
    """A probe of your own."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    """The HTTP method."""
    path: str
    """What follows the tenant's base URL, percent-encoded: `/api/v1/...`."""
    json_body: JsonBody = Field(default=None, alias="json")
    """The request's body."""
    headers: dict[str, WrittenText] = Field(default_factory=dict)
    """Further request headers; a secret by `{env: NAME}` or `{file: PATH}`."""
    query: dict[str, WrittenText] = Field(default_factory=dict)
    """Parameters that are added to the path, not percent-encoded; secrets as in `headers`."""
    expect: Expectation = Expectation()
    """What a good answer looks like."""
    i_accept_costs: bool = False
    """Consent to a request that is billed or that writes."""

    @field_validator("path")
    @classmethod
    def _validate_path(cls, value: str) -> str:
        if not re.fullmatch(r"/(?!/)[\x21\x24-\x7e]*", value):
            raise ValueError("begin with one '/', percent-encode the rest, and leave out '#'")
        if _DOT_SEGMENT.search(value.partition("?")[0]):
            raise ValueError("leave out '.' and '..' between slashes")
        return value

    @field_validator("headers")
    @classmethod
    def _validate_headers(cls, value: dict[str, Text]) -> dict[str, Text]:
        for name, content in value.items():
            if name.lower() in _RESERVED_HEADERS:
                raise ValueError(f"the header {name} is the prober's own")
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError("a header's name has characters that HTTP does not allow")
            if content.value is not None and not is_header_value(content.value):
                raise ValueError(f"the header {name} has characters that HTTP does not allow")
        return value


_LONGEST = timedelta(days=366)
_YEARS = range(1970, 3000)
"""Near the first and last year of a calendar a time of one zone has no counterpart in another."""


def _parse_wall_clock(value: object) -> object:
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
    if not isinstance(moment, datetime):
        raise ValueError("write a time such as 2026-12-01T22:00")  # noqa: TRY004 -- pydantic
    if moment.tzinfo is not None:
        raise ValueError("write it without a zone, such as 2026-12-01T22:00: see 'time_zone'")
    if moment.year not in _YEARS:
        raise ValueError(f"write a year from {_YEARS[0]} to {_YEARS[-1]}")
    return moment


WallClock = Annotated[datetime, BeforeValidator(_parse_wall_clock, json_schema_input_type=str)]


class MaintenanceEntry(StrictModel):
    """A maintenance window: `cron` or `every` with a `duration`, or just `from` and `until`."""

    cron: str | None = None
    """When windows begin, in five fields: `0 2 * * sun`."""
    first: WallClock | None = Field(default=None, alias="from")
    """When the first or only window begins, on the wall clock: `2026-12-01T22:00`."""
    until: WallClock | None = None
    """When the only window ends."""
    every: Duration | None = None
    """How long from one window's beginning to the next one's, on the wall clock.

    Where a clock is set back: up to an hour, windows begin at both of two equal times, else once.
    """
    duration: Duration | None = None
    """How long a window is open."""
    time_zone: str = "UTC"
    """The wall clock's zone, such as `Europe/Berlin`."""

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
            raise ValueError("is no time zone: write one such as 'Europe/Berlin'") from None
        return value

    @model_validator(mode="after")
    def _validate_form(self) -> "MaintenanceEntry":
        given = {name for name in type(self).model_fields if getattr(self, name) is not None}
        if given - {"time_zone"} not in (
            {"cron", "duration"},
            {"first", "until"},
            {"first", "every", "duration"},
        ):
            raise ValueError(
                "write 'cron' and 'duration', or 'from' and 'until',"
                " or 'from', 'every' and 'duration'"
            )
        seconds = self.window().duration_seconds
        if not 0 < seconds <= _LONGEST.total_seconds():
            raise ValueError("must be open for some time, and for a year at most")
        if self.every is not None and self.every < seconds:
            raise ValueError("'every' must be at least 'duration'")
        return self

    def window(self) -> MaintenanceWindow:
        """Return it as the rest of the house knows it."""
        zone = ZoneInfo(self.time_zone)
        seconds = self.duration or 0.0
        if self.first is not None and self.until is not None:
            lasts = first_utc_time(self.until, zone) - first_utc_time(self.first, zone)
            seconds = lasts.total_seconds()
        return MaintenanceWindow(seconds, self.time_zone, self.cron, self.first, self.every)


BASE_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*[^\s?#/])?")


def is_url(text: str, pattern: re.Pattern[str]) -> bool:
    """Tell whether a text is a URL that follows `pattern` and has a port that can be."""
    try:
        return bool(pattern.fullmatch(text)) and urlsplit(text).port != 0
    except ValueError:  # a port that no port can be, or half an IPv6 address
        return False


def is_remote_plaintext(url: str) -> bool:
    """Tell whether what is sent there travels in the clear, and over a network."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def is_loopback(host: str) -> bool:
    """Tell whether a name or an address is of this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def reject_inline_secret(value: object) -> object:
    """Refuse anything but a mapping: a token or secret that was written down here."""
    if not isinstance(value, dict | StrictModel):
        raise ValueError(  # noqa: TRY004 -- pydantic collects ValueError
            "a token must not be in this file: write {file: PATH} or {env: NAME}"
        )
    return value


def _parse_timestamp(value: object) -> object:
    if value is None or isinstance(value, date):  # YAML reads 2027-03-01 as a date by itself
        return value
    try:
        return datetime.fromisoformat(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError("write a date such as 2027-03-01, or 2027-03-01T12:00:00Z") from None


Timestamp = Annotated[
    datetime | date | None, BeforeValidator(_parse_timestamp, json_schema_input_type=str | None)
]


class Secret(StrictModel):
    """Where a secret comes from: exactly one of `file` and `env`."""

    file: str | None = Field(default=None, min_length=1)
    """A file with the secret alone; relative to this configuration file."""
    env: str | None = Field(default=None, pattern=VARIABLE)
    """An environment variable with the secret."""

    @model_validator(mode="after")
    def _validate_source(self) -> "Secret":
        if (self.file is None) == (self.env is None):
            raise ValueError("name exactly one source: 'file' or 'env'")
        return self


class OAuth(StrictModel):
    """OAuth 2.0 client credentials: tokens are asked for, and renewed ahead of their expiry."""

    token_url: str
    """Where tokens are issued, such as https://cloud.uipath.com/identity_/connect/token"""
    client_id: str = Field(min_length=1, max_length=256)
    """The application's id."""
    client_secret: Annotated[
        Secret, BeforeValidator(reject_inline_secret, json_schema_input_type=Secret)
    ]
    """Where the application's secret comes from."""
    scope: str | None = Field(default=None, min_length=1)
    """What the token shall be good for; scopes are separated by spaces."""

    @field_validator("token_url")
    @classmethod
    def _validate_token_url(cls, value: str) -> str:
        if not is_url(value, BASE_URL):
            raise ValueError(
                "write http(s)://HOST[:PORT]/PATH, with no '/' at the end, no '?', '#', '@'"
            )
        return value


class Token(StrictModel):
    """Where a tenant's token comes from: exactly one of `file`, `env` and `oauth`."""

    file: str | None = Field(default=None, min_length=1)
    """A file with the token alone; relative to this configuration file."""
    env: str | None = Field(default=None, pattern=VARIABLE)
    """An environment variable with the token."""
    oauth: OAuth | None = None
    """An identity server that issues tokens."""
    expires_at: Timestamp = None
    """When the token expires, where that is known; a date means its beginning in UTC."""
    max_age: Duration | None = None
    """How old the token may become, counted from its first acceptance."""

    @model_validator(mode="after")
    def _validate_source(self) -> "Token":
        if sum(source is not None for source in (self.file, self.env, self.oauth)) != 1:
            raise ValueError("name exactly one source: 'file', 'env' or 'oauth'")
        if self.oauth is not None and (self.expires_at, self.max_age) != (None, None):
            raise ValueError(
                "leave out 'expires_at' and 'max_age': who issues the tokens says how long each"
                " one lives"
            )
        return self


LABEL_PATTERN = r"^[a-zA-Z_][a-zA-Z0-9_]{0,62}$"
LabelName = Annotated[str, StringConstraints(pattern=LABEL_PATTERN)]
AddressPart = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")]

_LAST_PORT = 65_535
_DAY_SECONDS = 86_400.0
_MIN_HISTORY_BYTES = 8 * 1024 * 1024
_PROXY_URL = re.compile(r"https?://[^\s/?#]+/?")
_RESERVED_LABELS = frozenset({"tenant", "environment", "base_url", "probe", "job", "instance"})


class Web(StrictModel):
    """The daemon's own HTTP server: pages, API, metrics and health."""

    listen: str = "127.0.0.1:9824"
    """Address and port, such as `127.0.0.1:9824` or `[::1]:9824`; port 0 takes a free one."""
    max_series: int = Field(default=200_000, gt=0)
    """Refuse to start when tenants and probes would yield more time series than this."""
    histograms: Literal["probe", "tenant", "off"] = "probe"
    """How finely latency histograms are kept: the greater part of all series."""
    config_file: str | None = Field(default=None, min_length=1)
    """web.yml of Prometheus' exporter-toolkit, relative to this file: TLS, client certificates and
    users. It is picked up anew when it changes."""
    max_connections: int = Field(default=512, gt=0, le=100_000)
    """How many clients may be connected at once; more are turned away."""
    ad_hoc_runs: bool = False
    """Let clients run a probe at once, out of turn: those who have shown who they are."""
    reload: bool = False
    """Let `POST /-/reload` read this file anew, as SIGHUP does."""
    hosts: list[str] = Field(default_factory=list)
    """Names that browsers reach the pages by, for what changes something; `localhost` and plain
    addresses are known."""

    @field_validator("listen")
    @classmethod
    def _validate_listen(cls, value: str) -> str:
        listen_address(value)
        return value


class ClientCertificate(StrictModel):
    """A certificate that the prober shows to whom it calls."""

    certificate: str
    """PEM file with the certificate chain."""
    key: str | None = None
    """PEM file with the private key, where it is not in the same file."""


class TransportConfig(StrictModel):
    """How a tenant is reached; said for one tenant, or in `defaults` for all."""

    proxy: str | None = None
    """`environment` (default: HTTPS_PROXY, NO_PROXY...), `none`, or a proxy's URL."""
    ca_file: str | None = None
    """PEM file of the CAs to trust, in place of the system's."""
    client_certificate: ClientCertificate | None = None
    """The certificate to show when one is demanded."""
    concurrency: int | None = Field(default=None, gt=0)
    """How many probes of one tenant may be in flight. Default 10."""

    @field_validator("proxy")
    @classmethod
    def _validate_proxy(cls, value: str | None) -> str | None:
        if value in {None, "environment", "none"}:
            return value
        if not is_url(value or "", _PROXY_URL):
            raise ValueError("write 'environment', 'none', or a URL such as http://proxy:3128")
        return value


class Defaults(ProbeOptions, TransportConfig):
    """What holds for every tenant and probe that says nothing else."""

    objectives: Objectives = Objectives()
    """What is promised of every tenant and probe."""


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
    """Any other address that `/api/...` follows: self-hosted, or a simulator."""
    environment: Slug = "production"
    """production, development, ..."""
    token: Annotated[Token, BeforeValidator(reject_inline_secret, json_schema_input_type=Token)]
    """Where its token comes from."""
    probes: list[NamedProbe] | None = None
    """What to run; default: every built-in probe that needs no parameter and costs nothing."""
    labels: dict[LabelName, str] = Field(default_factory=dict)
    """Labels of your own on `prober_tenant_info`."""
    maintenance: list[MaintenanceEntry] = Field(default_factory=list)
    """When this tenant may fail: runs then count for no objective and no alert."""
    objectives: Objectives = Objectives()
    """What is promised of this tenant."""

    @field_validator("base_url")
    @classmethod
    def _validate_base_url(cls, value: str | None) -> str | None:
        if value is not None and not is_url(value, BASE_URL):
            raise ValueError(
                "write http(s)://HOST[:PORT]/PATH, with no '/' at the end, no '?', '#', '@'"
            )
        return value

    @field_validator("labels")
    @classmethod
    def _validate_labels(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if name in _RESERVED_LABELS or name.startswith("__"):
                raise ValueError(f"the label {name} is taken: choose another name")
        return value

    @model_validator(mode="after")
    def _validate_address(self) -> "TenantEntry":
        if (self.organisation is None) != (self.tenant is None):
            raise ValueError("'organisation' and 'tenant' go together")
        forms = [self.organisation, self.domain, self.base_url]
        if sum(form is not None for form in forms) != 1:
            raise ValueError(
                "name exactly one address: 'organisation' and 'tenant', 'domain', or 'base_url'"
            )
        return self


class Schedule(StrictModel):
    """How runs are started and ended."""

    concurrency: int = Field(default=200, gt=0)
    """How many probes of all tenants together may be in flight, beside one of each tenant."""
    grace: Duration = 15.0
    """How long requests in flight may go on when the daemon is stopped."""
    misfire_grace: Duration = 5.0
    """A run that is later than this is skipped and counted."""


class Measurement(StrictModel):
    """When a measurement is believed."""

    max_loop_lag: Duration = 0.05
    """Leave a latency out when the event loop was later than this during the attempt."""


class Tokens(StrictModel):
    """What is done about a token that was rejected."""

    canary_first: Duration = 60.0
    """How long after the rejection one run finds out whether the token is accepted again."""
    canary_limit: Duration = 900.0
    """The pause between such runs doubles each time, up to this."""

    @model_validator(mode="after")
    def _validate_backoff(self) -> "Tokens":
        if self.canary_limit < self.canary_first:
            raise ValueError("'canary_limit' must be at least 'canary_first'")
        return self


class State(StrictModel):
    """Where the daemon keeps what must outlive it."""

    directory: str | None = Field(default=None, min_length=1)
    """Relative to this file. Default: $STATE_DIRECTORY (as systemd sets it), else
    $XDG_STATE_HOME/prober/NAME, else ~/.local/state/prober/NAME; NAME is this file's, without
    its extension."""


class History(StrictModel):
    """What is remembered of the past, for pages and reports: see `state.directory`."""

    enabled: bool = True
    """Without it, pages know only what has happened since the start."""
    retention: Duration = 30 * 86_400.0
    """How long it is remembered. Default 30d."""
    max_size: Size = 512 * 1024 * 1024
    """How large the file may grow; the oldest is forgotten first. Default 512MiB."""

    @field_validator("retention")
    @classmethod
    def _validate_retention(cls, value: float) -> float:
        if value < _DAY_SECONDS:
            raise ValueError("must be at least 1d")
        return value

    @field_validator("max_size")
    @classmethod
    def _validate_max_size(cls, value: int) -> int:
        if value < _MIN_HISTORY_BYTES:
            raise ValueError("must be at least 8MiB")
        return value


class Reload(StrictModel):
    """When this file is read anew."""

    on_change: bool = True
    """As soon as it has changed. Else at SIGHUP alone, or by `web.reload`."""


class Log(StrictModel):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least level that is written."""
    format: Literal["auto", "json", "console"] = "auto"
    """`auto`: readable on a terminal, JSON lines elsewhere."""


class ConfigFile(StrictModel):
    """The configuration of prober."""

    web: Web = Web()
    """The daemon's own HTTP server."""
    defaults: Defaults = Defaults()
    """What holds for all tenants and probes."""
    schedule: Schedule = Schedule()
    """How runs are started and ended."""
    measurement: Measurement = Measurement()
    """When a measurement is believed."""
    tokens: Tokens = Tokens()
    """What is done about a token that was rejected."""
    state: State = State()
    """Where the daemon keeps what must outlive it."""
    history: History = History()
    """What is remembered of the past."""
    maintenance: list[MaintenanceEntry] = Field(default_factory=list)
    """When every tenant may fail: runs then count for no objective and no alert."""
    reload: Reload = Reload()
    """When this file is read anew."""
    log: Log = Log()
    """What is logged, and how."""
    tenants: list[TenantEntry] = Field(min_length=1)
    """Whom to probe."""
    probes: dict[Slug, CustomProbe] = Field(default_factory=dict)
    """Probes of your own, beside the built-in ones."""


def listen_address(text: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT` or `[HOST]:PORT`; raises ValueError."""
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s:\[\]]+)):([0-9]{1,5})", text)
    if found is None or int(found[3]) > _LAST_PORT:
        raise ValueError("write ADDRESS:PORT, such as 127.0.0.1:9824 or [::1]:9824")
    return found[1] or found[2], int(found[3])
