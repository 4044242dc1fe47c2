"""Exchanges that were saved as text: `curl --include` output, or our own JSON. Pure.

`curl` saves no times, no address and no request: such an exchange has a total of 0, no phases, and
an empty method and URL. `document.py` of the views says what our own JSON leaves out.
"""

import json
import re
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError

from prober.errors import ProberError
from prober.http_client.protocol import content_codings, decoded, unreadable_coding
from prober.models import (
    Expectations,
    Failure,
    HttpExchange,
    Phases,
    PresentedCertificate,
    Response,
    TcpEvidence,
)
from prober.outcomes import Endpoint, FailureKind, Reason, TimingFallback

_USAGE = "save the answer with `curl --silent --include ... > FILE`"
_HEAD = re.compile(
    rb"HTTP/[0-9](?:\.[0-9])? +(?P<status>[0-9]{3})(?P<phrase>[^\r\n]*)(?:\r?\n|\Z)"
    rb"(?P<fields>(?:[^\r\n]++(?:\r?\n|\Z))*+)(?:\r?\n|\Z)"
)
_LINE = re.compile(r"[^\r\n]+")
_BODY_FIELDS = frozenset({"content-type", "content-length", "transfer-encoding"})
_RETRY_STATUSES = frozenset({401, 407})
_NO_EXPECTATIONS = Expectations()
_MAX_DECODED_BYTES = 16 * 1024 * 1024
_UTF8_MARK = b"\xef\xbb\xbf"


class RecordedExchangeError(ProberError, ValueError):
    """A text is no saved exchange; says what it is instead, and how to save one."""


@dataclass(frozen=True, slots=True)
class RecordedExchange:
    """A saved exchange, and what its text says beside it.

    `reason` is the verdict's of that time. `notes` say what the reader should know before trusting
    a judgement of it.
    """

    exchange: HttpExchange
    expectations: Expectations = _NO_EXPECTATIONS
    tenant: str | None = None
    probe: str | None = None
    reason: Reason | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Head:
    status: int
    headers: tuple[tuple[str, str], ...]
    end: int

    def value(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")

    @property
    def is_followed(self) -> bool:
        """Whether another head may come: interim, redirect, challenge, a proxy's CONNECT."""
        if self.status in _RETRY_STATUSES or self.status // 100 in {1, 3}:
            return True
        names = {name.lower() for name, _ in self.headers}
        return self.status // 100 == 2 and not names & _BODY_FIELDS  # noqa: PLR2004 -- 2xx


def parse_recorded(text: bytes) -> tuple[RecordedExchange, ...]:
    """Return all exchanges in a text of either form, at least one; raises SavedExchangeError."""
    stripped = text.removeprefix(_UTF8_MARK).lstrip()
    if not stripped:
        raise RecordedExchangeError(f"there is nothing in it: {_USAGE}")
    if not stripped.startswith(b"{"):
        return (parse_curl(stripped),)
    return tuple(map(_from_document, _objects(stripped)))


def parse_curl(text: bytes) -> RecordedExchange:
    """Return the exchange of `curl --include` output; raises SavedExchangeError.

    Of several heads (interim answers, a proxy's, redirects that were followed) the last counts.
    """
    heads = [_head(text, 0)]
    while heads[-1].is_followed and _HEAD.match(text, heads[-1].end):
        heads.append(_head(text, heads[-1].end))
    last = heads[-1]
    response = decoded(Response(last.status, last.headers, text[last.end :]), _MAX_DECODED_BYTES)
    exchange = HttpExchange(method="", url="", total_seconds=0.0, response=response)
    return RecordedExchange(
        exchange, notes=(*_notes_on_heads(heads), *_notes_on_length(last, response))
    )


def _head(text: bytes, start: int) -> _Head:
    found = _HEAD.match(text, start)
    if found is None:
        raise RecordedExchangeError(
            f"it is neither `curl --include` output, which begins with 'HTTP/', nor the JSON of"
            f" `prober probe --json`: {_USAGE}"
        )
    return _Head(int(found["status"]), _fields(found["fields"]), found.end())


def _fields(text: bytes) -> tuple[tuple[str, str], ...]:
    fields: list[tuple[str, str]] = []
    for line in _LINE.findall(text.decode("utf-8", "replace")):
        name, colon, value = line.partition(":")
        if line[0] in " \t" and fields:  # a folded value (RFC 9112, 5.2)
            before, begun = fields[-1]
            fields[-1] = (before, f"{begun} {line.strip()}".strip())
        elif colon and name and name.strip() == name:
            fields.append((name, value.strip()))
        else:
            raise RecordedExchangeError(f"this line of the head is no header: {line[:80]!r}")
    return tuple(fields)


def _notes_on_heads(heads: list[_Head]) -> list[str]:
    if len(heads) == 1:
        return []
    told = ", ".join(f"HTTP {head.status}" for head in heads)
    notes = [f"{len(heads)} heads were saved ({told}); the last one counts"]
    followed = [head for head in heads[:-1] if head.status // 100 == 3 and head.value("location")]  # noqa: PLR2004 -- 3xx
    notes += [
        f"curl followed a redirect to {head.value('location')}, the prober never does: save it"
        " without --location to see what the prober sees"
        for head in followed
    ]
    return notes


def _notes_on_length(head: _Head, response: Response) -> list[str]:
    announced = head.value("content-length")
    if head.value("content-encoding") or not announced.isdecimal():
        return []
    if len(response.body) >= int(announced):
        return []
    missing = f"the body has {len(response.body)} of the {announced} bytes that Content-Length"
    return [f"{missing} announces: the saved text is not the whole answer"]


_Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]


class _RecordedRequest(BaseModel):
    method: str
    url: str


class _RecordedResponse(BaseModel):
    status: int
    headers: tuple[tuple[str, str], ...]
    body_over_limit: bool = False
    envelope: dict[str, str] | None = None
    excerpt: str | None = None

    def value(self) -> Response:
        text = json.dumps(self.envelope) if self.envelope else self.excerpt or ""
        body = text.encode(errors="replace")
        response = Response(self.status, self.headers, body, self.body_over_limit)
        codings = content_codings(response.header_values("content-encoding"))
        unreadable = unreadable_coding(codings) if self.envelope is None else ""
        return replace(response, unreadable_coding=unreadable)


class _RecordedFailure(BaseModel):
    kind: FailureKind
    detail: str = ""


class _RecordedLatency(BaseModel):
    total_seconds: _Seconds | None = None
    bound_seconds: _Seconds = 0.0
    timing_fallback: TimingFallback | None = None
    loop_lag_seconds: _Seconds = 0.0


class _RecordedPhases(BaseModel):
    resolve: _Seconds | None = None
    connect: _Seconds | None = None
    tls: _Seconds | None = None
    send: _Seconds | None = None
    wait: _Seconds | None = None
    transfer: _Seconds | None = None
    own: _Seconds | None = None

    def value(self) -> Phases:
        return Phases(**self.model_dump())


class _RecordedTcp(BaseModel):
    rtt_seconds: _Seconds
    retransmissions: Annotated[int, Field(ge=0)]
    acknowledged: bool
    since_heard_seconds: _Seconds
    since_data_seconds: _Seconds
    lost_addresses: tuple[str, ...] = ()

    def value(self) -> TcpEvidence:
        return TcpEvidence(**self.model_dump())


# Certificates have dates from the year 1 to 9999 (RFC 5280, 4.1.2.5).
_CertificateTime = Annotated[float, Field(ge=-62_135_596_800, le=253_402_300_799)]


class _RecordedCertificate(BaseModel):
    subject: str
    issuer: str
    not_before_timestamp_seconds: _CertificateTime
    not_after_timestamp_seconds: _CertificateTime

    def value(self) -> PresentedCertificate:
        return PresentedCertificate(**self.model_dump())


class _RecordedConnection(BaseModel):
    reused: bool = False
    remote_address: str | None = None
    certificate_expiry_timestamp_seconds: float | None = None
    presented_certificate: _RecordedCertificate | None = None
    via_proxy: bool = False
    stale_retries: Annotated[int, Field(ge=0)] = 0
    tcp: _RecordedTcp | None = None


class _RecordedVerdict(BaseModel):
    reason: Reason


class _Document(BaseModel):
    schema_version: Literal[1]
    tenant: str | None = None
    probe: str | None = None
    endpoint: Endpoint = Endpoint.API
    request: _RecordedRequest
    response: _RecordedResponse | None = None
    failure: _RecordedFailure | None = None
    verdict: _RecordedVerdict | None = None
    latency: _RecordedLatency = _RecordedLatency()
    phase_seconds: _RecordedPhases = _RecordedPhases()
    connection: _RecordedConnection = _RecordedConnection()
    expectations: Expectations | None = None


def _objects(text: bytes) -> list[object]:
    """Return the JSON values that follow one another in a text, one a line or however."""
    decoder, objects = json.JSONDecoder(), []
    try:
        rest = text.decode("utf-8-sig").strip()
        while rest:
            value, end = decoder.raw_decode(rest)
            objects.append(value)
            rest = rest[end:].lstrip()
    except (ValueError, RecursionError) as error:
        raise RecordedExchangeError(f"it begins like JSON, but cannot be read: {error}") from error
    return objects


def _from_document(value: object) -> RecordedExchange:
    if not isinstance(value, dict) or "schema_version" not in value:
        raise RecordedExchangeError(
            "it is JSON, but not that of `prober probe --json`; a body alone does not show who"
            f" answered: {_USAGE}"
        )
    try:
        document = _Document.model_validate(value)
    except ValidationError as error:
        raise RecordedExchangeError(f"it cannot be used: {_describe_error(error)}") from error
    if document.response is None and document.failure is None:
        raise RecordedExchangeError("it cannot be used: it holds neither a response nor a failure")
    if document.endpoint is Endpoint.IDENTITY:
        raise RecordedExchangeError(
            "it is an exchange with the identity server, of which no body is saved: its verdict"
            " stands in it, and cannot be found again"
        )
    expectations, notes = _check_classifiable(document)
    return RecordedExchange(
        _exchange(document),
        expectations,
        document.tenant,
        document.probe,
        None if document.verdict is None else document.verdict.reason,
        notes,
    )


def _describe_error(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:5]
    )


def _exchange(document: _Document) -> HttpExchange:
    failure, connection = document.failure, document.connection
    certificate = connection.presented_certificate
    return HttpExchange(
        method=document.request.method,
        url=document.request.url,
        total_seconds=document.latency.total_seconds or 0.0,
        phases=document.phase_seconds.value(),
        response=None if document.response is None else document.response.value(),
        failure=None if failure is None else Failure(failure.kind, failure.detail),
        connection_reused=connection.reused,
        remote_address=connection.remote_address,
        certificate_expiry_timestamp_seconds=connection.certificate_expiry_timestamp_seconds,
        loop_lag_seconds=document.latency.loop_lag_seconds,
        timing_bound_seconds=document.latency.bound_seconds,
        timing_fallback=document.latency.timing_fallback,
        tcp=None if connection.tcp is None else connection.tcp.value(),
        via_proxy=connection.via_proxy,
        stale_connection_retries=connection.stale_retries,
        presented_certificate=None if certificate is None else certificate.value(),
    )


def _check_classifiable(document: _Document) -> tuple[Expectations, tuple[str, ...]]:
    """Return the expectations without the one on the body, which was not saved, and say so."""
    expectations = document.expectations or _NO_EXPECTATIONS
    if expectations.jmespath is None:
        return expectations, ()
    note = (
        f"the expectation {expectations.jmespath} is not judged again: the answer's data is not"
        " saved"
    )
    return replace(expectations, jmespath=None), (note,)
