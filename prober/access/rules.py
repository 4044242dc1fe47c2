"""What is asked of whoever connects, and what they may do then. Pure.

The law: health is open to all; where there are users, everything else needs a password; what is
not GET or HEAD needs somebody who has shown who they are, by a password or a verified certificate.
"""

import base64
import binascii
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any

READING = frozenset({"GET", "HEAD"})
HEALTH = frozenset({"/-/healthy", "/-/ready"})
_SCHEME = "basic "


class ClientCertificates(Enum):
    """What is asked of a client's certificate; one that is shown is always verified."""

    NOT_ASKED = "NoClientCert"
    IF_GIVEN = "VerifyClientCertIfGiven"
    DEMANDED = "RequireAndVerifyClientCert"


@dataclass(frozen=True, slots=True)
class Pem:
    """PEM text, in a file or as it stands in web.yml; `key` is the key of web.yml that says so."""

    key: str
    file: Path | None = None
    text: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """How TLS is spoken. `ciphers` are OpenSSL's names, for TLS 1.2; None leaves its defaults."""

    certificate: Pem
    private_key: Pem
    client_certificates: ClientCertificates = ClientCertificates.NOT_ASKED
    client_ca: Pem | None = None
    allowed_sans: frozenset[str] | None = None
    lowest_is_1_3: bool = False
    highest_is_1_2: bool = False
    ciphers: tuple[str, ...] | None = None
    server_prefers_ciphers: bool = True
    curve: str | None = None


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One request each `interval_seconds`, and `burst` at once; of all clients together."""

    interval_seconds: float
    burst: int


@dataclass(frozen=True, slots=True)
class Access:
    """What web.yml says. `users` are names and bcrypt hashes, `headers` go over ours.

    `writes_are_open` lets anybody write; no file can set it, the demo does.
    """

    tls: TlsOptions | None = None
    users: Mapping[bytes, bytes] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    rate_limit: RateLimit | None = None
    files: tuple[Path, ...] = ()
    writes_are_open: bool = False

    @property
    def knows_clients(self) -> bool:
        """Tell whether a client can show who it is."""
        certificates = (
            ClientCertificates.NOT_ASKED if not self.tls else self.tls.client_certificates
        )
        return bool(self.users) or certificates is not ClientCertificates.NOT_ASKED

    @property
    def is_closed(self) -> bool:
        """Tell whether nobody gets in who has not shown who they are."""
        demanded = ClientCertificates.DEMANDED
        return bool(self.users) or (
            self.tls is not None and self.tls.client_certificates is demanded
        )


class Ruling(StrEnum):
    """What becomes of a request."""

    ALLOWED = "allowed"
    PASSWORD_NEEDED = "password_needed"  # noqa: S105 -- a word of ours
    WRITE_REFUSED = "write_refused"


def ruling(
    access: Access, method: str, resource: str | None, *, password: bool, certificate: bool
) -> Ruling:
    """Rule on a request for the route `resource`, None if there is no such route.

    `password` says whether a right one was given, `certificate` whether a verified one was shown.
    """
    reads = method in READING
    if reads and resource in HEALTH:
        return Ruling.ALLOWED
    if access.users and not password:
        return Ruling.PASSWORD_NEEDED
    if reads or password or certificate or access.writes_are_open:
        return Ruling.ALLOWED
    return Ruling.WRITE_REFUSED


def objection_to_change(old: Access, new: Access) -> str | None:
    """Return why `new` must not take the place of `old` while running; None if it may.

    A file that is caught half written is shorter, not longer: no door is opened by it.
    """
    if old.tls is not None and new.tls is None:
        return "it no longer has TLS: restart if that is meant"
    if old.knows_clients and not new.knows_clients:
        return "it no longer asks for passwords or certificates: restart if that is meant"
    if old.is_closed and not new.is_closed:
        return "it no longer keeps strangers out: restart if that is meant"
    return None


def credentials(authorization: str | None) -> tuple[bytes, bytes] | None:
    """Return user and password of an Authorization header, None if there are none (RFC 7617)."""
    if authorization is None or authorization[: len(_SCHEME)].lower() != _SCHEME:
        return None
    try:
        decoded = base64.b64decode(authorization[len(_SCHEME) :].strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    user, colon, password = decoded.partition(b":")
    return (user, password) if colon else None


def client_network(address: str | None) -> str:
    """Return whom wrong passwords from an address are counted for: of IPv6, a whole /64."""
    try:
        parsed = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return address or ""
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))


def is_admitted(options: TlsOptions | None, certificate: Mapping[str, Any] | None) -> bool:
    """Tell whether a verified certificate, as `ssl` tells it, bears a name that is allowed."""
    if options is None or options.allowed_sans is None:
        return True
    names = {_san(kind, value) for kind, value in (certificate or {}).get("subjectAltName", ())}
    return not names.isdisjoint(options.allowed_sans)


def _san(kind: str, value: str) -> str:
    if kind != "IP Address":
        return value
    try:
        return str(
            ipaddress.ip_address(value.strip())
        )  # OpenSSL writes IPv6 in capitals, at length
    except ValueError:
        return value
