"""The YAML file as it may be written: one pydantic model for each mapping in it.

Models say what each key takes; what keys mean together across mappings is `resolve`'s business.
"""

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints, field_validator, model_validator

from prober.settings.maintenance_schema import MaintenanceEntry
from prober.settings.probe_schema import NamedProbe, Objectives, OwnProbe, Slug, Strict, Tuning
from prober.settings.quantities import Duration, Size
from prober.settings.token_schema import Token, never_a_literal
from prober.settings.url import BASE_URL, is_url

LABEL_PATTERN = r"^[a-zA-Z_][a-zA-Z0-9_]{0,62}$"
LabelName = Annotated[str, StringConstraints(pattern=LABEL_PATTERN)]
AddressPart = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")]

_LAST_PORT = 65_535
_DAY_SECONDS = 86_400.0
_LEAST_HISTORY_BYTES = 8 * 1024 * 1024
_PROXY_URL = re.compile(r"https?://[^\s/?#]+/?")
_TAKEN_LABELS = frozenset({"tenant", "environment", "base_url", "probe", "job", "instance"})


class Web(Strict):
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
    def _has_a_port(cls, value: str) -> str:
        listen_address(value)
        return value


class ClientCertificate(Strict):
    """A certificate that the prober shows to whom it calls."""

    certificate: str
    """PEM file with the certificate chain."""
    key: str | None = None
    """PEM file with the private key, where it is not in the same file."""


class Way(Strict):
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
    def _is_a_proxy(cls, value: str | None) -> str | None:
        if value in {None, "environment", "none"}:
            return value
        if not is_url(value or "", _PROXY_URL):
            raise ValueError("write 'environment', 'none', or a URL such as http://proxy:3128")
        return value


class Defaults(Tuning, Way):
    """What holds for every tenant and probe that says nothing else."""

    objectives: Objectives = Objectives()
    """What is promised of every tenant and probe."""


class TenantEntry(Way):
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
    token: Annotated[Token, BeforeValidator(never_a_literal, json_schema_input_type=Token)]
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
    def _is_a_base(cls, value: str | None) -> str | None:
        if value is not None and not is_url(value, BASE_URL):
            raise ValueError(
                "write http(s)://HOST[:PORT]/PATH, with no '/' at the end, no '?', '#', '@'"
            )
        return value

    @field_validator("labels")
    @classmethod
    def _are_free(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if name in _TAKEN_LABELS or name.startswith("__"):
                raise ValueError(f"the label {name} is taken: choose another name")
        return value

    @model_validator(mode="after")
    def _has_one_address(self) -> "TenantEntry":
        if (self.organisation is None) != (self.tenant is None):
            raise ValueError("'organisation' and 'tenant' go together")
        forms = [self.organisation, self.domain, self.base_url]
        if sum(form is not None for form in forms) != 1:
            raise ValueError(
                "name exactly one address: 'organisation' and 'tenant', 'domain', or 'base_url'"
            )
        return self


class Schedule(Strict):
    """How runs are started and ended."""

    concurrency: int = Field(default=200, gt=0)
    """How many probes of all tenants together may be in flight, beside one of each tenant."""
    grace: Duration = 15.0
    """How long requests in flight may go on when the daemon is stopped."""
    misfire_grace: Duration = 5.0
    """A run that is later than this is skipped and counted."""


class Measurement(Strict):
    """When a measurement is believed."""

    max_loop_lag: Duration = 0.05
    """Leave a latency out when the event loop was later than this during the attempt."""


class Tokens(Strict):
    """What is done about a token that was rejected."""

    canary_first: Duration = 60.0
    """How long after the rejection one run finds out whether the token is accepted again."""
    canary_limit: Duration = 900.0
    """The pause between such runs doubles each time, up to this."""

    @model_validator(mode="after")
    def _grows(self) -> "Tokens":
        if self.canary_limit < self.canary_first:
            raise ValueError("'canary_limit' must be at least 'canary_first'")
        return self


class State(Strict):
    """Where the daemon keeps what must outlive it."""

    directory: str | None = Field(default=None, min_length=1)
    """Relative to this file. Default: $STATE_DIRECTORY (as systemd sets it), else
    $XDG_STATE_HOME/prober/NAME, else ~/.local/state/prober/NAME; NAME is this file's, without
    its extension."""


class History(Strict):
    """What is remembered of the past, for pages and reports: see `state.directory`."""

    enabled: bool = True
    """Without it, pages know only what has happened since the start."""
    retention: Duration = 30 * 86_400.0
    """How long it is remembered. Default 30d."""
    max_size: Size = 512 * 1024 * 1024
    """How large the file may grow; the oldest is forgotten first. Default 512MiB."""

    @field_validator("retention")
    @classmethod
    def _is_a_day_at_least(cls, value: float) -> float:
        if value < _DAY_SECONDS:
            raise ValueError("must be at least 1d")
        return value

    @field_validator("max_size")
    @classmethod
    def _has_room(cls, value: int) -> int:
        if value < _LEAST_HISTORY_BYTES:
            raise ValueError("must be at least 8MiB")
        return value


class Reload(Strict):
    """When this file is read anew."""

    on_change: bool = True
    """As soon as it has changed. Else at SIGHUP alone, or by `web.reload`."""


class Log(Strict):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least level that is written."""
    format: Literal["auto", "json", "console"] = "auto"
    """`auto`: readable on a terminal, JSON lines elsewhere."""


class File(Strict):
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
    probes: dict[Slug, OwnProbe] = Field(default_factory=dict)
    """Probes of your own, beside the built-in ones."""


def listen_address(text: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT` or `[HOST]:PORT`; raises ValueError."""
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s:\[\]]+)):([0-9]{1,5})", text)
    if found is None or int(found[3]) > _LAST_PORT:
        raise ValueError("write ADDRESS:PORT, such as 127.0.0.1:9824 or [::1]:9824")
    return found[1] or found[2], int(found[3])
