"""Who may do what over HTTP: the policy, the check of passwords, and rate limits.

The policy: health checks are open to everybody. If there are users, everything else needs a
password. Methods other than GET and HEAD need an authenticated client, by a password or by a
verified certificate.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    """Whether clients need a certificate; one that is sent is always verified."""

    NOT_REQUESTED = "NoClientCert"
    IF_GIVEN = "VerifyClientCertIfGiven"
    REQUIRED = "RequireAndVerifyClientCert"


@dataclass(frozen=True, slots=True)
class PemSource:
    """PEM text in a file, or in web.yml itself; `key` is the key in web.yml."""

    key: str
    file: Path | None = None
    text: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """TLS settings. `ciphers` are OpenSSL's names, for TLS 1.2; None means its defaults."""

    certificate: PemSource
    private_key: PemSource
    client_certificates: ClientCertificates = ClientCertificates.NOT_REQUESTED
    client_ca: PemSource | None = None
    allowed_sans: frozenset[str] | None = None
    minimum_is_tls_1_3: bool = False
    maximum_is_tls_1_2: bool = False
    ciphers: tuple[str, ...] | None = None
    server_prefers_ciphers: bool = True
    curve: str | None = None


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One request each `interval_seconds`, and `burst` at once, for all clients together."""

    interval_seconds: float
    burst: int


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """The contents of web.yml. `users` are names and bcrypt hashes, `headers` replace the defaults.

    `writes_are_open` allows writes to everybody; only the demo sets it, no file can.
    """

    tls: TlsOptions | None = None
    users: Mapping[bytes, bytes] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    rate_limit: RateLimit | None = None
    files: tuple[Path, ...] = ()
    writes_are_open: bool = False

    @property
    def authenticates_clients(self) -> bool:
        """Whether clients can authenticate."""
        certificates = (
            ClientCertificates.NOT_REQUESTED if not self.tls else self.tls.client_certificates
        )
        return bool(self.users) or certificates is not ClientCertificates.NOT_REQUESTED

    @property
    def requires_authentication(self) -> bool:
        """Whether clients must authenticate."""
        required = ClientCertificates.REQUIRED
        return bool(self.users) or (
            self.tls is not None and self.tls.client_certificates is required
        )


class AuthDecision(StrEnum):
    """Whether a request is allowed."""

    ALLOWED = "allowed"
    PASSWORD_NEEDED = "password_needed"  # noqa: S105 -- no password
    WRITE_REFUSED = "write_refused"


def authorize(
    access: AccessPolicy, method: str, resource: str | None, *, password: bool, certificate: bool
) -> AuthDecision:
    """Decide on a request for the route `resource`, None if there is no such route.

    `password`: a correct one was given. `certificate`: a verified one was sent.
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
    """Return why `new` must not replace `old` without a restart, None if it may.

    A file that is read while it is being written has less in it, and must not disable TLS or
    authentication.
    """
    if old.tls is not None and new.tls is None:
        return "it removes TLS: restart to apply it"
    if old.authenticates_clients and not new.authenticates_clients:
        return "it removes users and client certificates: restart to apply it"
    if old.requires_authentication and not new.requires_authentication:
        return "it no longer requires authentication: restart to apply it"
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
    """Return why a request for a host name is rejected, None if it is allowed.

    Another site can let its own name resolve to this server's address (DNS rebinding); its pages
    then read the responses as their own. IP addresses cannot be rebound. Without `allowed` names,
    every name is allowed, except on a server that only this machine can reach (`is_loopback`).
    """
    name = host_name(host or "")
    if not name or name == "localhost" or is_host_in(name, allowed) or is_ip_address(name):
        return None
    if not allowed and not is_loopback:
        return None
    return f"'{name[:80]}' is not in web.allowed_hosts: add it if clients use this host name"


def is_host_in(name: str, allowed: Iterable[str]) -> bool:
    """Return whether a host name is one of `allowed`; case does not matter (RFC 4343)."""
    return name.lower() in {each.lower() for each in allowed}


def host_name(host: str) -> str:
    """Return the name or address in a Host field, in lower case."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).strip("[]").lower()


def is_ip_address(name: str) -> bool:
    """Return whether a host is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def client_network(address: str | None) -> str:
    """Return the network that failed logins are counted for: of IPv6, a whole /64."""
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
    """Return whether a verified certificate (as `ssl` returns it) has a name that is allowed."""
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
_BCRYPT_MAX_BYTES = 72  # bcrypt ignores what follows; newer versions of the library reject it

Check = Callable[[bytes, bytes], bool]


class TooBusyError(Exception):
    """Too many passwords are waiting to be checked."""


class PasswordVerifier:
    """Checks passwords with bcrypt, in a thread of its own, one at a time.

    Correct passwords are cached by a keyed hash, since bcrypt takes long on purpose. For an unknown
    user, some other user's hash is checked: the time of the response must not show which users
    there are.
    """

    def __init__(self, check: Check = bcrypt.checkpw) -> None:
        self._check = check
        self._key = secrets.token_bytes(32)
        self._correct: dict[bytes, None] = {}
        self._checking: dict[bytes, asyncio.Task[bool]] = {}
        self._thread = ThreadPoolExecutor(1, "passwords")  # leaves the other cores to the probes

    def is_cached(self, users: Mapping[bytes, bytes], user: bytes, password: bytes) -> bool:
        """Return whether this password was correct before, with the same hash."""
        return user in users and self._digest(user, users[user], password) in self._correct

    def is_pending(self, users: Mapping[bytes, bytes], user: bytes, password: bytes) -> bool:
        """Return whether the same password is being checked for another request."""
        return self._digest(user, users.get(user, b""), password) in self._checking

    async def verify(self, users: Mapping[bytes, bytes], user: bytes, password: bytes) -> bool:
        """Return whether the password is the user's; raises TooBusyError."""
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
        # Shielded: other requests may wait for the same check.
        is_correct = await asyncio.shield(task) and user in users
        if is_correct:
            self._cache(digest)
        return is_correct

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _check_in_thread(self, hashed: bytes, password: bytes) -> bool:
        loop = asyncio.get_running_loop()
        shortened = password[:_BCRYPT_MAX_BYTES]
        try:
            return await loop.run_in_executor(self._thread, self._check, shortened, hashed)
        except ValueError:  # a NUL byte, which bcrypt cannot hash
            return False

    def _hash_of(self, users: Mapping[bytes, bytes], user: bytes) -> bytes:
        """Return a hash that is always the same for the same name, as a real user's would be."""
        number = int.from_bytes(self._digest(user, b"", b"")[:8])
        return list(users.values())[number % len(users)]

    def _cache(self, digest: bytes) -> None:
        while len(self._correct) >= _MAX_CACHED:
            del self._correct[next(iter(self._correct))]
        self._correct[digest] = None

    def _digest(self, user: bytes, hashed: bytes, password: bytes) -> bytes:
        parts = (user, hashed, password)
        framed = b"".join(len(part).to_bytes(4) + part for part in parts)
        return hmac.digest(self._key, framed, hashlib.sha256)


_OVERFLOW_KEY = ""


@dataclass(slots=True)
class RateLimiter:
    """A GCRA rate limiter: `burst` at once, then one each `interval_seconds`, for each key.

    Times are in monotonic seconds and are passed in. At most `max_keys` keys have an entry of their
    own; all others share one, so that the table does not grow with the number of clients.
    """

    burst: int
    interval_seconds: float
    max_keys: int = 1
    # By key: the "theoretical arrival time", when all that was charged will be paid off.
    _free_at: dict[str, float] = field(default_factory=dict)

    def wait_seconds(self, key: str, now: float) -> float:
        """Return how long a key has to wait, 0 if it does not."""
        owed_seconds = self._free_at.get(self._entry(key), now) - now
        return max(0.0, owed_seconds - (self.burst - 1) * self.interval_seconds)

    def charge(self, key: str, now: float) -> None:
        """Count one."""
        if key not in self._free_at and self._is_full():
            self._free_at = {
                each: free_at for each, free_at in self._free_at.items() if free_at > now
            }
        entry = self._entry(key)
        self._free_at[entry] = max(self._free_at.get(entry, now), now) + self.interval_seconds

    def refund(self, key: str) -> None:
        """Take one back."""
        entry = self._entry(key)
        if entry in self._free_at:
            self._free_at[entry] -= self.interval_seconds

    def __len__(self) -> int:
        return len(self._free_at)

    def _entry(self, key: str) -> str:
        return key if key in self._free_at or not self._is_full() else _OVERFLOW_KEY

    def _is_full(self) -> bool:
        # While the shared entry is charged, a new key may be one of those that it was charged for.
        return _OVERFLOW_KEY in self._free_at or len(self._free_at) >= self.max_keys
