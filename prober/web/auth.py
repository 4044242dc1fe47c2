"""What is asked of whoever connects, and what they may do then. Pure.

The law: health is open to all; where there are users, everything else needs a password; what is
not GET or HEAD needs somebody who has shown who they are, by a password or a verified certificate.

Is this password right? bcrypt in a thread of its own, one at a time, and seldom.

How often something may be done: a bounded table of debts that time pays off. Pure.

A debt is kept as the moment when it will be paid; times are monotonic seconds, passed in.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any

import bcrypt

READING = frozenset({"GET", "HEAD"})
HEALTH = frozenset({"/-/healthy", "/-/ready"})
_SCHEME = "basic "


class ClientCertificates(Enum):
    """What is asked of a client's certificate; one that is shown is always verified."""

    NOT_ASKED = "NoClientCert"
    IF_GIVEN = "VerifyClientCertIfGiven"
    DEMANDED = "RequireAndVerifyClientCert"


@dataclass(frozen=True, slots=True)
class PemSource:
    """PEM text, in a file or as it stands in web.yml; `key` is the key of web.yml that says so."""

    key: str
    file: Path | None = None
    text: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """How TLS is spoken. `ciphers` are OpenSSL's names, for TLS 1.2; None leaves its defaults."""

    certificate: PemSource
    private_key: PemSource
    client_certificates: ClientCertificates = ClientCertificates.NOT_ASKED
    client_ca: PemSource | None = None
    allowed_sans: frozenset[str] | None = None
    minimum_is_tls_1_3: bool = False
    maximum_is_tls_1_2: bool = False
    ciphers: tuple[str, ...] | None = None
    server_prefers_ciphers: bool = True
    curve: str | None = None


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One request each `interval_seconds`, and `burst` at once; of all clients together."""

    interval_seconds: float
    burst: int


@dataclass(frozen=True, slots=True)
class AccessPolicy:
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
    def authenticates_clients(self) -> bool:
        """Tell whether a client can show who it is."""
        certificates = (
            ClientCertificates.NOT_ASKED if not self.tls else self.tls.client_certificates
        )
        return bool(self.users) or certificates is not ClientCertificates.NOT_ASKED

    @property
    def requires_authentication(self) -> bool:
        """Tell whether nobody gets in who has not shown who they are."""
        demanded = ClientCertificates.DEMANDED
        return bool(self.users) or (
            self.tls is not None and self.tls.client_certificates is demanded
        )


class AuthDecision(StrEnum):
    """What becomes of a request."""

    ALLOWED = "allowed"
    PASSWORD_NEEDED = "password_needed"  # noqa: S105 -- a word of ours
    WRITE_REFUSED = "write_refused"


def authorize(
    access: AccessPolicy, method: str, resource: str | None, *, password: bool, certificate: bool
) -> AuthDecision:
    """Rule on a request for the route `resource`, None if there is no such route.

    `password` says whether a right one was given, `certificate` whether a verified one was shown.
    """
    reads = method in READING
    if reads and resource in HEALTH:
        return AuthDecision.ALLOWED
    if access.users and not password:
        return AuthDecision.PASSWORD_NEEDED
    if reads or password or certificate or access.writes_are_open:
        return AuthDecision.ALLOWED
    return AuthDecision.WRITE_REFUSED


def refuse_downgrade(old: AccessPolicy, new: AccessPolicy) -> str | None:
    """Return why `new` must not take the place of `old` while running; None if it may.

    A file that is caught half written is shorter, not longer: no door is opened by it.
    """
    if old.tls is not None and new.tls is None:
        return "it no longer has TLS: restart if that is meant"
    if old.authenticates_clients and not new.authenticates_clients:
        return "it no longer asks for passwords or certificates: restart if that is meant"
    if old.requires_authentication and not new.requires_authentication:
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


def host_objection(host: str | None, allowed: Sequence[str], *, is_loopback: bool) -> str | None:
    """Return why a request for a host is not answered, None if it is.

    A page of another site can have its own name resolved to this server's address (DNS rebinding),
    and then reads the answers as its own; an address cannot be rebound. Without `allowed` names
    every name is good, but for a server that only this machine can reach: `is_loopback`.
    """
    name = host_name(host or "")
    if not name or name == "localhost" or name in allowed or is_ip_address(name):
        return None
    if not allowed and not is_loopback:
        return None
    return f"'{name[:80]}' is not in web.allowed_hosts: add it if clients use this host name"


def host_name(host: str) -> str:
    """Return the name or address in a Host field, in lower case."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).strip("[]").lower()


def is_ip_address(name: str) -> bool:
    """Tell whether a host is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


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


def san_allowed(options: TlsOptions | None, certificate: Mapping[str, Any] | None) -> bool:
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


_MAX_CACHED = 256
_MAX_PENDING = 16
_BCRYPT_MAX_BYTES = 72  # and no more: what follows was never hashed

Check = Callable[[bytes, bytes], bool]


class TooBusyError(Exception):
    """So many passwords wait to be checked that this one cannot."""


class PasswordVerifier:
    """Checks passwords; a right one is remembered by a keyed hash, so that it costs nothing again.

    A name that is unknown is checked against somebody's hash all the same: it takes as long.
    """

    def __init__(self, check: Check = bcrypt.checkpw) -> None:
        self._check = check
        self._key = secrets.token_bytes(32)
        self._right: dict[bytes, None] = {}
        self._checking: dict[bytes, asyncio.Task[bool]] = {}
        self._thread = ThreadPoolExecutor(1, "passwords")  # at most one core is taken from probes

    def is_cached(self, users: Mapping[bytes, bytes], user: bytes, password: bytes) -> bool:
        """Tell whether this was found right before, and the user's hash is the same."""
        return user in users and self._digest(user, users[user], password) in self._right

    def is_pending(self, users: Mapping[bytes, bytes], user: bytes, password: bytes) -> bool:
        """Tell whether the same is being checked for somebody else right now."""
        return self._digest(user, users.get(user, b""), password) in self._checking

    async def verify(self, users: Mapping[bytes, bytes], user: bytes, password: bytes) -> bool:
        """Tell whether the password is the user's; raises TooBusyError."""
        digest = self._digest(user, users.get(user, b""), password)
        task = self._checking.get(digest)
        if task is None:
            if len(self._checking) >= _MAX_PENDING:
                raise TooBusyError
            hashed = users.get(user) or self._hash_of(users, user)
            task = asyncio.create_task(
                self._check_in_thread(hashed, password), name="check password"
            )
            self._checking[digest] = task
            task.add_done_callback(lambda _: self._checking.pop(digest))
        is_right = await asyncio.shield(task) and user in users
        if is_right:
            self._cache(digest)
        return is_right

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _check_in_thread(self, hashed: bytes, password: bytes) -> bool:
        loop = asyncio.get_running_loop()
        shortened = password[:_BCRYPT_MAX_BYTES]
        try:
            return await loop.run_in_executor(self._thread, self._check, shortened, hashed)
        except ValueError:  # a NUL byte: no password that could have been hashed
            return False

    def _hash_of(self, users: Mapping[bytes, bytes], user: bytes) -> bytes:
        """Return always the same hash for the same name, whose cost is then the name's."""
        number = int.from_bytes(self._digest(user, b"", b"")[:8])
        return list(users.values())[number % len(users)]

    def _cache(self, digest: bytes) -> None:
        while len(self._right) >= _MAX_CACHED:
            del self._right[next(iter(self._right))]
        self._right[digest] = None

    def _digest(self, user: bytes, hashed: bytes, password: bytes) -> bytes:
        parts = (user, hashed, password)
        framed = b"".join(len(part).to_bytes(4) + part for part in parts)
        return hmac.digest(self._key, framed, hashlib.sha256)


_OVERFLOW_KEY = ""


@dataclass(slots=True)
class RateLimiter:
    """A GCRA rate limiter: `burst` at once, then one each `interval_seconds`, for each key.

    At most `max_keys` keys have an entry of their own; all others share one.
    """

    burst: int
    interval_seconds: float
    max_keys: int = 1
    _paid_at: dict[str, float] = field(default_factory=dict)

    def wait_seconds(self, key: str, now: float) -> float:
        """Return how long `who` has to wait, 0 if not at all."""
        owed_seconds = self._paid_at.get(self._entry(key), now) - now
        return max(0.0, owed_seconds - (self.burst - 1) * self.interval_seconds)

    def charge(self, key: str, now: float) -> None:
        """Count one."""
        if key not in self._paid_at and self._is_full():
            self._paid_at = {each: paid for each, paid in self._paid_at.items() if paid > now}
        entry = self._entry(key)
        self._paid_at[entry] = max(self._paid_at.get(entry, now), now) + self.interval_seconds

    def refund(self, key: str) -> None:
        """Take one back."""
        entry = self._entry(key)
        if entry in self._paid_at:
            self._paid_at[entry] -= self.interval_seconds

    def __len__(self) -> int:
        return len(self._paid_at)

    def _entry(self, key: str) -> str:
        return key if key in self._paid_at or not self._is_full() else _OVERFLOW_KEY

    def _is_full(self) -> bool:
        # While the shared entry owes something, a new key may be one of those that share it.
        return _OVERFLOW_KEY in self._paid_at or len(self._paid_at) >= self.max_keys
