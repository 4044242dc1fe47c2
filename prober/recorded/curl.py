"""What `curl` writes beside a response: the log of --verbose, the progress meter, its errors.

They come between head and body when both outputs of `curl` go to one file (`> FILE 2>&1`), or when
the text was copied from a terminal.
"""

import re
from dataclasses import dataclass, field, replace

from pydantic import SecretStr

from prober.formatting import one_line
from prober.models import Failure, HttpExchange
from prober.outcomes import FailureKind
from prober.recorded.models import (
    QUOTED_CHARACTERS,
    USAGE,
    RecordedExchange,
    RecordedExchangeError,
)
from prober.recorded.secrets import header_secrets
from prober.redaction import Redactor

_SIZE = rb"[\d.]{1,9}[kMGTPE]?"
_TIME = rb"(?:--:--:--|\d{1,3}:\d\d:\d\d|\d{1,4}d \d\dh)"
_METER = re.compile(
    rb"(?:\r?[ ]{0,3}\d{1,3} {1,6}%(size)b {1,6}\d{1,3} {1,6}%(size)b {1,6}\d{1,3} {1,6}%(size)b"
    rb" {1,8}%(size)b {1,8}%(size)b {1,3}%(time)b {1,3}%(time)b {1,3}%(time)b {1,6}%(size)b)+"
    rb"(?:\r?\n)?" % {b"size": _SIZE, b"time": _TIME}
)
_METER_HEADING = re.compile(
    rb"^ {1,4}% Total {1,8}% Received[^\r\n]*\r?\n?|^ {10,60}Dload  Upload[^\r\n]*\r?\n?",
    re.MULTILINE,
)
_BAR = re.compile(rb"\r?[#=O-]{0,200} {0,200}\d{1,3}\.\d%(?=\r|\n|\Z)|\r?#{10,400}(?=\r|\n|\Z)")
_LEFT_OPEN = re.compile(
    rb"\* (?:Connection #\d+ to host [^\r\n]* left intact|Closing connection[^\r\n]*)\r?(?=\n|\Z)"
)
_ERROR = re.compile(rb"^curl: \((\d{1,3})\) ([^\r\n]*)\r?$", re.MULTILINE)
_VERBOSE = re.compile(rb"^(?:< HTTP/[0-9]|\* [A-Z ][^\r\n]|> [A-Z]+ \S+ HTTP/)", re.MULTILINE)
_REQUEST_LINE = re.compile(rb"> ([A-Z]{1,20}) (\S{1,2000}) HTTP/")
_INFO = re.compile(rb"\* |\{ \[|\} \[|[{}] \[\d+ bytes data\]")
_TRACE = re.compile(rb"^(?:== Info:|<= Recv header|=> Send header)", re.MULTILINE)
_TLS = re.compile(r" port 443\b|\bTLSv1|SSL connection")
_COMMAND = re.compile(rb"\$? ?curl(?:\.exe)? ['\"-]|\$? ?curl(?:\.exe)? https?:")

_KINDS = {
    5: FailureKind.PROXY,
    6: FailureKind.DNS,
    8: FailureKind.PROTOCOL_ERROR,
    16: FailureKind.PROTOCOL_ERROR,
    18: FailureKind.TRUNCATED,
    35: FailureKind.TLS_HANDSHAKE,
    51: FailureKind.CERTIFICATE_NAME_MISMATCH,
    52: FailureKind.CONNECTION_RESET,
    55: FailureKind.CONNECTION_RESET,
    56: FailureKind.CONNECTION_RESET,
    58: FailureKind.TLS_CONFIGURATION,
    60: FailureKind.TLS_CERTIFICATE,
    61: FailureKind.PROTOCOL_ERROR,
    77: FailureKind.TLS_CONFIGURATION,
    91: FailureKind.TLS_CERTIFICATE,
    92: FailureKind.PROTOCOL_ERROR,
    95: FailureKind.PROTOCOL_ERROR,
    97: FailureKind.PROXY,
}
"""The exit statuses of curl(1), as far as they say what failed."""
_OF_THE_FILE = {
    22: "curl --fail omits the response: save it without --fail",
    23: "curl could not write the response to its file: save it again",
    26: "curl could not read the body of the request",
    47: "curl followed too many redirects; the prober follows none: save it without --location",
}
_AFTER_HEAD = frozenset({16, 18, 28, 55, 56, 61, 92, 95})
_BY_TEXT = (
    ("connect tunnel failed", FailureKind.PROXY),
    ("proxy connect aborted", FailureKind.PROXY),
    ("http/0.9", FailureKind.PROTOCOL_ERROR),
    ("certificate has expired", FailureKind.CERTIFICATE_EXPIRED),
    ("certificate is not yet valid", FailureKind.CERTIFICATE_EXPIRED),
    ("no alternative certificate subject name", FailureKind.CERTIFICATE_NAME_MISMATCH),
    ("does not match target host", FailureKind.CERTIFICATE_NAME_MISMATCH),
    ("certificate problem", FailureKind.TLS_CERTIFICATE),
    ("resolving timed out", FailureKind.DNS),
    ("could not resolve proxy", FailureKind.PROXY),
    ("could not resolve host", FailureKind.DNS),
    ("ssl connection timeout", FailureKind.TLS_HANDSHAKE),
    ("connection refused", FailureKind.CONNECTION_REFUSED),
    ("couldn't connect to server", FailureKind.CONNECTION_REFUSED),
    ("could not connect to server", FailureKind.CONNECTION_REFUSED),
    ("no route to host", FailureKind.UNREACHABLE),
    ("network is unreachable", FailureKind.UNREACHABLE),
    ("connection timed out", FailureKind.CONNECT_TIMEOUT),
    ("connection timeout", FailureKind.CONNECT_TIMEOUT),
    ("failed to connect", FailureKind.UNREACHABLE),
    ("operation timed out", FailureKind.RESPONSE_TIMEOUT),
    ("empty reply from server", FailureKind.CONNECTION_RESET),
    ("connection reset by peer", FailureKind.CONNECTION_RESET),
)
"""What the messages of `curl` say more exactly than its exit status; the first that occurs."""


@dataclass(frozen=True, slots=True)
class CurlOutput:
    """The output of `curl`, taken apart. `response` is what is left: heads and bodies.

    `error` is the exit status and the message of `curl: (28) ...`. `information` are the lines of
    the log that begin with `*`.
    """

    response: bytes
    method: str = ""
    url: str = ""
    error: tuple[int, str] | None = None
    information: str = ""
    secrets: tuple[SecretStr, ...] = ()
    is_verbose: bool = False


@dataclass(slots=True)
class _Lines:
    """The lines of a verbose log, by what they are."""

    plain: list[bytes] = field(default_factory=list)
    with_heads: list[bytes] = field(default_factory=list)
    request: list[bytes] = field(default_factory=list)
    information: list[bytes] = field(default_factory=list)


def refuse_other_curl_output(text: bytes) -> None:
    """Raise RecordedExchangeError if a file has what `curl` knows, but no response as such."""
    if _TRACE.search(text):
        raise RecordedExchangeError(f"it is the output of `curl --trace-ascii`: {USAGE}")
    if _COMMAND.match(text):
        raise RecordedExchangeError(f"it is a curl command: run it, and {USAGE}")


def refuse_left_out(output: CurlOutput) -> None:
    """Raise RecordedExchangeError if `curl` said why there is no body."""
    if output.error is not None and output.error[0] in _OF_THE_FILE:
        raise RecordedExchangeError(_OF_THE_FILE[output.error[0]])


def read_curl_output(text: bytes) -> CurlOutput:
    """Take the progress meter, the log and the error of `curl` out of its output.

    A text that begins with a head is that of --include: lines like those of a log are of its body.
    """
    text = _METER_HEADING.sub(b"", text.lstrip(b"\r\n"))
    text = _METER.sub(lambda found: _between(text, found), text)
    found = _ERROR.search(text)
    error = None if found is None else (int(found[1]), found[2].decode("utf-8", "replace"))
    text = _ERROR.sub(b"", text)
    if text.startswith(b"HTTP/"):
        return CurlOutput(_LEFT_OPEN.sub(b"", text), error=error)
    text = _BAR.sub(b"", text)
    if not _VERBOSE.search(text):
        return CurlOutput(text.lstrip(), error=error)
    lines = _sort_lines(_LEFT_OPEN.sub(b"", text))
    plain = b"".join(lines.plain).lstrip()
    response = plain if plain.startswith(b"HTTP/") else b"".join(lines.with_heads).lstrip()
    information = b"\n".join(lines.information).decode("utf-8", "replace")
    method, url = _request_of(lines.request, "https" if _TLS.search(information) else "http")
    return CurlOutput(
        response,
        method,
        url,
        error,
        information,
        header_secrets(_header(line) for line in lines.request),
        is_verbose=True,
    )


def _between(text: bytes, removed: "re.Match[bytes]") -> bytes:
    """Return what to put instead of text that is removed: the end of a line that had begun."""
    begins_line = removed.start() == 0 or text[removed.start() - 1] == ord("\n")
    return b"" if begins_line else b"\n"


def _sort_lines(text: bytes) -> _Lines:
    lines = _Lines()
    for line in text.splitlines(keepends=True):
        content = line.rstrip(b"\r\n")
        if content.startswith(b"< ") or content == b"<":
            lines.with_heads.append(line[2:] if content.startswith(b"< ") else line[1:])
        elif content.startswith(b"> ") or content == b">":
            lines.request.append(content)
        elif _INFO.match(content):
            lines.information.append(content)
        elif content or lines.with_heads:
            lines.plain.append(line)
            lines.with_heads.append(line)
    return lines


def _header(line: bytes) -> tuple[str, str]:
    name, _, value = line.removeprefix(b"> ").decode("utf-8", "replace").partition(":")
    return name.strip(), value.strip()


def _request_of(lines: list[bytes], scheme: str) -> tuple[str, str]:
    """Return the method and the URL of the last request in a log; empty if there is none."""
    method, target = "", ""
    hosts = [value for name, value in map(_header, lines) if name.lower() == "host"]
    for line in lines:
        if found := _REQUEST_LINE.match(line):
            method, target = found[1].decode(), found[2].decode("utf-8", "replace")
    if not hosts or not target.startswith("/"):
        return method, target
    return method, f"{scheme}://{hosts[-1]}{target}"


def failed_exchange(output: CurlOutput, redactor: Redactor) -> RecordedExchange:
    """Return the exchange of a `curl` that received no response.

    Raises RecordedExchangeError if the output does not say why.
    """
    status, message = output.error or (0, "")
    refuse_left_out(output)
    kind = _failure_kind(status, f"{message}\n{output.information}".lower())
    if kind is None and output.error is None:
        raise RecordedExchangeError(
            "it is the log of `curl --verbose` with neither a response nor an error: save both"
            " outputs with `curl --verbose ... > FILE 2>&1`"
        )
    if kind is None:
        raise RecordedExchangeError(
            f"curl failed without a response, for a reason that says nothing about the platform:"
            f" curl: ({status}) {one_line(message, QUOTED_CHARACTERS, redactor)}"
        )
    exchange = HttpExchange(
        output.method,
        redactor.text(output.url),
        0.0,
        failure=Failure(kind, _detail(output, redactor)),
        redactor=redactor,
    )
    return RecordedExchange(exchange)


def with_curl_output(
    recorded: RecordedExchange, output: CurlOutput, redactor: Redactor
) -> RecordedExchange:
    """Return the last exchange of an output with its request, and with the error of `curl`.

    Raises RecordedExchangeError if `curl` left the body out.
    """
    exchange = replace(recorded.exchange, method=output.method, url=redactor.text(output.url))
    recorded = replace(recorded, exchange=exchange)
    if output.error is None:
        return recorded
    status, message = output.error
    if exchange.response is None or not exchange.response.body:
        refuse_left_out(output)
    kind = _failure_kind(status, message.lower())
    if status not in _AFTER_HEAD or kind is None:
        note = f"curl ended with ({status}) {one_line(message, QUOTED_CHARACTERS, redactor)}"
        return replace(recorded, notes=(*recorded.notes, note))
    failure = Failure(kind, _detail(output, redactor))
    return replace(recorded, exchange=replace(exchange, failure=failure))


def _detail(output: CurlOutput, redactor: Redactor) -> str:
    if output.error is None:
        return "as the log of `curl --verbose` says"
    status, message = output.error
    return f"curl: ({status}) {one_line(message, QUOTED_CHARACTERS, redactor)}"


def _failure_kind(status: int, text: str) -> FailureKind | None:
    """Return what failed, by the text in lower case as far as it says it, else by the status."""
    for words, kind in _BY_TEXT:
        if words in text and (status == 0 or kind in _POSSIBLE.get(status, (kind,))):
            return kind
    return _KINDS.get(status, FailureKind.RESPONSE_TIMEOUT if status == 28 else None)  # noqa: PLR2004 -- time-out


_CERTIFICATE_KINDS = (
    FailureKind.CERTIFICATE_EXPIRED,
    FailureKind.CERTIFICATE_NAME_MISMATCH,
    FailureKind.TLS_CERTIFICATE,
)
_POSSIBLE = {
    5: (FailureKind.PROXY,),
    6: (FailureKind.DNS,),
    18: (FailureKind.TRUNCATED,),
    35: (FailureKind.TLS_HANDSHAKE, *_CERTIFICATE_KINDS),
    51: _CERTIFICATE_KINDS,
    60: _CERTIFICATE_KINDS,
}
"""What a message may say with an exit status; with others, anything."""
