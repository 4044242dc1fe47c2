"""A canary's run: stages in order, each within its limit, and who is responsible."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest

from prober.canary import Pacing, run_canary
from prober.classifier.checks import with_failures
from prober.classifier.observation import MAX_INLINE_BODY_BYTES
from prober.classifier.rules import classify
from prober.config.builtin_checks import CANARY
from prober.models import (
    CanaryTarget,
    Expectations,
    Failure,
    HttpExchange,
    Probe,
    ProbeResult,
    Response,
)
from prober.outcomes import Culprit, FailureKind, Outcome, Reason
from prober.render.steps import step_lines, steps_element
from tests.builders import a_probe

TARGET = CanaryTarget("/comment", "/predict", "/stream")
PATHS = {"/comment": "readable", "/predict": "predicted", "/stream": "streamed"}
NOW = 1_790_000_000.0
HEADERS = (("Content-Type", "application/json"), ("Server-Timing", "total;dur=1"))
HOSTILE: tuple[Any, ...] = (None, [], {}, 7, "x", {"messages": 7}, {"messages": [{"body": 7}]})


def exchange(content: object, status: int = 200) -> HttpExchange:
    body = json.dumps(content).encode()
    return HttpExchange("POST", "http://x", 0.1, response=Response(status, HEADERS, body))


def error(status: int) -> HttpExchange:
    return exchange({"status": "error", "message": "no"}, status)


def ok(**content: object) -> HttpExchange:
    return exchange({"status": "ok", **content})


@dataclass
class Platform:
    """A platform in virtual time: each stage comes so many seconds after the write, or never."""

    after: dict[str, float] = field(
        default_factory=lambda: {"readable": 0.0, "predicted": 30.0, "streamed": 45.0}
    )
    instead: Mapping[str, HttpExchange] = field(default_factory=dict)
    clock: float = 100.0
    written_at: float = 0.0
    text: str = ""
    sent: list[tuple[str, float, bytes | None]] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.clock += seconds

    async def run(self, probe: Probe) -> ProbeResult:
        self.sent.append((probe.sent_path, self.clock, probe.body))
        assert probe.checks == ()
        assert probe.canary is None
        exchange = self._respond(probe)
        verdict = classify(exchange, Expectations())
        return ProbeResult("acme", probe.name, NOW, exchange, verdict)

    def _respond(self, probe: Probe) -> HttpExchange:
        if probe.sent_path == "/write":
            [comment] = json.loads(probe.body or b"")["comments"]
            self.text, self.written_at = comment["messages"][0]["body"]["text"], self.clock
            return self.instead.get("write", ok(new=1))
        stage = PATHS[probe.sent_path]
        if stage in self.instead:
            return self.instead[stage]
        has_come = self.clock - self.written_at >= self.after.get(stage, 1e9)
        comment = {"uid": "s.prober-canary", "messages": [{"body": {"text": self.text}}]}
        if stage == "readable":
            return ok(comment=comment) if has_come else error(404)
        if stage == "predicted":
            assert json.loads(probe.body or b"") == {"uids": ["s.prober-canary"]}
            return ok(predictions=[{"uid": "s.prober-canary"}] if has_come else [])
        return ok(results=[{"comment": {"messages": []}}, *([{"comment": comment}] * has_come)])


def canary(**changes: Any) -> Probe:  # noqa: ANN401 -- whatever fields a Probe has
    return replace(
        a_probe(name="canary", sent_path="/write", method="POST"),
        **{"checks": CANARY, "canary": TARGET, "interval_seconds": 3600.0, **changes},
    )


async def ran(platform: Platform, probe: Probe | None = None) -> ProbeResult:
    probe = probe or canary()
    assert probe.canary is not None
    pacing = Pacing(platform.sleep, lambda: platform.clock)
    result = await run_canary(probe, probe.canary, platform.run, pacing, NOW)
    checks = result.verdict.checks
    return (
        result if checks is None else replace(result, verdict=with_failures(result.verdict, checks))
    )


def values(result: ProbeResult) -> dict[str, float | None]:
    return {each.check.name: each.value for each in result.verdict.checks or ()}


async def test_all_stages_come_and_are_measured_from_the_write() -> None:
    platform = Platform()
    result = await ran(platform)
    assert result.verdict.outcome is Outcome.SUCCESS
    found = values(result)
    assert found["readable"] == 0.0
    assert found["predicted"] is not None
    assert 30.0 <= found["predicted"] <= 40.0
    assert found["streamed"] is not None
    assert 45.0 <= found["streamed"] <= 55.0
    assert [step.name for step in result.steps] == ["write", "readable", "predicted", "streamed"]
    assert all(step.succeeded for step in result.steps)
    assert "a comment was written, readable after 0.0 s" in result.verdict.evidence
    assert "prober-canary-1790000000000" in platform.text


async def test_it_asks_more_and_more_rarely() -> None:
    platform = Platform({"readable": 55.0, "predicted": 55.0, "streamed": 55.0})
    await ran(platform)
    times = [at for path, at, _ in platform.sent if path == "/comment"]
    gaps = [after - before for before, after in pairwise(times)]
    assert gaps[0] == 1.0
    assert max(gaps) == 10.0
    assert len(times) < 12


@pytest.mark.parametrize("missing", ["readable", "predicted", "streamed"])
async def test_a_stage_that_does_not_come_is_the_platform_s_fault(missing: str) -> None:
    after = {"readable": 0.0, "predicted": 1.0, "streamed": 2.0}
    del after[missing]
    platform = Platform(after)
    result = await ran(platform)
    assert (result.verdict.reason, result.verdict.culprit) == (
        Reason.CHECK_FAILED,
        Culprit.PLATFORM,
    )
    limit = next(check.max for check in CANARY if check.name == missing)
    assert limit is not None
    assert f"within {limit:g} s" in result.verdict.evidence
    assert result.steps[-1].name == missing
    assert not result.steps[-1].succeeded
    stages = list(PATHS.values())
    later = stages[stages.index(missing) + 1 :]
    assert not [path for path, _, _ in platform.sent if PATHS.get(path) in later]
    assert values(result)[missing] is None
    assert platform.clock - platform.written_at <= limit + 0.001


async def test_a_stage_that_comes_after_its_limit_is_late() -> None:
    tight = tuple(replace(check, max=5.0) for check in CANARY)
    result = await ran(Platform({"readable": 0.0, "predicted": 20.0}), canary(checks=tight))
    assert result.verdict.reason is Reason.CHECK_FAILED
    assert values(result)["predicted"] is None


async def test_without_a_stream_there_is_no_third_stage() -> None:
    platform = Platform()
    target = replace(TARGET, stream_path=None)
    result = await ran(platform, canary(canary=target))
    assert set(values(result)) == {"readable", "predicted"}
    assert "/stream" not in [path for path, _, _ in platform.sent]


async def test_a_stage_that_is_off_is_not_awaited() -> None:
    kept = tuple(check for check in CANARY if check.name != "predicted")
    result = await ran(Platform(), canary(checks=kept))
    assert set(values(result)) == {"readable", "streamed"}


@pytest.mark.parametrize(
    ("stage", "exchange", "reason", "is_at_once"),
    [
        ("write", error(500), Reason.SERVER_ERROR, True),
        ("write", error(403), Reason.PERMISSION_DENIED, True),
        ("readable", error(401), Reason.TOKEN_REJECTED, True),
        ("readable", error(429), Reason.RATE_LIMITED, True),
        ("predicted", error(404), Reason.CLIENT_ERROR, True),
        ("predicted", error(403), Reason.PERMISSION_DENIED, True),
        ("streamed", error(404), Reason.CLIENT_ERROR, True),
        ("readable", error(500), Reason.SERVER_ERROR, False),
        ("predicted", error(503), Reason.SERVER_ERROR, False),
    ],
)
async def test_a_request_that_fails_is_judged_by_itself(
    stage: str, exchange: HttpExchange, reason: Reason, *, is_at_once: bool
) -> None:
    platform = Platform(instead={stage: exchange})
    result = await ran(platform)
    assert result.verdict.reason is reason
    assert result.verdict.checks is None
    assert result.steps[-1].name == stage
    assert (result.steps[-1].requests == 1) is is_at_once


async def test_a_network_that_fails_for_a_while_does_not_end_the_run() -> None:
    broken = HttpExchange("GET", "x", 0.1, failure=Failure(FailureKind.CONNECTION_REFUSED, "no"))
    platform = Platform()
    responses = iter([broken, broken])

    async def run(probe: Probe) -> ProbeResult:
        result = await Platform.run(platform, probe)
        failed = next(responses, None) if probe.sent_path == "/predict" else None
        if failed is None:
            return result
        return replace(result, exchange=failed, verdict=classify(failed, Expectations()))

    probe = canary()
    pacing = Pacing(platform.sleep, lambda: platform.clock)
    result = await run_canary(probe, TARGET, run, pacing, NOW)
    assert all(step.succeeded for step in result.steps)


@pytest.mark.parametrize("content", HOSTILE)
async def test_hostile_content_is_a_stage_that_has_not_come(content: object) -> None:
    tight = tuple(replace(check, max=5.0) for check in CANARY)
    for stage, key in (
        ("readable", "comment"),
        ("predicted", "predictions"),
        ("streamed", "results"),
    ):
        wrong = [content] if key == "results" else content if key == "comment" else {"x": content}
        platform = Platform({"readable": 0, "predicted": 0}, {stage: ok(**{key: wrong})})
        result = await ran(platform, canary(checks=tight))
        assert result.verdict.reason is Reason.CHECK_FAILED


def overloaded(retry_after: str) -> HttpExchange:
    headers = (*HEADERS, ("Retry-After", retry_after))
    body = json.dumps({"status": "error", "message": "busy"}).encode()
    return HttpExchange("GET", "http://x", 0.1, response=Response(503, headers, body))


@pytest.mark.parametrize(
    ("asked", "seconds"), [("30", 30.0), ("0", 1.0), ("soon", 1.0), ("Mon, 21 Sep 2026", 1.0)]
)
async def test_the_next_request_waits_as_long_as_the_platform_asks(
    asked: str, seconds: float
) -> None:
    platform = Platform(instead={"readable": overloaded(asked)})
    result = await ran(platform)
    times = [at for path, at, _ in platform.sent if path == "/comment"]
    assert times[1] - times[0] == seconds
    assert result.verdict.reason is Reason.SERVER_ERROR


async def test_a_wait_over_the_limit_is_not_begun() -> None:
    platform = Platform(instead={"readable": overloaded("299")})
    tight = tuple(replace(check, max=5.0) for check in CANARY)
    result = await ran(platform, canary(checks=tight))
    assert result.steps[-1].requests == 1
    assert result.exchange.response is not None
    assert result.exchange.response.header_values("retry-after") == ("299",)  # the runner pauses


@pytest.mark.parametrize("uid", [None, 7, {}, [], "", "x" * 1025])
async def test_a_comment_without_a_usable_uid_is_not_readable(uid: object) -> None:
    platform = Platform()

    async def run(probe: Probe) -> ProbeResult:
        if probe.sent_path != "/comment":
            return await Platform.run(platform, probe)
        comment = {"uid": uid, "messages": [{"body": {"text": platform.text}}]}
        platform.instead = {"readable": ok(comment=comment)}
        return await Platform.run(platform, probe)

    pacing = Pacing(platform.sleep, lambda: platform.clock)
    result = await run_canary(canary(), TARGET, run, pacing, NOW)
    assert [(step.name, step.succeeded) for step in result.steps] == [
        ("write", True),
        ("readable", False),
    ]


async def test_nothing_of_the_customers_texts_is_kept() -> None:
    result = await ran(Platform())
    assert result.exchange.response is not None
    assert b"messages" not in result.exchange.response.body


async def test_the_steps_are_drawn() -> None:
    platform = Platform({"readable": 0.0, "predicted": 20.0})
    result = await ran(platform)
    lines = step_lines(result.steps)
    assert len(lines) == 4
    assert lines[0].startswith("write      #")
    assert "not reached" in lines[3]
    element = steps_element([step_fields(step) for step in result.steps])
    assert element.count("<rect") == 4
    assert 'class="failed"' in element
    assert "streamed" in element
    assert steps_element([]) == ""
    assert step_lines(()) == ()


def step_fields(step: Any) -> dict[str, Any]:  # noqa: ANN401 -- a CanaryStep
    return {name: getattr(step, name) for name in step.__slots__}


async def test_a_large_response_is_read_in_a_thread() -> None:
    platform, lengths = Platform(), []
    large = "x" * MAX_INLINE_BODY_BYTES

    async def run(probe: Probe) -> ProbeResult:
        result = await Platform.run(platform, probe)
        response = result.exchange.response
        assert response is not None
        if probe.sent_path == "/stream":
            body = json.dumps({**json.loads(response.body), "more": large}).encode()
            response = replace(response, body=body)
        return replace(result, exchange=replace(result.exchange, response=response))

    async def in_thread(work: Callable[[], Any]) -> Any:  # noqa: ANN401 -- any result
        lengths.append(platform.clock)
        return work()

    pacing = Pacing(platform.sleep, lambda: platform.clock, in_thread)
    result = await run_canary(canary(), TARGET, run, pacing, NOW)
    assert all(step.succeeded for step in result.steps)
    assert lengths == [at for path, at, _ in platform.sent if path == "/stream"]
