import base64
import gc
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from prober.http_client.redaction import (
    REDACTED,
    SecretPatternCache,
    redact_response,
    redact_text,
    secret_encodings,
)
from prober.models import Response

TOKEN = "rt_AbC/123+456"
FORMS = secret_encodings([SecretStr(TOKEN)])


@pytest.mark.parametrize(
    "echo",
    [
        TOKEN,
        "rt_AbC%2F123%2B456",
        "rt_abc%2f123%2b456",
        base64.b64encode(TOKEN.encode()).decode(),
        base64.b64encode(f"Bearer {TOKEN}".encode()).decode(),
        base64.b64encode(f"x:{TOKEN}".encode()).decode(),
        base64.urlsafe_b64encode(f"Bearer {TOKEN}".encode()).decode(),
    ],
)
def test_a_secret_is_taken_out_in_every_form(echo: str) -> None:
    told = redact_text(f"before {echo} after", FORMS)
    assert REDACTED in told
    assert (told[:7], told[-6:]) == ("before ", " after")
    assert len(told) - len("before [redacted] after") <= 12  # of base64, what stood around it


def test_an_echo_in_headers_and_body_is_taken_out() -> None:
    echo = Response(200, ((f"X-{TOKEN}", f"Bearer {TOKEN}"),), f"you sent {TOKEN}".encode())
    told = redact_response(echo, FORMS)
    assert TOKEN not in str(told)
    assert told.headers == ((f"X-{REDACTED}", f"Bearer {REDACTED}"),)


def test_a_secret_that_a_body_was_cut_in_is_taken_out() -> None:
    cut = Response(200, (), f"you sent {TOKEN[:-2]}".encode(), body_over_limit=True)
    assert redact_response(cut, FORMS).body == f"you sent {REDACTED}".encode()


def test_an_answer_without_echo_is_left_as_it_is() -> None:
    answer = Response(200, (("A", "b"),), b"\xff\x00{}")
    assert redact_response(answer, FORMS) is answer


def test_without_a_secret_nothing_is_looked_for() -> None:
    assert secret_encodings([]) == secret_encodings([SecretStr("")]) == ()


@given(
    secret=st.text("abcXYZ012-_.~/+=", min_size=12, max_size=60),
    before=st.binary(max_size=9),
    after=st.binary(max_size=9),
)
def test_no_encoding_hides_a_secret(secret: str, before: bytes, after: bytes) -> None:
    forms = secret_encodings([SecretStr(secret)])
    encoded = base64.b64encode(before + secret.encode() + after).decode()
    assert REDACTED in redact_text(encoded, forms)
    assert REDACTED in redact_text(quote(secret), forms)


def test_forms_are_forgotten_with_their_secret() -> None:
    known, secret = SecretPatternCache(), SecretStr(TOKEN)
    assert known.get([secret]) == known.get([secret]) == FORMS
    assert known.get([secret, SecretStr("another")]) == secret_encodings(
        [secret, SecretStr("another")]
    )
    del secret
    gc.collect()
    assert len(known._known) == 0
