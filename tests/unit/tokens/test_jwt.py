import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.tokens.oauth import jwt_expiry


def a_jwt(claims: object) -> str:
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{middle}.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"exp": 1_800_000_000}, 1_800_000_000.0),
        ({"exp": 1_800_000_000.5, "sub": "ü" * 9}, 1_800_000_000.5),
        ({}, None),
        ([], None),
        ({"exp": "1800000000"}, None),
        ({"exp": True}, None),
        ({"exp": -1}, None),
        ({"exp": 10**30}, None),
        ({"exp": float("nan")}, None),
        ({"exp": None}, None),
    ],
)
def test_the_date_that_a_jwt_claims(claims: object, expected: float | None) -> None:
    assert jwt_expiry(a_jwt(claims)) == expected


@given(st.text(st.characters(max_codepoint=127), max_size=60) | st.from_regex(r"[\w-]*\.[\w-]*\."))
def test_any_other_text_has_none(token: str) -> None:
    assert jwt_expiry(token) is None


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_no_claims_are_too_strange(claims: object) -> None:
    assert jwt_expiry(a_jwt({"exp": claims})) in (None, claims)
