"""Sections of the configuration file that the daemon uses as they are. Pure.

Once parsed, durations are in seconds and sizes in bytes.
"""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from prober.config.addresses import BASE_URL, is_url, listen_address
from prober.config.strict_model import StrictModel, default
from prober.formatting import Duration, Size

_DAY_SECONDS = 86_400.0
_MIN_HISTORY_BYTES = 8 * 1024 * 1024


_PLACEHOLDERS = ("tenant", "environment")


def _link_template(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s<>\"']+", value):
        raise ValueError("write http(s)://..., such as 'https://grafana.example/?var={tenant}'")
    for name in re.findall(r"\{([^}]*)\}", value):
        if name not in _PLACEHOLDERS:
            raise ValueError(
                f"'{{{name}}}' is not a placeholder: use {{tenant}} or {{environment}}"
            )
    return value


LinkName = Annotated[str, Field(min_length=1, max_length=40)]
LinkTemplate = Annotated[str, AfterValidator(_link_template)]


class WebSettings(StrictModel):
    """The daemon's HTTP server: pages, API, metrics and health."""

    listen: str = "127.0.0.1:9824"
    """Address and port, such as `127.0.0.1:9824` or `[::1]:9824`; port 0 takes a free one.
    `0.0.0.0` is every address of IPv4, `[::]` of IPv6, and `:9824` of both."""
    config_file: str | None = Field(default=None, min_length=1)
    """The web configuration file (TLS, client certificates and users) in the format of Prometheus'
    exporter-toolkit, relative to this file. It is reloaded when it changes."""
    max_connections: int = Field(default=512, gt=0, le=100_000)
    """The maximum number of open client connections; further ones are rejected."""
    enable_run_now: bool = False
    """Allow authenticated clients to run a probe immediately."""
    enable_reload: bool = False
    """Allow authenticated clients to reload this file with `POST /-/reload`, as SIGHUP does."""
    enable_annotations: bool = False
    """Allow authenticated clients to add notes to incidents, to acknowledge them, and to start
    maintenance of a tenant."""
    links: dict[LinkName, LinkTemplate] = Field(default_factory=dict, max_length=8)
    """Addresses of other pages on a tenant, by the names that its page and its incidents' pages
    show them under, such as `Grafana: https://grafana.example/d/prober-tenant?var-tenant={tenant}`.
    `{tenant}` and `{environment}` are replaced by its name and environment."""
    runbooks: str | None = None
    """The address where the runbooks of alerts are served, such as
    `https://runbooks.example/prober`; an incident's page links its alerts to them."""
    route_prefix: str = Field(default="", pattern=r"^(/[A-Za-z0-9._~-]+)*$", max_length=100)
    """The path before all addresses, such as `/prober`, for a proxy that does not remove it."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names that clients may use besides `localhost` and IP addresses. Requests under other
    names are rejected with 421, except for health checks. If empty: any name may be used, unless
    `listen` is a loopback address."""

    @field_validator("listen")
    @classmethod
    def _validate_listen(cls, value: str) -> str:
        listen_address(value)
        return value

    @field_validator("runbooks")
    @classmethod
    def _validate_runbooks(cls, value: str | None) -> str | None:
        if value is not None and not is_url(value, BASE_URL):
            raise ValueError("write http(s)://HOST[:PORT]/PATH, with no '/' at the end")
        return value

    @property
    def host(self) -> str:
        """The host name or address of `listen`, without brackets; empty for every address."""
        return listen_address(self.listen)[0]

    @property
    def port(self) -> int:
        """The port of `listen`; 0 means any free port."""
        return listen_address(self.listen)[1]


_REFERENCE = re.compile(r"https?://[\x21\x24-\x3e\x41-\x7e]+")
MAX_REFERENCES = 8
_MAX_REFERENCE_CHARACTERS = 300  # it is a label value


def _reference(value: str) -> str:
    if not is_url(value, _REFERENCE):
        raise ValueError("write http(s)://HOST[:PORT]/PATH, without '?', '#' and '@'")
    if len(value) > _MAX_REFERENCE_CHARACTERS:
        raise ValueError(f"write at most {_MAX_REFERENCE_CHARACTERS} characters")
    return value


References = Annotated[
    tuple[Annotated[str, AfterValidator(_reference)], ...], Field(max_length=MAX_REFERENCES)
]
"""URLs outside that must be reachable when the prober's own network is OK."""


class StatusPageSettings(StrictModel):
    """The supplier's status page, of Atlassian Statuspage."""

    url: str
    """Its address, such as https://status.uipath.com; `/api/v2/summary.json` is read of it."""
    components: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = ()
    """Only incidents that affect a component with one of these words in its name. Default: all."""

    @field_validator("url")
    @classmethod
    def _validate_url(cls, value: str) -> str:
        if not is_url(value, BASE_URL):
            raise ValueError("write http(s)://HOST[:PORT]/PATH, with no '/' at the end")
        return value


def _status_page_from_url(value: object) -> object:
    return {"url": value} if isinstance(value, str) else value


StatusPage = Annotated[
    StatusPageSettings | None,
    BeforeValidator(_status_page_from_url, json_schema_input_type=str | StatusPageSettings | None),
]


class OtlpSettings(StrictModel):
    """Pushing the metrics by OTLP over HTTP, beside `/metrics`. Needs the extra `prober[otlp]`.

    OpenTelemetry's variables apply, such as OTEL_EXPORTER_OTLP_HEADERS for credentials.
    """

    endpoint: str
    """The receiver's URL, such as `https://otel.example.com/v1/metrics`."""
    interval: Duration = default("60s")
    """How often the metrics are pushed; at least 1s."""

    @field_validator("endpoint")
    @classmethod
    def _validate_endpoint(cls, value: str) -> str:
        if not is_url(value, BASE_URL):
            raise ValueError("write a URL such as https://otel.example.com/v1/metrics")
        return value

    @field_validator("interval")
    @classmethod
    def _validate_interval(cls, value: float) -> float:
        if value < 1:
            raise ValueError("must be at least 1s")
        return value

    @property
    def interval_seconds(self) -> float:
        """`interval` in seconds."""
        return self.interval


class MetricsSettings(StrictModel):
    """What `/metrics` exports."""

    max_series: int = Field(default=200_000, gt=0)
    """Refuse to start if tenants and probes would yield more time series than this."""
    histograms: Literal["probe", "tenant", "off"] = "probe"
    """Keep latency histograms for each probe, for each tenant, or not at all. They are most of all
    series."""
    otlp: OtlpSettings | None = None
    """Push the metrics too. Default: not at all."""


class SchedulerSettings(StrictModel):
    """Limits on probe runs."""

    max_concurrent: int = Field(default=200, gt=0)
    """How many probes of all tenants together may be in flight, beside one of each tenant."""
    max_start_delay: Duration = default("5s")
    """A run that would start later than this after its due time is skipped and counted."""

    @property
    def max_start_delay_seconds(self) -> float:
        """`max_start_delay` in seconds."""
        return self.max_start_delay


class MeasurementSettings(StrictModel):
    """Which measurements are discarded."""

    max_loop_lag: Duration = default("50ms")
    """Discard a latency if the event loop was delayed longer than this during the run."""

    @property
    def max_loop_lag_seconds(self) -> float:
        """`max_loop_lag` in seconds."""
        return self.max_loop_lag


class TokenSettings(StrictModel):
    """How a rejected token is retried."""

    retry_initial: Duration = default("60s")
    """The time from the rejection until one run tries the token again."""
    retry_max: Duration = default("15m")
    """The time between retries doubles each time, up to this."""

    @model_validator(mode="after")
    def _validate_backoff(self) -> "TokenSettings":
        if self.retry_max < self.retry_initial:
            raise ValueError("'retry_max' must be at least 'retry_initial'")
        return self

    @property
    def retry_initial_seconds(self) -> float:
        """`retry_initial` in seconds."""
        return self.retry_initial

    @property
    def retry_max_seconds(self) -> float:
        """`retry_max` in seconds."""
        return self.retry_max


class StateSettings(StrictModel):
    """Where the daemon keeps what must survive a restart."""

    directory: str | None = Field(default=None, min_length=1)
    """Relative to this file. Default: $STATE_DIRECTORY (set by systemd), otherwise
    $XDG_STATE_HOME/prober/NAME, otherwise ~/.local/state/prober/NAME, where NAME is the name of
    this file without its extension."""


class HistorySettings(StrictModel):
    """The history for pages and reports, kept in `state.directory`."""

    enabled: bool = True
    """If false, pages show only what has happened since the daemon started."""
    retention: Duration = default("30d")
    """How long results are kept; at least 1d."""
    max_size: Size = default("512MiB")
    """The maximum size of the history file; the oldest results are deleted first."""

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

    @property
    def retention_seconds(self) -> float:
        """`retention` in seconds."""
        return self.retention

    @property
    def max_bytes(self) -> int:
        """`max_size` in bytes."""
        return self.max_size


class ReloadSettings(StrictModel):
    """When this file is reloaded."""

    on_change: bool = True
    """Reload this file when it changes. If false: only on SIGHUP, or with `web.enable_reload`."""


class LogSettings(StrictModel):
    """The log."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The lowest level that is written."""
    format: Literal["auto", "json", "console"] = "auto"
    """`auto`: readable text on a terminal, otherwise JSON lines."""
