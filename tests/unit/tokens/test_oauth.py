"""Token requests and how long their tokens are used: each field, and each limit."""

import base64
import json
from dataclasses import replace
from urllib.parse import parse_qsl

import pytest
from pydantic import SecretStr

from prober.classifier.oauth_rules import IssuedToken
from prober.models import OAuthClient, TokenSource, TokenSourceKind
from prober.tokens.oauth import (
    MIN_LIFETIME_SECONDS,
    MIN_RENEWAL_SECONDS,
    CachedToken,
    cached_token,
    jwt_expiry,
    retry_delay_seconds,
    token_request,
)

NOW = 1_790_000_000.0
SECRET = SecretStr("a-secret")
TOKEN = SecretStr("an-opaque-token")
SOURCE = TokenSource(
    TokenSourceKind.OAUTH,
    "https://id.example/connect/token",
    client=OAuthClient("the-client", TokenSource(TokenSourceKind.FILE, "/secret"), "a b"),
)


def a_jwt(claims: object) -> str:
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{middle}.sig"


def test_the_request_has_all_that_the_server_needs_and_no_more() -> None:
    request = token_request(SOURCE, SECRET, version="1.2")
    assert (request.method, request.url) == ("POST", SOURCE.location)
    assert request.headers == (
        ("User-Agent", "prober/1.2"),
        ("Accept", "application/json"),
        ("Accept-Encoding", "gzip, deflate"),
        ("Content-Type", "application/x-www-form-urlencoded"),
    )
    assert parse_qsl((request.body or b"").decode()) == [
        ("grant_type", "client_credentials"),
        ("client_id", "the-client"),
        ("client_secret", "a-secret"),
        ("scope", "a b"),
    ]
    assert request.authorization is None
    assert request.secrets == (SECRET,)
    assert SOURCE.client is not None
    bare = replace(SOURCE, client=replace(SOURCE.client, scope=None))
    assert "scope" not in dict(
        parse_qsl((token_request(bare, SECRET, version="1").body or b"").decode())
    )


def test_a_source_without_a_client_has_no_request() -> None:
    with pytest.raises(ValueError, match="is not an OAuth source"):
        token_request(replace(SOURCE, client=None), SECRET, version="1")


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0), (7, 60.0), (10_000, 60.0)],
)
def test_the_waits_double_up_to_a_minute(failures: int, seconds: float) -> None:
    assert retry_delay_seconds(failures) == seconds


@pytest.mark.parametrize(
    ("claims", "expiry"),
    [
        ({"exp": 1}, 1.0),
        ({"exp": 1.5}, 1.5),
        ({"exp": 0}, None),
        ({"exp": -1}, None),
        ({"exp": 253_402_300_799}, 253_402_300_799.0),
        ({"exp": 253_402_300_800}, None),
        ({"exp": True}, None),
        ({"exp": "1"}, None),
        ({}, None),
        ([], None),
    ],
)
def test_the_expiry_of_a_jwt(claims: object, expiry: float | None) -> None:
    for padding in ("", "x", "xx"):  # each length of base64 without padding
        padded = {**claims, "p": padding} if isinstance(claims, dict) else claims
        assert jwt_expiry(a_jwt(padded)) == expiry


@pytest.mark.parametrize("token", ["", "a", "a.b", "e30.e30.e30.e30", "e30.{.x", "e30.bnVsbA.x"])
def test_what_is_no_jwt_has_no_expiry(token: str) -> None:
    assert jwt_expiry(token) is None


def test_a_stated_lifetime_counts_from_the_request() -> None:
    jwt = SecretStr(a_jwt({"exp": NOW + 99}))
    assert cached_token(IssuedToken(jwt, 600.0), NOW) == CachedToken(jwt, NOW, NOW + 600.0)
    assert cached_token(IssuedToken(jwt, None), NOW) == CachedToken(jwt, NOW, NOW + 99)
    assert cached_token(IssuedToken(TOKEN, None), NOW) == CachedToken(TOKEN, NOW, None)


@pytest.mark.parametrize(
    ("seconds", "problem"),
    [
        (5.001, ""),
        (5.0, "it expires 5 s after it was issued: compare the clocks"),
        (0.0, "it had expired 0 s before it was issued: compare the clocks"),
        (-90.0, "it had expired 90 s before it was issued: compare the clocks"),
    ],
)
def test_a_jwt_that_had_expired_when_it_was_issued_is_used(seconds: float, problem: str) -> None:
    jwt = SecretStr(a_jwt({"exp": NOW + seconds}))
    expires_at = None if problem else NOW + seconds
    assert cached_token(IssuedToken(jwt, None), NOW) == CachedToken(jwt, NOW, expires_at, problem)


@pytest.mark.parametrize(
    ("lifetime", "usable_until", "renewed_from"),
    [
        (20.0, 18.0, 16.0),  # a tenth, a fifth
        (50.0, 45.0, 40.0),
        (100.0, 95.0, 80.0),  # at most five seconds
        (1500.0, 1495.0, 1200.0),
        (3600.0, 3595.0, 3300.0),  # at most five minutes
        (MIN_LIFETIME_SECONDS, 4.5, 4.0),
    ],
)
def test_a_token_is_renewed_before_it_cannot_be_used(
    lifetime: float, usable_until: float, renewed_from: float
) -> None:
    token = CachedToken(TOKEN, 0.0, lifetime)
    assert [token.is_usable(usable_until - 0.001), token.is_usable(usable_until)] == [True, False]
    renewals = [token.needs_renewal(renewed_from - 0.001), token.needs_renewal(renewed_from)]
    assert renewals == [False, True]


@pytest.mark.parametrize("lifetime", [-10.0, 0.0, 1.0, MIN_LIFETIME_SECONDS - 0.001])
def test_a_token_with_hardly_any_lifetime_is_used_for_a_while(lifetime: float) -> None:
    token = CachedToken(TOKEN, NOW, NOW + lifetime)
    for at in (NOW, NOW + 0.5, NOW + MIN_RENEWAL_SECONDS - 0.001):
        assert (token.is_usable(at), token.needs_renewal(at)) == (True, False)
    end = NOW + MIN_RENEWAL_SECONDS
    assert (token.is_usable(end), token.needs_renewal(end)) == (False, True)
    before = CachedToken(TOKEN, NOW, NOW - 10.0)  # the clock was set back
    assert not before.is_usable(NOW - 0.001)


def test_a_token_of_unknown_expiry_is_used_on() -> None:
    token = CachedToken(TOKEN, NOW, None)
    assert token.is_usable(NOW + 1e9)
    assert not token.needs_renewal(NOW + 1e9)
    assert token.problem == ""
