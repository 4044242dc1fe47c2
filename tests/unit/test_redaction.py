import base64
import gc
import html
import json
import random
import sys
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from prober.redaction import NO_SECRETS, REDACTED, Redactor, RedactorCache, secrets_of_url

TOKEN = "rt_AbC/123+456-xyz=Q"
REDACTOR = Redactor([SecretStr(TOKEN)])
Draw = Callable[[int, int], int]


def _json_all(text: str, _: Draw) -> str:
    return "".join(f"\\u{ord(char):04x}" for char in text)


def _json_some(text: str, draw: Draw) -> str:
    return "".join(f"\\u{ord(c):04X}" if c in '"\\' or draw(0, 1) else c for c in text)


def _percent_all(text: str, _: Draw) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def _percent_some(text: str, draw: Draw) -> str:
    return "".join(_percent_all(c, draw).lower() if draw(0, 1) else quote(c, safe="") for c in text)


def _base64(text: str, draw: Draw) -> str:
    before, after = "x" * draw(0, 3), "y" * draw(0, 3)
    return base64.b64encode(f"{before}{text}{after}".encode()).decode()


def _base64url(text: str, draw: Draw) -> str:
    encoded = base64.urlsafe_b64encode(("x" * draw(0, 3) + text).encode())
    return encoded.decode().rstrip("=" if draw(0, 1) else "")


def _html_named(text: str, _: Draw) -> str:
    names = {"/": "&sol;", "+": "&plus;", "=": "&equals;", "_": "&lowbar;", ".": "&period;"}
    return "".join(names.get(char, html.escape(char)) for char in text)


def _swapped(text: str, draw: Draw) -> str:
    return "".join(char.swapcase() if draw(0, 1) else char for char in text)


def _split(text: str, draw: Draw) -> str:
    between = ["", " ", "\n", "\t", "\r\n", "\0", "\u200b", "\ufeff", "\u00ad", "\u2060", "  "]
    return "".join(char + between[draw(0, len(between) - 1)] for char in text)


ENCODINGS: dict[str, Callable[[str, Draw], str]] = {
    "as it is": lambda text, _: text,
    "percent": _percent_all,
    "percent of some": _percent_some,
    "percent of what must be": lambda text, _: quote(text, safe=""),
    "percent of all but slashes": lambda text, _: quote(text),
    "base64": _base64,
    "base64url": _base64url,
    "json of all": _json_all,
    "json of some": _json_some,
    "json of slashes": lambda text, _: json.dumps(text)[1:-1].replace("/", "\\/"),
    "html by name": _html_named,
    "html in decimal": lambda text, _: "".join(f"&#{ord(char)};" for char in text),
    "html in hexadecimal": lambda text, _: "".join(f"&#x{ord(char):X};" for char in text),
    "hexadecimal": lambda text, _: text.encode().hex(),
    "hexadecimal in capitals": lambda text, _: text.encode().hex().upper(),
    "lower case": lambda text, _: text.lower(),
    "upper case": lambda text, _: text.upper(),
    "some other case": _swapped,
    "split": _split,
    "a NUL after each": lambda text, _: "\0".join(text),
}


def _first(low: int, _: int) -> int:
    return low


@pytest.mark.parametrize("name", ENCODINGS)
def test_a_secret_is_taken_out_in_every_form(name: str) -> None:
    reported = REDACTOR.text(f"before {ENCODINGS[name](TOKEN, _first)} after")
    assert REDACTED in reported
    assert (reported[:7], reported[-6:]) == ("before ", " after")
    assert len(reported) - len("before [redacted] after") <= 4  # of base64, what stood around it


@settings(max_examples=600)
@given(
    secret=st.text("abcXYZ012-_.~/+=\\\"'&;#%!$(){}|", min_size=8, max_size=60),
    chain=st.lists(st.sampled_from(sorted(ENCODINGS)), min_size=1, max_size=2),
    before=st.text(max_size=12),
    after=st.text(max_size=12),
    data=st.data(),
)
def test_no_two_encodings_hide_a_secret(
    secret: str, chain: list[str], before: str, after: str, data: st.DataObject
) -> None:
    def draw(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    echo = secret
    for name in chain:
        echo = ENCODINGS[name](echo, draw)
    redactor = Redactor([SecretStr(secret)])
    reported = redactor.text(f"{before} {echo} {after}")
    assert REDACTED in reported
    assert secret.lower() not in reported.lower()
    assert redactor.text(reported) == reported


@pytest.mark.parametrize("name", ENCODINGS)
def test_a_secret_that_was_cut_is_taken_out_where_a_text_ends(name: str) -> None:
    echo = ENCODINGS[name](TOKEN, _first)
    whole = f"you sent {echo}"
    for dropped in range(1, len(echo) // 2):
        assert REDACTED in REDACTOR.text(whole[:-dropped], is_cut=True)


def test_so_is_one_that_a_server_cut() -> None:
    assert REDACTOR.text(f"you sent {TOKEN[:-5]}") == "you sent [redacted]"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ok",
        "The dataset 'project/dataset' was not found",
        "Mon, 06 Jul 2026 12:00:00 GMT",
        "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2Nsb3VkIn0.c2lnbmF0dXJl",
        "%41%42 &amp; \\u0041 \\/ 53 6b 2d 00",
        "rt_AbC/and something else",
        "\ud800 \x00 \u200b",
    ],
)
def test_other_text_is_left_as_it_is(text: str) -> None:
    assert REDACTOR.text(text) == text


@given(st.text(max_size=200))
def test_no_text_raises_anything_and_without_secrets_none_is_changed(text: str) -> None:
    REDACTOR.text(text)
    assert NO_SECRETS.text(text) == text


def test_several_secrets_are_taken_out_wherever_they_are() -> None:
    redactor = Redactor([SecretStr("password-one"), SecretStr("user:password-one"), SecretStr("")])
    basic = base64.b64encode(b"user:password-one").decode()
    reported = redactor.text(f"Basic {basic} and password-one, PASSWORD-ONE and {basic}")
    assert reported.count(REDACTED) == 4
    assert "assword" not in reported
    assert basic not in reported


def test_a_secret_beyond_ascii_is_taken_out() -> None:
    redactor = Redactor([SecretStr("pässwörd-ü")])
    for name in ("as it is", "percent", "json of all", "html in decimal", "hexadecimal", "base64"):
        assert REDACTED in redactor.text(f"x {ENCODINGS[name]('pässwörd-ü', _first)} y")


def test_what_is_too_short_to_be_one_is_no_secret() -> None:
    assert Redactor([SecretStr("abc")]).text("abcabc abc") == "abcabc abc"


def test_many_echoes_are_not_looked_for_one_by_one_for_ever() -> None:
    echoes = " ".join([base64.b64encode(TOKEN.encode()).decode()] * 50)
    reported = REDACTOR.text(echoes)
    assert REDACTOR.text(reported) == reported


def test_nothing_shows_what_is_looked_for() -> None:
    assert TOKEN not in repr(REDACTOR)
    assert not hasattr(REDACTOR, "__dict__")


def test_bytes_are_rid_of_what_stands_there_as_it_is() -> None:
    assert REDACTOR.data(f"\xff{TOKEN}".encode("latin-1")) == b"\xff[redacted]"


HOSTILE = {
    "percent": "%41",
    "percent of percent": "%2541",
    "entities": "&#x53;",
    "long entities": "&" + "a" * 31,
    "json": "\\u0053",
    "base64": "QUFB",
    "hexadecimal": "41",
    "escapes that end nowhere": "%&\\",
    "beginnings": "rt_AbC/123",
    "first characters": "r",
    "split first characters": "r\u200b",
    "zero width": "\u200b",
    "NUL": "\0",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_work_is_proportional_to_the_length_of_the_text(name: str) -> None:
    def work(characters: int) -> int:
        """Count the calls and lines that a text of this length takes."""
        count = 0

        def counted(*_: object) -> None:
            nonlocal count
            count += 1

        text = HOSTILE[name] * (characters // len(HOSTILE[name]))
        before = sys.getprofile()
        sys.setprofile(counted)
        try:
            REDACTOR.text(text, is_cut=True)
        finally:
            sys.setprofile(before)
        return count

    assert work(40_000) <= 11 * work(4_000)


def test_what_looks_like_a_token_is_taken_out_where_tokens_are_issued() -> None:
    redactor = Redactor([], token_shaped=True)
    for token in ("WIgP/58waM+Dx3A5idNoDCDBwb2D~c4/dO", "rt_0aB1cD2eF3gH4iJ5kL6mN7oP8"):
        assert redactor.text(f"client and token {token}, sorry") == (
            "client and token [redacted], sorry"
        )
    for text in (
        "AADSTS7000215: Invalid client secret provided. Ensure it is right",
        "Trace ID: 8a2c7d1e-0b3f-4a5c-9d6e-7f8091a2b3c4 Timestamp: 2026-11-26 18:08:09Z",
        "https://login.microsoftonline.com/error?code=7000215",
        "8e1a2b3c4d5e6f70-FRA",
        "",
    ):
        assert redactor.text(text) == text


@pytest.mark.parametrize("piece", ["a,", "aA1,", "aA-", "A", "1a.", "eyJ", "_token="])
def test_to_look_for_tokens_takes_time_in_proportion(piece: str) -> None:
    redactor = Redactor([], token_shaped=True)

    def steps(characters: int) -> float:
        text = piece * (characters // len(piece))
        return min(_processor_seconds(lambda: redactor.text(text)) for _ in range(5))

    assert steps(64_000) < 60 * max(steps(4_000), 1e-5)


def _processor_seconds(work: Callable[[], object]) -> float:
    before = time.thread_time()
    work()
    return time.thread_time() - before


@given(
    st.lists(st.tuples(st.text(max_size=12), st.text(max_size=60)), max_size=4),
    st.lists(st.sampled_from(sorted(ENCODINGS)), max_size=3),
    st.randoms(use_true_random=False),
)
def test_pairs_are_as_each_text_alone(
    pairs: list[tuple[str, str]], encodings: list[str], chance: random.Random
) -> None:
    for name in encodings:
        pairs.insert(0, (TOKEN[: chance.randint(0, 9)], ENCODINGS[name](TOKEN, chance.randint)))
    expected = tuple((REDACTOR.text(name), REDACTOR.text(value)) for name, value in pairs)
    assert REDACTOR.pairs(tuple(pairs)) == expected


def test_pairs_without_secrets_are_returned_as_they_are() -> None:
    pairs = (("Content-Type", "application/json"), ("Date", "Tue, 24 Nov 2026 10:00:00 GMT"))
    assert REDACTOR.pairs(pairs) is pairs
    assert NO_SECRETS.pairs(pairs) is pairs
    assert REDACTOR.pairs(()) == ()


def test_what_is_remembered_is_bounded_and_the_same() -> None:
    redactor = Redactor([SecretStr(TOKEN)])
    urls = [f"https://acme.example/{number}?key={quote(TOKEN)}" for number in range(200)]
    for url in (*urls, *urls):
        assert redactor.remembered(url) == REDACTOR.text(url) != url
    assert len(redactor._remembered) <= 64


def test_a_redactor_is_forgotten_with_its_secrets() -> None:
    cache, one, other = RedactorCache(), SecretStr(TOKEN), SecretStr("another-secret")
    assert cache.of([one]) is cache.of([one])
    assert cache.of([one, other]).text(f"{TOKEN} another-secret") == f"{REDACTED} {REDACTED}"
    assert cache.of([]).text(TOKEN) == TOKEN
    del one
    gc.collect()
    assert len(cache._known) == 1


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("http://me:pass%2Fword@proxy.test:8080", ["me:pass/word", "pass/word"]),
        ("http://token%40only@proxy.test", ["token@only"]),
        ("http://:secret@proxy.test", [":secret", "secret"]),
        ("http://proxy.test", []),
        ("http://[broken", []),
    ],
)
def test_the_user_information_of_a_url_is_secret(url: str, secrets: list[str]) -> None:
    assert [each.get_secret_value() for each in secrets_of_url(url)] == secrets


def test_base64_for_urls_is_undone_as_well() -> None:
    secret = "a>b?c>d?e>f?g>h?"
    redactor = Redactor([SecretStr(secret)])
    echo = base64.urlsafe_b64encode(base64.b16encode(secret.encode())).decode()
    assert redactor.text(f"x {echo} y").startswith("x [redacted]")
    inner = base64.urlsafe_b64encode(secret.encode()).decode()
    assert "-" in inner or "_" in inner
    assert REDACTED in redactor.text(f"x {inner} y")


SECRETS_OF_ONE_LENGTH = st.text("abcXYZ0129-_.~", min_size=12, max_size=12)


@given(
    secrets=st.tuples(SECRETS_OF_ONE_LENGTH, SECRETS_OF_ONE_LENGTH),
    before=st.binary(max_size=4),
    after=st.binary(max_size=4),
    encode=st.sampled_from([base64.b64encode, base64.urlsafe_b64encode]),
)
def test_what_is_left_of_base64_does_not_depend_on_the_secret(
    secrets: tuple[str, str],
    before: bytes,
    after: bytes,
    encode: Callable[[bytes], bytes],
) -> None:
    """The characters around it have bits of its first and last byte as well."""
    left = [
        Redactor([SecretStr(each)]).text(encode(before + each.encode() + after).decode())
        for each in secrets
    ]
    assert left[0] == left[1]


SHORT = "s3cr3t-t0k3n"


@pytest.mark.parametrize(
    "encode",
    [
        lambda char: f"%u{ord(char):04x}",
        lambda char: f"%{ord(char):02x}",
        lambda char: f"\\u{ord(char):04X}",
        lambda char: f"\\u{{{ord(char):x}}}",
        lambda char: f"\\u{{{ord(char):06x}}}",
        lambda char: f"\\x{ord(char):02x}",
        lambda char: f"\\{ord(char):03o}",
        lambda char: f"&#{ord(char)};",
        lambda char: f"&#{ord(char)}",
        lambda char: f"&#x{ord(char):x};",
        lambda char: f"&#X{ord(char):X}",
    ],
)
def test_each_form_of_an_escape_is_undone(encode: Callable[[str], str]) -> None:
    redactor = Redactor([SecretStr(SHORT)])
    for chars in (SHORT, SHORT[:5]):  # all of it, and some of it
        echo = "".join(encode(char) if char in chars else char for char in SHORT)
        reported = redactor.text(f"a {echo} b")
        assert REDACTED in reported, echo
        # Of the first and the last escape, what is not the character itself may be left.
        assert len(reported) - len("a [redacted] b") <= 8, reported


@pytest.mark.parametrize("escape", ["\\u{110000}", "\\b", "\\f", "\\n", "\\r", "\\t", "\\ "])
def test_an_escape_that_is_no_character_of_a_secret_splits_it(escape: str) -> None:
    redactor = Redactor([SecretStr(SHORT)])
    assert redactor.text(f"a {SHORT[:6]}{escape}{SHORT[6:]} b") == "a [redacted] b"


def test_the_shortest_text_that_can_hold_a_secret_is_searched() -> None:
    redactor = Redactor([SecretStr("s3cr3t")])
    assert redactor.text("s3cr3t") == REDACTED
    assert redactor.text("s3cr3") == "s3cr3"
    assert redactor.pairs((("a", "s3cr3t"),)) == (("a", REDACTED),)
    assert redactor.pairs((("s3cr3t", "a"),)) == ((REDACTED, "a"),)
    assert redactor.data(b"a s3cr3t b s3cr3t") == b"a [redacted] b [redacted]"
    for secret, text in (("abc", "abc"), ("abcd", REDACTED)):
        assert Redactor([SecretStr(secret)]).text(secret) == text
    assert repr(redactor) == "Redactor(1 secrets)"


def test_more_than_two_secrets_of_a_text_take_all_of_it() -> None:
    redactor = Redactor([SecretStr(SHORT)])
    hidden = base64.b64encode(SHORT.encode()).decode()
    one, two = f"a {hidden} b", f"a {hidden} b {hidden} c"
    assert SHORT not in redactor.text(one)
    assert redactor.text(one).startswith("a ")
    assert redactor.text(two).endswith(" c")
    assert redactor.text(f"{two} {hidden} d") == REDACTED
    assert redactor.text(" ".join([SHORT] * 9)) == " ".join([REDACTED] * 9)


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("http://u:p%40ss@proxy:1", ("u:p@ss", "p@ss")),
        ("http://u@proxy", ("u",)),
        ("http://u:@proxy", ("u",)),
        ("http://:p@proxy", (":p", "p")),
        ("http://proxy", ()),
        ("http://[", ()),
        ("", ()),
    ],
)
def test_the_secrets_of_a_url(url: str, secrets: tuple[str, ...]) -> None:
    assert tuple(each.get_secret_value() for each in secrets_of_url(url)) == secrets


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("czNjcjN0LXQwazNu", "[redacted]"),
        ("AczNjcjN0LXQwazNu", "[redacted]"),
        ("-czNjcjN0LXQwazNu", "[redacted]"),
        (" czNjcjN0LXQwazNu", " [redacted]"),
        ("czNjcjN0LXQwazNueXk=", "[redacted]Xk="),
        ("eHMzY3IzdC10MGszbg==", "e[redacted]"),
        ("eHhzM2NyM3QtdDBrM24=", "eH[redacted]"),
        ("eHh4czNjcjN0LXQwazNu", "eHh[redacted]"),
    ],
)
def test_of_base64_only_what_stood_around_the_secret_is_left(text: str, reported: str) -> None:
    assert Redactor([SecretStr(SHORT)]).text(text) == reported


def test_white_space_in_a_secret_is_no_part_of_it() -> None:
    redactor = Redactor([SecretStr("s3 cr3t t0k3n")])
    for text in ("s3 cr3t t0k3n", "s3cr3tt0k3n", "s3  cr3t\n t0k3n", "s3%20cr3t%20t0k3n"):
        assert redactor.text(text) == REDACTED


def test_what_has_dots_and_is_no_token_stays() -> None:
    redactor = Redactor((), token_shaped=True)
    for text in (
        "some-host-name.eyJhbGci.x",
        "abcdefghijkl.mnop.qrst",
        "a long-host-name.example.com here",
    ):
        assert redactor.text(text) == text
    assert redactor.text("x eyJhbGciOiJub25lIn0.e30.c2ln y") == "x [redacted] y"
    assert redactor.text("prefix-eyJhbGciOiJub25lIn0.e30.c2ln") == "prefix-[redacted]"


def test_an_escape_of_half_a_character_is_no_error() -> None:
    redactor = Redactor([SecretStr(SHORT)])
    assert redactor.text("a \ud800 longer text") == "a \ud800 longer text"
    for text in ("a \\ud800 longer text", "&#xd800; longer text", "%ud800 longer text"):
        assert redactor.text(text) == text


def test_a_short_secret_is_found_in_a_short_text() -> None:
    redactor = Redactor([SecretStr("abcd")])
    assert redactor.text("YWJjZA") == REDACTED
    assert redactor.text("YWJjZQ") == "YWJjZQ"


def test_three_split_secrets_are_taken_out_one_by_one() -> None:
    redactor = Redactor([SecretStr(SHORT)])
    for between in ("\u200b", "\u00e9", " ", "\0"):
        text = " and ".join([between.join(SHORT)] * 3)
        assert redactor.text(text) == " and ".join([REDACTED] * 3)
    token = "eyJhbGciOiJub25lIn0.e30.c2ln"
    assert Redactor((), token_shaped=True).text(token) == REDACTED
