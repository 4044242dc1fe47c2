import base64

from pydantic import SecretStr

from prober.exchange.redaction import REDACTED, redact_response, redact_text, secret_forms
from prober.model import Response

TOKEN = "rt_AbC/123+456"
BEARER = SecretStr(f"Bearer {TOKEN}")


def test_a_token_is_taken_out_in_every_form() -> None:
    encoded = base64.b64encode(TOKEN.encode()).decode()
    text = f"{TOKEN} rt_AbC%2F123%2B456 {encoded}"
    told = redact_text(text, BEARER)
    assert told.count(REDACTED) == 3
    assert "123" not in told


def test_an_echo_in_headers_and_body_is_taken_out() -> None:
    echo = Response(200, (("X-Echo", f"Bearer {TOKEN}"),), f"you sent {TOKEN}".encode())
    told = redact_response(echo, BEARER)
    assert TOKEN not in str(told)
    assert told.headers == (("X-Echo", f"Bearer {REDACTED}"),)


def test_an_answer_without_echo_is_left_as_it_is() -> None:
    answer = Response(200, (("A", "b"),), b"{}")
    assert redact_response(answer, BEARER) is answer


def test_without_a_token_nothing_is_secret() -> None:
    assert secret_forms(None) == secret_forms(SecretStr("Bearer ")) == ()
