"""Our own JSON: what `prober probe --json` and the API say of a run.

`render/documents.py` says what it leaves out.
"""

import json
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError

from prober.http_client.protocol import content_codings, unreadable_coding
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
from prober.recorded.models import (
    NO_EXPECTATIONS,
    USAGE,
    RecordedExchange,
    RecordedExchangeError,
)

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
    since_received_seconds: _Seconds
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


def parse_document(value: object) -> RecordedExchange:
    """Return the exchange of one JSON value; raises RecordedExchangeError."""
    if not isinstance(value, dict) or "schema_version" not in value:
        raise RecordedExchangeError(
            "it is JSON, but not that of `prober probe --json`; a body alone does not show who"
            f" responded: {USAGE}"
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
            " is in it, and cannot be found again"
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
    expectations = document.expectations or NO_EXPECTATIONS
    if expectations.jmespath is None:
        return expectations, ()
    note = (
        f"the expectation {expectations.jmespath} is not judged again: the response's data is not"
        " saved"
    )
    return replace(expectations, jmespath=None), (note,)
