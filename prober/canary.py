"""The canary: a comment written to the platform, and how long until it is processed.

A run writes a comment with a fixed ID and a new text, and then reads until the text can be read,
until the comment has a prediction, and until the text is in the stream, where one is named. Each
stage is a check of the probe: its value is the seconds since the write, its `max` the limit. A
stage that does not come within its limit fails, and the platform is responsible. A check that is
off is a stage that is not awaited.

Values are upper bounds: they are taken when the response comes that shows the stage, and the
platform gets a request every second at first, later every ten.

Assumed, since it is not documented: a comment of the same ID replaces the one before, an update is
in the streams again, and a comment without a prediction is left out of the predictions. If the
platform keeps the prediction of the earlier text meanwhile, `predicted` is too short. What robots
have consumed is not seen, so the stream should be one that they do not read at once.

Pure: requests, waiting and clock are passed in. Comments are customers' texts, so nothing of a
response leaves this module but the time at which it came.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

from prober.classifier.observation import MAX_INLINE_BODY_BYTES, read_body
from prober.classifier.retry_after import retry_after_seconds
from prober.config.builtin_probes import CANARY_COMMENT
from prober.models import (
    CANARY_STAGES,
    CanaryStep,
    CanaryTarget,
    Check,
    CheckResult,
    Expectations,
    Probe,
    ProbeResult,
)
from prober.outcomes import Culprit, Outcome

_T = TypeVar("_T")
STREAM_RESULTS = 64
"""How many waiting results of the stream are looked at."""
MAX_RESPONSE_BYTES = 4 * 1024 * 1024
_MAX_UID_CHARACTERS = 1024
WRITE = "write"
READABLE, PREDICTED, STREAMED = CANARY_STAGES
_WAIT_SECONDS, _WAIT_FACTOR, _MAX_WAIT_SECONDS = 1.0, 1.5, 10.0
_MAY_PASS = frozenset({Culprit.PLATFORM, Culprit.NETWORK, Culprit.UNDECIDED})
_WORDS = {READABLE: "readable", PREDICTED: "predicted", STREAMED: "in the stream"}


class InThread(Protocol):
    """Calls a function without blocking the event loop."""

    async def __call__(self, work: Callable[[], _T], /) -> _T:
        """Return what the function returns."""
        ...


@dataclass(frozen=True, slots=True)
class Pacing:
    """How to wait, and a clock that does not jump; both in seconds."""

    sleep: Callable[[float], Awaitable[None]]
    monotonic: Callable[[], float]
    in_thread: InThread | None = None
    """Calls a function that reads a large body; if None, the event loop calls it."""


@dataclass(frozen=True, slots=True)
class _Stage:
    check: Check
    request: Probe
    is_reached: Callable[[Any], bool]
    may_be_missing: bool = False
    """Whether a 404 means that the stage has not come yet."""

    @property
    def limit_seconds(self) -> float:
        return self.check.max or 0.0


async def run_canary(
    probe: Probe,
    target: CanaryTarget,
    run: Callable[[Probe], Awaitable[ProbeResult]],
    pacing: Pacing,
    now: float,
) -> ProbeResult:
    """Run the canary once. `run` sends one request, with a token. Raises nothing but cancellation.

    The result is that of the write, with the checks of the stages. A request that fails for another
    reason than that its stage has not come is the result itself: at once if a further request is of
    no use, else when the limit of the stage is over.
    """
    text = f"prober-canary-{int(now * 1000)}"
    bare = replace(probe, canary=None, checks=(), expectations=Expectations())
    written = await run(replace(bare, body=_body(text, now)))
    began = pacing.monotonic()
    steps = [CanaryStep(WRITE, 0.0, written.exchange.total_seconds, 1, written.verdict.succeeded)]
    if not written.verdict.succeeded:
        return replace(written, steps=tuple(steps))
    results: list[CheckResult] = []
    uid = ""
    for check in probe.checks:
        stage = _stage(check, bare, target, text, uid)
        if stage is None:
            continue
        if results and results[-1].value is None:
            results.append(CheckResult(check, "", None, False, "was not awaited"))
            continue
        step, last = await _await(stage, run, pacing, began)
        steps.append(step)
        if step.succeeded:
            results.append(_reached(stage, step))
            uid = uid or await _read(last, _uid, pacing)
        elif last.verdict.succeeded or _is_missing(stage, last):
            results.append(_missed(stage))
        else:
            return replace(last, steps=tuple(steps))
    verdict = replace(written.verdict, checks=tuple(results), evidence=_evidence(results))
    return replace(written, verdict=verdict, steps=tuple(steps))


async def _await(
    stage: _Stage,
    run: Callable[[Probe], Awaitable[ProbeResult]],
    pacing: Pacing,
    began: float,
) -> tuple[CanaryStep, ProbeResult]:
    """Send requests until the stage is reached or its limit is over.

    Returns the step and the last result.
    """
    started, wait, requests = pacing.monotonic() - began, _WAIT_SECONDS, 0
    while True:
        result = await run(stage.request)
        requests += 1
        elapsed = pacing.monotonic() - began
        step = CanaryStep(stage.check.name, started, elapsed - started, requests, succeeded=False)
        if result.verdict.succeeded and await _read(result, stage.is_reached, pacing):
            # The limit counts here too: one response may have taken longer than what was left.
            return replace(step, succeeded=elapsed <= stage.limit_seconds), result
        left = stage.limit_seconds - elapsed
        # What the platform asks for comes first; a wait that is over the limit is not begun.
        asked = retry_after_seconds(result.exchange.response, result.started_at)
        if left <= 0 or asked > left or _is_final(stage, result):
            return step, result
        await pacing.sleep(min(max(wait, asked), left))
        wait = min(wait * _WAIT_FACTOR, _MAX_WAIT_SECONDS)


def _is_final(stage: _Stage, result: ProbeResult) -> bool:
    """Return whether to try again is of no use: the token, the request or the tenant is wrong."""
    return (
        not result.verdict.succeeded
        and result.verdict.culprit not in _MAY_PASS
        and not _is_missing(stage, result)
    )


def _stage(check: Check, bare: Probe, target: CanaryTarget, text: str, uid: str) -> _Stage | None:
    """Return the stage of a check, None if the canary does not have it."""
    if check.name == READABLE:
        request = replace(bare, method="GET", sent_path=target.comment_path, body=None)
        return _Stage(
            check,
            request,
            lambda found: _has_text(_at(found, "comment"), text) and bool(_uid(found)),
            may_be_missing=True,
        )
    if check.name == PREDICTED:
        request = replace(bare, sent_path=target.predict_path, body=_json({"uids": [uid]}))
        return _Stage(check, request, lambda found: _is_predicted(found, uid))
    if check.name == STREAMED and target.stream_path is not None:
        request = replace(
            bare,
            sent_path=target.stream_path,
            body=_json({"size": STREAM_RESULTS}),
            max_response_bytes=max(bare.max_response_bytes, MAX_RESPONSE_BYTES),
        )
        return _Stage(check, request, lambda found: _is_streamed(found, text))
    return None


def _is_predicted(document: Any, uid: str) -> bool:  # noqa: ANN401 -- JSON
    return any(_at(each, "uid") == uid for each in _list(document, "predictions"))


def _is_streamed(document: Any, text: str) -> bool:  # noqa: ANN401 -- JSON
    return any(_has_text(_at(each, "comment"), text) for each in _list(document, "results"))


def _has_text(comment: Any, text: str) -> bool:  # noqa: ANN401 -- JSON
    return any(
        text in body
        for message in _list(comment, "messages")
        if isinstance(body := _at(_at(message, "body"), "text"), str)
    )


def _at(value: Any, key: str) -> Any:  # noqa: ANN401 -- JSON
    return value.get(key) if isinstance(value, dict) else None


def _uid(document: Any) -> str:  # noqa: ANN401 -- JSON
    """Return the comment's UID, empty if it has none in a form that could be asked for again."""
    uid = _at(_at(document, "comment"), "uid")
    return uid if isinstance(uid, str) and len(uid) <= _MAX_UID_CHARACTERS else ""


def _list(value: Any, key: str) -> list[Any]:  # noqa: ANN401 -- JSON
    found = _at(value, key)
    return found if isinstance(found, list) else []


async def _read(result: ProbeResult, read: Callable[[Any], _T], pacing: Pacing) -> _T:
    """Return what `read` finds in the JSON document of a response, None if there is none."""
    response = result.exchange.response
    if response is None:
        return read(None)

    def work() -> _T:
        return read(read_body(response.body, result.exchange.redactor).document)

    if pacing.in_thread is None or len(response.body) <= MAX_INLINE_BODY_BYTES:
        return work()
    return await pacing.in_thread(work)


def _is_missing(stage: _Stage, result: ProbeResult) -> bool:
    """Return whether the platform says that there is no such object, where that means: not yet."""
    response = result.exchange.response
    return (
        stage.may_be_missing
        and response is not None
        and response.status == HTTPStatus.NOT_FOUND
        and result.verdict.outcome is Outcome.API_ERROR
    )


def _reached(stage: _Stage, step: CanaryStep) -> CheckResult:
    seconds = step.started_after_seconds + step.seconds
    message = f"{_WORDS[stage.check.name]} after {seconds:.1f} s"
    return CheckResult(stage.check, "", seconds, False, message)


def _missed(stage: _Stage) -> CheckResult:
    words, limit = _WORDS[stage.check.name], stage.limit_seconds
    message = f"the written comment was not {words} within {limit:g} s"
    return CheckResult(stage.check, "", None, True, message)


def _evidence(results: list[CheckResult]) -> str:
    return "a comment was written" + "".join(f", {each.message}" for each in results)


def _body(text: str, now: float) -> bytes:
    """Return the body of the write: its form is that of the probe `sync`."""
    comment = {
        "id": CANARY_COMMENT,
        "timestamp": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds"),
        "messages": [{"body": {"text": f"A synthetic check by prober: {text}"}}],
    }
    return _json({"comments": [comment]})


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
