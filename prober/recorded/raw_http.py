"""HTTP responses that were saved as text: `curl --include` output, or what came over the wire.

A file may have several responses after one another. Each has heads (interim responses, a proxy's,
redirects that were followed: the last counts) and a body, which may be chunked and compressed as it
came, or decoded as `curl` does by default. The file does not say which, so the body shows it.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from prober.formatting import one_line
from prober.http_client.protocol import (
    BodyCorruptError,
    LimitedBodyReader,
    content_codings,
    is_text,
)
from prober.models import Failure, HttpExchange, Response
from prober.outcomes import FailureKind
from prober.recorded.models import (
    MAX_DECODED_BYTES,
    QUOTED_CHARACTERS,
    USAGE,
    RecordedExchange,
    RecordedExchangeError,
)
from prober.redaction import Redactor

MAX_RESPONSES = 1000
"""A file with more responses is refused."""

_HEAD = re.compile(
    rb"HTTP/[0-9](?:\.[0-9])? +(?P<status>[0-9]{3})(?P<phrase>[^\r\n]*)(?:\r?\n|\Z)"
    rb"(?P<fields>(?:[^\r\n]++(?:\r?\n|\Z))*+)(?:\r?\n|\Z)"
)
_START = re.compile(rb"HTTP/[0-9](?:\.[0-9])? +[0-9]{3}[^\r\n]{0,200}\r?\n[!#-'*+.0-9A-Z^-z|~-]+:")
"""A head with at least one field, where it is not known that a head must follow."""
_LINE = re.compile(r"[^\r\n]+")
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")
_LINE_END = re.compile(rb"\r?(?:\n|\Z)")
_TRAILERS = re.compile(rb"(?:[^\s:]+:[^\r\n]*\r?\n)*+(?:\r?\n|\Z)")
_COLOUR = re.compile(rb"\x1b\[[0-9;]*m")
_DAMAGE = "\ufffd".encode()
_BODY_FIELDS = frozenset({"content-type", "content-length", "transfer-encoding"})
_RETRY_STATUSES = frozenset({401, 407})
_WITHOUT_BODY = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class _Head:
    status: int
    headers: tuple[tuple[str, str], ...]
    end: int

    def value(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]

    @property
    def is_followed(self) -> bool:
        """Whether another head may come: interim, redirect, challenge, a proxy's CONNECT."""
        if self.status in _WITHOUT_BODY:
            return False
        if self.status in _RETRY_STATUSES or self.status // 100 in {1, 3}:
            return True
        names = {name.lower() for name, _ in self.headers}
        return self.status // 100 == 2 and not names & _BODY_FIELDS  # noqa: PLR2004 -- 2xx

    @property
    def is_chunked(self) -> bool:
        codings = ",".join(self.values("transfer-encoding")).lower()
        return codings.rpartition(",")[2].strip() == "chunked"


@dataclass(frozen=True, slots=True)
class _Body:
    """What follows a head. `end` is where it ends in the file."""

    content: bytes
    end: int
    failure: Failure | None = None
    notes: tuple[str, ...] = ()


def find_response(text: bytes) -> int | None:
    """Return where the first head at the beginning of a line is, None if there is none."""
    if _HEAD.match(text):
        return 0
    for found in _START.finditer(text):
        if found.start() == 0 or text[found.start() - 1] == ord("\n"):
            return found.start()
    return None


def parse_responses(text: bytes, redactor: Redactor) -> tuple[RecordedExchange, ...]:
    """Return the exchanges of a file that begins with a head; raises RecordedExchangeError."""
    exchanges: list[RecordedExchange] = []
    position = 0
    while position < len(text):
        if len(exchanges) == MAX_RESPONSES:
            raise RecordedExchangeError(f"it has more than {MAX_RESPONSES} responses: split it")
        recorded, end = _parse_response(text, position, redactor)
        position = _next_response(text, end)
        left_out = one_line(
            text[end:position].decode("utf-8", "replace"), QUOTED_CHARACTERS, redactor
        )
        if left_out:
            note = f"text after the response is left out, as the output of --write-out: {left_out}"
            recorded = replace(recorded, notes=(*recorded.notes, note))
        exchanges.append(recorded)
    if len(exchanges) == 1:
        return tuple(exchanges)
    return tuple(
        replace(each, notes=(f"response {number} of {len(exchanges)} in the file", *each.notes))
        for number, each in enumerate(exchanges, 1)
    )


def _parse_response(text: bytes, start: int, redactor: Redactor) -> tuple[RecordedExchange, int]:
    """Return the exchange with its head at `start`, and where it ends."""
    heads = [_head(text, start)]
    while heads[-1].is_followed and _HEAD.match(text, heads[-1].end):
        heads.append(_head(text, heads[-1].end))
    last = heads[-1]
    body = _find_body(text, last)
    # A server may echo the token of the request, such as in Location.
    headers = redactor.pairs(last.headers)
    response, failure, notes = _decode_content(Response(last.status, headers, body.content))
    exchange = HttpExchange(
        method="",
        url="",
        total_seconds=0.0,
        response=response,
        failure=body.failure or failure,
        redactor=redactor,
    )
    return RecordedExchange(
        exchange, notes=(*_head_notes(heads, redactor), *body.notes, *notes)
    ), body.end


def _next_response(text: bytes, start: int) -> int:
    """Return where the next response begins, or where the file ends."""
    rest = text[start:]
    found = find_response(rest.lstrip())
    return len(text) if found is None else len(text) - len(rest.lstrip()) + found


def _head(text: bytes, start: int) -> _Head:
    found = _HEAD.match(text, start)
    if found is None:
        raise RecordedExchangeError(
            f"it is neither `curl --include` output, which begins with 'HTTP/', nor the JSON of"
            f" `prober probe --json`: {USAGE}"
        )
    return _Head(int(found["status"]), _fields(found["fields"]), found.end())


def _fields(text: bytes) -> tuple[tuple[str, str], ...]:
    fields: list[tuple[str, str]] = []
    for line in _LINE.findall(_COLOUR.sub(b"", text).decode("utf-8", "replace")):
        name, colon, value = line.partition(":")
        if line[0] in " \t" and fields:  # a folded value (RFC 9112, 5.2)
            before, begun = fields[-1]
            fields[-1] = (before, f"{begun} {line.strip()}".strip())
        elif colon and name and name.strip() == name:
            fields.append((name, value.strip()))
        else:
            raise RecordedExchangeError(
                f"this line of the head is not a header: {line[:QUOTED_CHARACTERS]!r}"
            )
    return tuple(fields)


def _find_body(text: bytes, head: _Head) -> _Body:
    """Find the body by the framing of the head as far as the file has kept it (RFC 9112, 6.3)."""
    if head.status in _WITHOUT_BODY or head.status // 100 == 1:
        return _Body(b"", head.end)
    if head.is_chunked and (chunked := _dechunk(text, head.end)) is not None:
        return chunked
    lengths = set(head.values("content-length"))
    if head.is_chunked or not lengths:
        return _unframed(text, head.end)
    if len(lengths) > 1 or not all(each.isascii() and each.isdigit() for each in lengths):
        problem = f"Content-Length is {one_line(' and '.join(sorted(lengths)), QUOTED_CHARACTERS)}"
        failure = Failure(FailureKind.PROTOCOL_ERROR, f"what was received is not HTTP: {problem}")
        return replace(_unframed(text, head.end), failure=failure)
    digits = lengths.pop()
    length = int(digits) if len(digits) < 16 else 10**15  # noqa: PLR2004 -- longer than any file
    return _with_length(text, head, length)


def _with_length(text: bytes, head: _Head, length: int) -> _Body:
    """Return the body of a response that announces its length.

    The length is that of the body as it came. It cannot match if `curl --compressed` decoded the
    body, or if a program changed its line ends.
    """
    rest = text[head.end :]
    if not rest.strip() and length > 0:
        raise RecordedExchangeError(
            f"it has the head of HTTP {head.status} without the body of {length} bytes that it"
            f" announces: {USAGE}, without --head"
        )
    codings = content_codings(head.values("content-encoding"))
    unframed = _unframed(text, head.end)
    if codings and is_text(unframed.content):  # decoded already: the length is another's
        return unframed
    exact = _Body(rest[:length], head.end + length)
    missing = length - len(rest)
    if missing <= 0 and (not _is_json(unframed.content) or _is_json(exact.content)):
        return exact
    note = (
        f"the body has {len(unframed.content)} bytes, and Content-Length announces {length}: either"
        " the text was changed when it was saved, or the length is wrong"
    )
    if _is_json(unframed.content) or _may_be_whole(unframed.content, length):
        return replace(unframed, notes=(note,))
    return _cut(
        unframed,
        f"the body has {len(unframed.content)} of the {length} bytes that Content-Length announces",
    )


def _may_be_whole(content: bytes, length: int) -> bool:
    """Return whether other line ends explain that a body of text is shorter than announced."""
    line_ends = content.count(b"\n") + 1
    return is_text(content) and 0 <= length - len(content) <= 2 * line_ends


def _cut(body: _Body, problem: str) -> _Body:
    note = f"{problem}: the response was cut, on its way or when it was saved"
    failure = Failure(FailureKind.TRUNCATED, "the body ended before its end")
    return replace(body, failure=failure, notes=(*body.notes, note))


def _dechunk(text: bytes, start: int) -> _Body | None:
    """Return a body that is chunked in the file (RFC 9112, 7.1), None if it is not."""
    chunks: list[bytes] = []
    position = start
    while found := _CHUNK_SIZE.match(text, position):
        size = int(found[1], 16)
        if size == 0:
            trailers = _TRAILERS.match(text, found.end())
            end = found.end() if trailers is None else trailers.end()
            return _Body(b"".join(chunks), end, notes=("the body was saved chunked",))
        chunk = text[found.end() : found.end() + size]
        after = _LINE_END.match(text, found.end() + size)
        if after is None:
            break
        chunks.append(chunk)
        position = after.end()
    if not chunks and (found is None or found.end() + int(found[1], 16) < len(text)):
        return None
    if found is not None:
        chunks.append(text[found.end() :])
    cut = _Body(b"".join(chunks), len(text), notes=("the body was saved chunked",))
    return _cut(cut, "the last chunk is missing")


def _unframed(text: bytes, start: int) -> _Body:
    """Return a body of unspecified length: JSON up to its end, else up to the next head."""
    rest = text[start:]
    if rest.lstrip()[:1] in {b"{", b"["}:
        return _unframed_json(text, start)
    end = _next_head(text, start)
    return _Body(text[start:end], end)


def _unframed_json(text: bytes, start: int) -> _Body:
    rest = text[start:].decode("utf-8", "surrogateescape")
    begin = len(rest) - len(rest.lstrip())
    try:
        _, end = json.JSONDecoder(parse_int=str).raw_decode(rest, begin)
    except RecursionError:
        return _Body(text[start:], len(text))
    except ValueError as error:
        end = _next_head(text, start)
        body = _Body(text[start:end], end)
        if isinstance(error, json.JSONDecodeError) and _ends_early(error, body.content):
            return _cut(body, "the body ends in the middle of its JSON")
        return body
    content = rest[:end].encode("utf-8", "surrogateescape")
    return _Body(content, start + len(content))


def _ends_early(error: json.JSONDecodeError, content: bytes) -> bool:
    """Return whether JSON is correct as far as it goes."""
    if error.msg.startswith("Unterminated string"):
        return True
    return len(error.doc[: error.pos].encode("utf-8", "surrogateescape").strip()) >= len(
        content.strip()
    )


def _next_head(text: bytes, start: int) -> int:
    """Return where the next head is, even after the last character of a body, else the end."""
    found = _START.search(text, start)
    return len(text) if found is None else found.start()


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content.decode("utf-8-sig"), parse_int=str)
    except (ValueError, RecursionError):
        return False
    return True


def _decode_content(response: Response) -> tuple[Response, Failure | None, tuple[str, ...]]:
    """Undo the content codings, unless `curl --compressed` did so.

    What cannot be decoded and is text was decoded before.
    """
    codings = content_codings(response.header_values("content-encoding"))
    if not codings or not response.body:
        return response, None, ()
    body = LimitedBodyReader(codings, MAX_DECODED_BYTES)
    if body.unreadable_coding:
        unreadable = "" if is_text(response.body) else body.unreadable_coding
        return replace(response, unreadable_coding=unreadable), None, ()
    try:
        body.feed(response.body)
        content, is_whole = body.finish()
    except BodyCorruptError:
        content, is_whole = b"", None
    if not is_whole and is_text(response.body) and _DAMAGE not in response.body:
        return response, None, ()
    if is_whole is None:
        return _corrupt(response)
    decoded = replace(response, body=content, body_over_limit=body.over_limit)
    if is_whole:
        return decoded, None, ()
    note = "the compressed body ends early: the response was cut, on its way or when it was saved"
    failure = Failure(FailureKind.TRUNCATED, "the compressed body ended early")
    return decoded, failure, (note,)


def _corrupt(response: Response) -> tuple[Response, Failure, tuple[str, ...]]:
    if _DAMAGE in response.body:
        raise RecordedExchangeError(
            "its compressed body was destroyed when it was saved as text: add --compressed to the"
            " curl command, and save it again"
        )
    detail = "the body is not valid in its Content-Encoding"
    return replace(response, body=b""), Failure(FailureKind.PROTOCOL_ERROR, detail), ()


def _head_notes(heads: Sequence[_Head], redactor: Redactor) -> list[str]:
    if len(heads) == 1:
        return []
    statuses = ", ".join(f"HTTP {head.status}" for head in heads)
    notes = [f"{len(heads)} heads were saved ({statuses}); the last one counts"]
    followed = [head for head in heads[:-1] if head.status // 100 == 3 and head.value("location")]  # noqa: PLR2004 -- 3xx
    for head in followed:
        location = one_line(head.value("location"), QUOTED_CHARACTERS, redactor)
        notes.append(
            f"curl followed a redirect to {location}, the prober never does: save it without"
            " --location to see what the prober sees"
        )
    return notes
