"""web.yml: the web configuration file of Prometheus' exporter-toolkit. Pure.

Source: its docs/web-configuration.md, and what its code accepts in addition. What prober does not
support is an error, or a warning that says what happens instead; nothing is ignored silently.
"""

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StrictBool, field_validator, model_validator

from prober.config.strict_model import StrictModel

ClientAuthType = Literal[
    "",
    "NoClientCert",
    "RequestClientCert",
    "RequireClientCert",
    "RequireAnyClientCert",
    "VerifyClientCertIfGiven",
    "RequireAndVerifyClientCert",
]
TlsVersion = Literal["TLS10", "TLS11", "TLS12", "TLS13"]
Curve = Literal["CurveP256", "CurveP384", "CurveP521", "X25519"]

_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
_MIN_BCRYPT_COST, _MAX_BCRYPT_COST = 4, 18
_GO_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_GO_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_GO_DURATION = re.compile(rf"(?:{_GO_PART.pattern})+")
_GO_MAX_INT = 2**63 - 1
_GO_MAX_HOURS = 2_562_047  # Go counts nanoseconds in 63 bits
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")


def go_duration_seconds(value: object) -> float:
    """Return the seconds of a Go duration: `1m30s`, or an integer of nanoseconds.

    Raises ValueError.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        seconds = min(value, _GO_MAX_INT + 1) / 1e9
    elif isinstance(value, str) and _GO_DURATION.fullmatch(value):
        seconds = sum(float(number) * _GO_UNITS[unit] for number, unit in _GO_PART.findall(value))
    else:
        raise ValueError("write a duration such as '1s' or '500ms', or 0")
    if seconds > _GO_MAX_HOURS * 3600:
        raise ValueError(f"is too long: write at most '{_GO_MAX_HOURS}h'")
    return seconds


class TlsServerConfig(StrictModel):
    """TLS of the server, and verification of client certificates."""

    cert: str | None = None
    key: str | None = Field(default=None, repr=False)
    client_ca: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    client_auth_type: ClientAuthType | None = None
    client_ca_file: str | None = None
    client_allowed_sans: list[str] | None = None
    min_version: TlsVersion = "TLS12"
    max_version: TlsVersion = "TLS13"
    cipher_suites: list[str] | None = None
    prefer_server_cipher_suites: StrictBool = True
    curve_preferences: list[Curve] | None = None

    @property
    def is_enabled(self) -> bool:
        """Whether this section enables TLS, by the rule of the exporter-toolkit."""
        pem = (self.cert, self.key, self.cert_file, self.key_file, self.client_ca)
        return any((*pem, self.client_ca_file, self.client_auth_type))


class Headers(StrictModel):
    """Headers of every response."""

    content_security_policy: str = Field(default="", alias="Content-Security-Policy")
    x_frame_options: Literal["deny", "sameorigin"] | None = Field(
        default=None, alias="X-Frame-Options"
    )
    x_content_type_options: Literal["nosniff"] | None = Field(
        default=None, alias="X-Content-Type-Options"
    )
    x_xss_protection: str = Field(default="", alias="X-XSS-Protection")
    strict_transport_security: str | None = Field(default=None, alias="Strict-Transport-Security")

    @field_validator("content_security_policy", "x_xss_protection", "strict_transport_security")
    @classmethod
    def _validate_header(cls, value: str | None) -> str | None:
        if value is not None and not _HEADER_VALUE.fullmatch(value):
            raise ValueError("write printable ASCII on one line")
        return value


class HttpServerConfig(StrictModel):
    """Options of the HTTP server."""

    http2: StrictBool | None = None
    headers: Headers = Headers()


class RateLimitConfig(StrictModel):
    """A token bucket for all requests together."""

    interval: Annotated[float, BeforeValidator(go_duration_seconds)] = 0.0
    burst: int = Field(default=0, le=_GO_MAX_INT)

    @model_validator(mode="after")
    def _validate_burst(self) -> "RateLimitConfig":
        if self.interval > 0 and self.burst < 1:
            raise ValueError("'burst' must be at least 1: otherwise every request is rejected")
        return self


def check_hash(value: str) -> str:
    """Return a valid bcrypt hash; raises ValueError, whose text does not contain it."""
    found = _BCRYPT.fullmatch(value)
    if found is None:
        raise ValueError("write a bcrypt hash, such as 'htpasswd -nBC 10 USER' prints after USER:")
    if not _MIN_BCRYPT_COST <= int(found[1]) <= _MAX_BCRYPT_COST:
        raise ValueError(
            f"has a bcrypt cost of {int(found[1])}: use one from {_MIN_BCRYPT_COST} to"
            f" {_MAX_BCRYPT_COST}; checking a password takes minutes with a higher one"
        )
    return value


Hash = Annotated[str, BeforeValidator(lambda v: check_hash(v) if isinstance(v, str) else v)]


class WebConfigFile(StrictModel):
    """web.yml."""

    tls_server_config: TlsServerConfig = TlsServerConfig()
    http_server_config: HttpServerConfig = HttpServerConfig()
    basic_auth_users: dict[str, Hash] = Field(default_factory=dict)
    rate_limit: RateLimitConfig = RateLimitConfig()
