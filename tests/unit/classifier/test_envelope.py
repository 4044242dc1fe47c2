import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.classifier.observation import (
    EXCERPT_CHARACTERS,
    MESSAGE_CHARACTERS,
    IntermediaryKind,
    excerpt,
    read_body,
)


def test_an_ok_envelope_gives_its_document_and_no_message() -> None:
    body = read_body(b'{"status": "ok", "message": "a customer\'s", "path": "p"}')

    assert (body.status, body.message, body.path, body.intermediary) == ("ok", "", "", None)
    assert body.document == {"status": "ok", "message": "a customer's", "path": "p"}


def test_an_error_envelope_gives_its_message_and_path() -> None:
    body = read_body(b'{"status": "error", "message": "404 Not Found", "path": "/api"}')

    assert (body.status, body.message, body.path) == ("error", "404 Not Found", "/api")


@pytest.mark.parametrize("message", [None, 5, ["x"], {"a": "b"}])
def test_a_message_that_is_no_text_is_empty(message: object) -> None:
    assert read_body(json.dumps({"status": "error", "message": message}).encode()).message == ""


def test_a_missing_message_is_empty() -> None:
    assert read_body(b'{"status": "error"}').message == ""


def test_a_message_is_one_bounded_line() -> None:
    document = {"status": "error", "message": "a\r\n\u001b" + "b" * 1000}
    message = read_body(json.dumps(document).encode()).message

    assert len(message) == MESSAGE_CHARACTERS
    assert message.startswith("a bbb")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'\xef\xbb\xbf{"status": "ok"}', id="byte-order-mark"),
        pytest.param(b' \n{"status": "ok"}\n', id="white-space"),
        pytest.param(b'{"status": "ok", "a": "\xff\xfe"}', id="invalid-utf-8"),
        pytest.param(b'{"status": "ok", "a": [NaN, Infinity, -Infinity]}', id="not-a-number"),
        pytest.param(b'{"status": "ok", "a": ' + b"1" * 5000 + b"}", id="huge-integer"),
        pytest.param(b'{"status": "ok", "a": 1e999}', id="huge-float"),
        pytest.param(b'{"status": "ok", "a": "\\ud800"}', id="lone-surrogate"),
        pytest.param(b'{"status": "error", "status": "ok"}', id="the-last-of-equal-keys"),
    ],
)
def test_an_odd_body_is_still_an_envelope(body: bytes) -> None:
    assert read_body(body).status == "ok"


def test_a_huge_integer_does_not_overflow_arithmetic() -> None:
    document = read_body(b"[" + b"9" * 300 + b"," + b"9" * 309 + b"]").document

    assert isinstance(document, list)
    assert sum(document) + 0.5 > 0


def test_a_lone_surrogate_in_a_message_can_be_encoded() -> None:
    assert read_body(b'{"status": "error", "message": "a\\ud800b"}').message.encode() == b"a b"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param(b"", IntermediaryKind.EMPTY, id="empty"),
        pytest.param(b"<html></html>", IntermediaryKind.HTML, id="html"),
        pytest.param(b'{"status": 404, "title": "x"}', IntermediaryKind.PROBLEM_JSON, id="integer"),
        pytest.param(b'{"status": "OK"}', IntermediaryKind.OTHER_JSON, id="another-word"),
        pytest.param(b'{"status": ["ok"]}', IntermediaryKind.OTHER_JSON, id="a-list"),
        pytest.param(b'{"status": null}', IntermediaryKind.OTHER_JSON, id="null"),
        pytest.param(b'{"a": {"status": "ok"}}', IntermediaryKind.OTHER_JSON, id="not-at-the-top"),
        pytest.param(b'["status", "ok"]', IntermediaryKind.OTHER_JSON, id="not-an-object"),
        pytest.param(b'{"status": "ok"', IntermediaryKind.UNREADABLE_JSON, id="cut"),
        pytest.param(b"[" * 100_000, IntermediaryKind.UNREADABLE_JSON, id="too-deep-list"),
        pytest.param(b'{"a":' * 100_000, IntermediaryKind.UNREADABLE_JSON, id="too-deep-object"),
    ],
)
def test_all_else_is_foreign(body: bytes, kind: IntermediaryKind) -> None:
    read = read_body(body)

    assert read.status is None
    assert read.intermediary is not None
    assert read.intermediary.kind is kind


@given(st.binary())
def test_no_body_raises(body: bytes) -> None:
    read = read_body(body)

    assert (read.status is None) == (read.intermediary is not None)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(st.dictionaries(st.text(), SCALARS), st.sampled_from(["ok", "error"]))
def test_every_object_with_the_status_is_an_envelope(more: dict[str, object], status: str) -> None:
    assert read_body(json.dumps({**more, "status": status}).encode()).status == status


@given(st.binary())
def test_an_excerpt_is_one_bounded_line(body: bytes) -> None:
    shown = excerpt(body)

    assert len(shown) <= EXCERPT_CHARACTERS
    assert shown.isprintable()


def test_an_excerpt_begins_where_the_text_begins() -> None:
    assert excerpt(b"\n" * 9000 + b"<html>\r\n<title>x") == "<html> <title>x"
    assert excerpt(b"\xef\xbb\xbfx") == "x"
