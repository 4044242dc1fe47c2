import pytest

from prober.verdict.foreign import (
    EMPTY,
    UNREADABLE_JSON,
    Foreign,
    ForeignKind,
    foreign_json,
    foreign_text,
)

CLOUDFLARE_522 = "<html><title>522</title>Error code 522 Visit cloudflare.com</html>"


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("error code: 1010", ForeignKind.CLOUDFLARE_ERROR, "Cloudflare's error code 1010"),
        (CLOUDFLARE_522, ForeignKind.CLOUDFLARE_ERROR, "Cloudflare's error code 522"),
        (
            "<html>Just a moment...</html>",
            ForeignKind.CLOUDFLARE_CHALLENGE,
            "a Cloudflare challenge page",
        ),
        ("just a moment", ForeignKind.TEXT, "plain text"),
        ("<html>error 404 of our own</html>", ForeignKind.HTML, "an HTML page"),
        (
            "\n <!DOCTYPE html><TITLE lang=x> 502\nBad Gateway </TITLE>",
            ForeignKind.HTML,
            'an HTML page titled "502 Bad Gateway"',
        ),
        ("<html><title> \n</title></html>", ForeignKind.HTML, "an HTML page"),
        (" " * 20_000 + "<html>", ForeignKind.HTML, "an HTML page"),
        ("upstream connect error", ForeignKind.TEXT, "plain text"),
    ],
)
def test_a_text_is_told_by_its_marks(text: str, kind: ForeignKind, words: str) -> None:
    assert foreign_text(text) == Foreign(kind, words)


@pytest.mark.parametrize("text", ["", " \r\n\t"])
def test_no_text_is_an_empty_body(text: str) -> None:
    assert foreign_text(text) == EMPTY


@pytest.mark.parametrize("text", ['{"a": ', "[1,"])
def test_broken_json_is_not_taken_for_plain_text(text: str) -> None:
    assert foreign_text(text) == UNREADABLE_JSON


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"__abp": True}, ForeignKind.ABP_JSON),
        ({"message": "m", "errorCode": 0, "result": None}, ForeignKind.ABP_JSON),
        ({"message": "m", "errorCode": 1000}, ForeignKind.GATEWAY_JSON),
        ({"title": "Not Found", "status": 404}, ForeignKind.PROBLEM_JSON),
        ({"type": "about:blank", "status": 404}, ForeignKind.PROBLEM_JSON),
        ({"status": 404}, ForeignKind.OTHER_JSON),
        ({"title": "t", "status": True}, ForeignKind.OTHER_JSON),
        ({"title": "t", "status": "failed"}, ForeignKind.OTHER_JSON),
        ({"statusCode": 401, "message": "m"}, ForeignKind.API_MANAGEMENT_JSON),
        ({"statusCode": 401}, ForeignKind.OTHER_JSON),
        ({}, ForeignKind.OTHER_JSON),
        ([1], ForeignKind.OTHER_JSON),
        (None, ForeignKind.OTHER_JSON),
    ],
)
def test_a_document_is_told_by_its_keys(document: object, kind: ForeignKind) -> None:
    assert foreign_json(document).kind is kind
