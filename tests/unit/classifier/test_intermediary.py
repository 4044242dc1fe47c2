import pytest

from prober.classifier.observation import (
    EMPTY,
    UNREADABLE_JSON,
    IntermediaryKind,
    intermediary_from_json,
    intermediary_from_text,
)

CLOUDFLARE_522 = "<html><title>522</title>Error code 522 Visit cloudflare.com</html>"


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("error code: 1010", IntermediaryKind.CLOUDFLARE_ERROR, "Cloudflare error code 1010"),
        (CLOUDFLARE_522, IntermediaryKind.CLOUDFLARE_ERROR, "Cloudflare error code 522"),
        (
            "<html>Just a moment...</html>",
            IntermediaryKind.CLOUDFLARE_CHALLENGE,
            "a Cloudflare challenge page",
        ),
        ("just a moment", IntermediaryKind.TEXT, "plain text"),
        ("<html>error 404 of our own</html>", IntermediaryKind.HTML, "an HTML page"),
        (
            "\n <!DOCTYPE html><TITLE lang=x> 502\nBad Gateway </TITLE>",
            IntermediaryKind.HTML,
            'an HTML page titled "502 Bad Gateway"',
        ),
        ("<html><title> \n</title></html>", IntermediaryKind.HTML, "an HTML page"),
        (" " * 20_000 + "<html>", IntermediaryKind.HTML, "an HTML page"),
        ("upstream connect error", IntermediaryKind.TEXT, "plain text"),
    ],
)
def test_a_text_is_told_by_its_marks(text: str, kind: IntermediaryKind, words: str) -> None:
    found = intermediary_from_text(text)
    assert (found.kind, found.description) == (kind, words)


@pytest.mark.parametrize("text", ["", " \r\n\t"])
def test_no_text_is_an_empty_body(text: str) -> None:
    assert intermediary_from_text(text) == EMPTY


@pytest.mark.parametrize("text", ['{"a": ', "[1,"])
def test_broken_json_is_not_taken_for_plain_text(text: str) -> None:
    assert intermediary_from_text(text) == UNREADABLE_JSON


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"__abp": True}, IntermediaryKind.ABP_JSON),
        ({"message": "m", "errorCode": 0, "result": None}, IntermediaryKind.ABP_JSON),
        ({"message": "m", "errorCode": 1000}, IntermediaryKind.GATEWAY_JSON),
        ({"title": "Not Found", "status": 404}, IntermediaryKind.PROBLEM_JSON),
        ({"type": "about:blank", "status": 404}, IntermediaryKind.PROBLEM_JSON),
        ({"status": 404}, IntermediaryKind.OTHER_JSON),
        ({"title": "t", "status": True}, IntermediaryKind.OTHER_JSON),
        ({"title": "t", "status": "failed"}, IntermediaryKind.OTHER_JSON),
        ({"statusCode": 401, "message": "m"}, IntermediaryKind.API_MANAGEMENT_JSON),
        ({"statusCode": 401}, IntermediaryKind.OTHER_JSON),
        ({}, IntermediaryKind.OTHER_JSON),
        ([1], IntermediaryKind.OTHER_JSON),
        (None, IntermediaryKind.OTHER_JSON),
    ],
)
def test_a_document_is_told_by_its_keys(document: object, kind: IntermediaryKind) -> None:
    assert intermediary_from_json(document).kind is kind
