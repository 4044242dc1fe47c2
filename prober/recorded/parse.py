"""What a saved file is, and the exchanges in it."""

import json
import re
from collections.abc import Iterable
from dataclasses import replace

from prober.formatting import one_line
from prober.recorded.curl import (
    failed_exchange,
    read_curl_output,
    refuse_left_out,
    refuse_other_curl_output,
    with_curl_output,
)
from prober.recorded.document import parse_document
from prober.recorded.har import is_archive, parse_archive
from prober.recorded.models import (
    QUOTED_CHARACTERS,
    USAGE,
    RecordedExchange,
    RecordedExchangeError,
)
from prober.recorded.raw_http import find_response, parse_responses
from prober.redaction import Redactor

_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_WGET_HEAD = re.compile(
    rb"\A(?P<lines>[ ]{2}HTTP/[0-9][^\r\n]*\r?\n(?:[ ]{2}[^\r\n]*\r?\n)*)(?:\r?\n)?"
)
_WGET_INDENT = re.compile(rb"^[ ]{2}", re.MULTILINE)
_WGET = "save it with `wget --save-headers --content-on-error --output-document=FILE URL`"
_BINARY_FORMATS = (
    (re.compile(rb"\A\x1f\x8b"), "it is compressed with gzip: decompress it first"),
    (re.compile(rb"\APK\x03\x04"), "it is a zip archive: extract the saved response first"),
    (
        re.compile(rb"\A(?:\xd4\xc3\xb2\xa1|\xa1\xb2\xc3\xd4|\x4d\x3c\xb2\xa1|\x0a\x0d\x0d\x0a)"),
        f"it is a packet capture: {USAGE}",
    ),
)
_OTHER_FORMATS = (
    (
        re.compile(rb"^--\d{4}-\d\d-\d\d \d\d:\d\d:\d\d--  https?:", re.MULTILINE),
        f"it is the log of wget, which has no body: {_WGET}",
    ),
    (
        re.compile(rb"^StatusCode {1,20}:", re.MULTILINE),
        f"it is the output of PowerShell, which cuts headers and body: {USAGE}, with curl.exe",
    ),
    (re.compile(rb"\A\s*<"), f"it is a body alone, which does not show who responded: {USAGE}"),
    (re.compile(rb"\A\s*\["), f"it is JSON, but not that of `prober probe --json`: {USAGE}"),
)


def parse_recorded(content: bytes) -> tuple[RecordedExchange, ...]:
    """Return all exchanges in a file, at least one; raises RecordedExchangeError.

    A file is the output of `curl`, an HTTP archive (HAR), or our own JSON.
    """
    _refuse(content, _BINARY_FORMATS)
    text = _as_utf8(content)
    if not text.strip():
        raise RecordedExchangeError(f"there is nothing in it: {USAGE}")
    if text.lstrip().startswith(b"{"):
        return _parse_json(text.lstrip())
    text = _WGET_HEAD.sub(_without_indentation, text.lstrip(b"\r\n"))
    return parse_curl(text)


def parse_curl(text: bytes) -> tuple[RecordedExchange, ...]:
    """Return all exchanges in the output of `curl`; raises RecordedExchangeError.

    Of what came by other programs, raw responses are read as well.
    """
    output = read_curl_output(text)
    redactor = Redactor(output.secrets, token_shaped=True)
    start = find_response(output.response)
    if start is None:
        refuse_other_curl_output(text)
        if output.error is None and not output.is_verbose:
            _refuse_text(text, output.response)
        return (failed_exchange(output, redactor),)
    try:
        exchanges = list(parse_responses(output.response[start:], redactor))
    except RecordedExchangeError:
        refuse_left_out(output)
        raise
    before = one_line(
        output.response[:start].decode("utf-8", "replace"), QUOTED_CHARACTERS, redactor
    )
    if before:
        note = f"text before the response is left out: {before}"
        exchanges[0] = replace(exchanges[0], notes=(note, *exchanges[0].notes))
    exchanges[-1] = with_curl_output(exchanges[-1], output, redactor)
    return tuple(exchanges)


def _without_indentation(head: re.Match[bytes]) -> bytes:
    """Return a head as wget shows it (--server-response), without its indentation."""
    return _WGET_INDENT.sub(b"", head["lines"]) + b"\r\n"


def _as_utf8(content: bytes) -> bytes:
    """Return a file without its byte order mark; PowerShell's `>` writes UTF-16."""
    encoding = _UTF16_MARKS.get(content[:2])
    if encoding is None:
        return content.removeprefix(_UTF8_MARK)
    return content[2:].decode(encoding, "replace").encode("utf-8", "replace")


def _refuse(text: bytes, formats: Iterable[tuple[re.Pattern[bytes], str]]) -> None:
    for pattern, message in formats:
        if pattern.search(text):
            raise RecordedExchangeError(message)


def _refuse_text(text: bytes, response: bytes) -> None:
    if not response.strip():
        raise RecordedExchangeError(f"it has the progress meter of curl alone: {USAGE}")
    _refuse(text, _OTHER_FORMATS)
    raise RecordedExchangeError(
        "it is neither the output of `curl --include`, which begins with 'HTTP/', nor an HTTP"
        f" archive (HAR), nor the JSON of `prober probe --json`: {USAGE}"
    )


def _parse_json(text: bytes) -> tuple[RecordedExchange, ...]:
    exchanges: list[RecordedExchange] = []
    for document in _documents(text):
        if is_archive(document):
            exchanges += parse_archive(document)
        else:
            exchanges.append(parse_document(document))
    return tuple(exchanges)


def _documents(text: bytes) -> list[object]:
    """Return the JSON values that follow one another in a text, one a line or however."""
    decoder, documents = json.JSONDecoder(), []
    try:
        rest, position = text.decode().strip(), 0
        while position < len(rest):
            value, position = decoder.raw_decode(rest, position)
            documents.append(value)
            while rest[position : position + 1].isspace():
                position += 1
    except (ValueError, RecursionError) as error:
        raise RecordedExchangeError(f"it begins like JSON, but cannot be read: {error}") from error
    return documents
