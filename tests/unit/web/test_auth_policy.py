import base64
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.web.auth import (
    AccessPolicy,
    AuthDecision,
    ClientCertificates,
    PemSource,
    TlsOptions,
    authorize,
    client_network,
    credentials,
    host_objection,
    refuse_downgrade,
    san_allowed,
)

PEM = PemSource("cert_file", Path("server.crt"))
USERS = {b"alice": b"$2b$04$hash"}


def tls(**options: Any) -> TlsOptions:  # noqa: ANN401 -- whatever there is
    return TlsOptions(PEM, PEM, **options)


NOBODY = AccessPolicy()
PASSWORDS = AccessPolicy(users=USERS)
ENCRYPTED = AccessPolicy(tls=tls())
IF_GIVEN = AccessPolicy(tls=tls(client_certificates=ClientCertificates.IF_GIVEN))
DEMANDED = AccessPolicy(tls=tls(client_certificates=ClientCertificates.REQUIRED))
BOTH = AccessPolicy(tls=tls(client_certificates=ClientCertificates.IF_GIVEN), users=USERS)
DEMO = AccessPolicy(writes_are_open=True)
ALLOWED, PASSWORD_NEEDED, WRITE_REFUSED = (
    AuthDecision.ALLOWED,
    AuthDecision.PASSWORD_NEEDED,
    AuthDecision.WRITE_REFUSED,
)


@pytest.mark.parametrize(
    ("access", "password", "certificate", "reading", "writing"),
    [
        (NOBODY, False, False, ALLOWED, WRITE_REFUSED),
        (ENCRYPTED, False, False, ALLOWED, WRITE_REFUSED),
        (PASSWORDS, False, False, PASSWORD_NEEDED, PASSWORD_NEEDED),
        (PASSWORDS, True, False, ALLOWED, ALLOWED),
        (IF_GIVEN, False, False, ALLOWED, WRITE_REFUSED),
        (IF_GIVEN, False, True, ALLOWED, ALLOWED),
        (DEMANDED, False, True, ALLOWED, ALLOWED),
        (BOTH, False, True, PASSWORD_NEEDED, PASSWORD_NEEDED),
        (BOTH, True, True, ALLOWED, ALLOWED),
        (DEMO, False, False, ALLOWED, ALLOWED),
    ],
)
def test_who_may_read_and_who_may_write(
    access: AccessPolicy,
    password: bool,
    certificate: bool,
    reading: AuthDecision,
    writing: AuthDecision,
) -> None:
    for method in ("GET", "HEAD"):
        for resource in ("/", "/metrics", "/live", "/static", None):
            found = authorize(access, method, resource, password=password, certificate=certificate)
            assert found is reading
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get"):
        for resource in ("/api/v1/overview", "/-/healthy", None):
            found = authorize(access, method, resource, password=password, certificate=certificate)
            assert found is writing


@pytest.mark.parametrize("access", [NOBODY, PASSWORDS, BOTH])
@pytest.mark.parametrize("resource", ["/-/healthy", "/-/ready"])
def test_health_is_open(access: AccessPolicy, resource: str) -> None:
    assert authorize(access, "GET", resource, password=False, certificate=False) is ALLOWED


@pytest.mark.parametrize(
    ("old", "new", "allowed"),
    [
        (NOBODY, NOBODY, True),
        (NOBODY, PASSWORDS, True),
        (PASSWORDS, AccessPolicy(users={b"bob": b"$2b$"}), True),
        (PASSWORDS, NOBODY, False),
        (PASSWORDS, DEMANDED, True),
        (DEMANDED, PASSWORDS, False),
        (DEMANDED, IF_GIVEN, False),
        (ENCRYPTED, NOBODY, False),
        (BOTH, IF_GIVEN, False),
        (BOTH, AccessPolicy(tls=tls(), users=USERS), True),
    ],
)
def test_no_change_opens_a_door_while_running(
    old: AccessPolicy, new: AccessPolicy, allowed: bool
) -> None:
    assert (refuse_downgrade(old, new) is None) is allowed


def basic(text: bytes) -> str:
    return "Basic " + base64.b64encode(text).decode()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (basic(b"alice:secret"), (b"alice", b"secret")),
        (basic(b"alice:a:b"), (b"alice", b"a:b")),
        (basic(b":"), (b"", b"")),
        (basic("é:ü".encode()), ("é".encode(), "ü".encode())),
        ("basic  YTpi ", (b"a", b"b")),
        (basic(b"alice"), None),
        ("Basic", None),
        ("Basic !!!", None),
        ("Basic ä", None),
        ("Bearer YTpi", None),
        ("", None),
        (None, None),
    ],
)
def test_credentials_are_read(header: str | None, expected: tuple[bytes, bytes] | None) -> None:
    assert credentials(header) == expected


@given(st.text())
def test_no_header_breaks_the_reading(text: str) -> None:
    credentials(text)
    credentials(f"Basic {text}")
    client_network(text)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:0:1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        (None, ""),
    ],
)
def test_whom_a_wrong_password_is_counted_for(address: str | None, network: str) -> None:
    assert client_network(address) == network


@pytest.mark.parametrize(
    ("allowed", "names", "admitted"),
    [
        (None, (), True),
        ({"a.example"}, (("DNS", "a.example"),), True),
        ({"a.example"}, (("DNS", "b.example"), ("DNS", "a.example")), True),
        ({"a.example"}, (("DNS", "b.example"),), False),
        ({"a.example"}, (("DNS", "*.example"),), False),
        ({"a.example"}, (), False),
        (set(), (("DNS", "a.example"),), False),
        ({"ops@example"}, (("email", "ops@example"),), True),
        ({"spiffe://a/b"}, (("URI", "spiffe://a/b"),), True),
        ({"::1"}, (("IP Address", "0:0:0:0:0:0:0:1\n"),), True),
        ({"192.0.2.7"}, (("IP Address", "192.0.2.7"),), True),
    ],
)
def test_a_certificate_is_admitted_by_its_names(
    allowed: set[str] | None, names: tuple[tuple[str, str], ...], admitted: bool
) -> None:
    options = tls(allowed_sans=None if allowed is None else frozenset(allowed))
    assert san_allowed(options, {"subjectAltName": names}) is admitted


def test_no_text_of_it_tells_a_hash_or_a_key() -> None:
    reported = repr(
        AccessPolicy(tls=TlsOptions(PEM, PemSource("key", None, "SECRET")), users=USERS)
    )
    assert "SECRET" not in reported
    assert "$2b$" not in reported


@pytest.mark.parametrize(
    ("host", "allowed", "is_loopback", "is_good"),
    [
        ("127.0.0.1:9824", (), True, True),
        ("localhost:9824", (), True, True),
        ("[::1]:9824", (), True, True),
        ("10.1.2.3", (), True, True),
        ("evil.example", (), True, False),
        ("evil.example:9824", (), True, False),
        ("prober.example", (), False, True),
        ("prober.example", ("prober.example",), False, True),
        ("PROBER.example:443", ("prober.example",), True, True),
        ("prober.example", ("Prober.EXAMPLE",), True, True),
        ("evil.example", ("prober.example",), False, False),
        ("localhost", ("prober.example",), False, True),
        ("localhost.evil.example", (), True, False),
        (None, (), True, True),
        ("", (), True, True),
    ],
)
def test_a_name_that_was_not_allowed_is_not_answered(
    host: str | None, allowed: tuple[str, ...], *, is_loopback: bool, is_good: bool
) -> None:
    found = host_objection(host, allowed, is_loopback=is_loopback)
    assert (found is None) is is_good
