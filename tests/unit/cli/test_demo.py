import asyncio
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from prober.cli import demo
from prober.cli.demo import Demo, DemoSink
from prober.models import ProbeResult
from prober.outcomes import Reason, TimingFallback
from prober.simulator.scenario import Action, Expected, Phase, Scenario
from prober.simulator.thread import SimulatorThread
from tests.builders import a_probe, a_tenant
from tests.unit.metrics.factories import an_answer

TENANT = a_tenant(name="acme", probes=(a_probe(name="datasets"),))
BUSY = Phase(
    name="busy prober",
    description="",
    seconds=5,
    expect={"acme": Expected(reasons=("ok",), own_ms=50)},
)

WELL = Expected(reasons=("ok",))


def answered(own: float, fallback: TimingFallback | None = None) -> ProbeResult:
    result = an_answer(server=0.1, network=0.02, own=own)
    object.__setattr__(result, "started_at", 10.0)
    object.__setattr__(result.exchange, "timing_fallback", fallback)
    return result


def played(*results: ProbeResult) -> tuple[list[str], list[str]]:
    """Return what was reported, and what was not as expected."""
    reported: list[str] = []
    sink = DemoSink([TENANT], reported.append)
    sink.begin(BUSY, 5.0, 1.0)
    for result in results:
        sink.on_result(result)
    sink.end()
    return reported, sink.unexpected


def test_a_busy_prober_shows_its_own_time_and_blames_nobody() -> None:
    reported, unexpected = played(answered(0.001), answered(0.15), answered(0.002))
    assert unexpected == []
    assert reported[-1] == "busy prober: own time up to 150 ms, network time at most 20.0 ms"


def test_too_little_own_time_is_not_as_expected() -> None:
    _, unexpected = played(answered(0.001))
    assert unexpected == ["busy prober: acme: at most 1 ms of own time, 50 expected"]


def test_a_system_that_does_not_tell_own_time_apart_is_not_held_to_it() -> None:
    assert played(answered(0.0, TimingFallback.UNSUPPORTED))[1] == []


def test_a_reason_that_must_be_seen_is_missed() -> None:
    expected = Expected(reasons=("ok", "check_failed"), must_see="check_failed")
    sink = DemoSink([TENANT], None)
    sink.begin(Phase(name="unread", description="", seconds=5, expect={"acme": expected}), 5.0, 1.0)
    sink.on_result(answered(0.0))
    sink.end()
    assert sink.unexpected == ["unread: acme: no result is check_failed"]


def test_a_phase_without_results_is_not_as_expected() -> None:
    assert played()[1] == ["busy prober: no result of acme"]


def a_scenario(*actions: Action) -> Scenario:
    """Return a phase in which acme must be ok, and one with `actions` that expects nothing."""
    first = Phase(name="well", description="", seconds=0.01, expect={"acme": WELL})
    return Scenario(
        title="", phases=(first, Phase(name="next", description="", seconds=0.01, actions=actions))
    )


class PlayedDemo(Demo):
    """A demo with actions that interrupt a run of the phase before, as a cut network does."""

    def __init__(self, directory: Path, watch: DemoSink, result: ProbeResult) -> None:
        super().__init__(directory, 1.0, 0)
        self._scenario = a_scenario(Action(block_prober_ms=0))
        self.watch, self.result = watch, result

    async def _apply(self, *_: object) -> None:
        self.watch.on_result(self.result)

    async def play_once(self) -> None:
        await self._play(cast("SimulatorThread", None), self.watch, once=True)


def started_in_the_future(reason: Reason) -> ProbeResult:
    result = answered(0.0)
    object.__setattr__(result, "started_at", 1e12)
    object.__setattr__(result, "verdict", replace(result.verdict, reason=reason))
    return result


async def test_a_run_that_the_next_phases_actions_interrupt_belongs_to_no_phase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "_MAX_EXTRA_SECONDS", 0.0)
    watch = DemoSink([TENANT], None)
    await PlayedDemo(tmp_path, watch, started_in_the_future(Reason.CONNECTION_RESET)).play_once()
    assert watch.unexpected == ["well: no result of acme"]


async def test_a_phase_lasts_until_each_expected_result_is_there(tmp_path: Path) -> None:
    watch = DemoSink([TENANT], None)
    played = PlayedDemo(tmp_path, watch, started_in_the_future(Reason.OK))
    asyncio.get_running_loop().call_later(
        0.3, lambda: watch.on_result(started_in_the_future(Reason.OK))
    )
    await played.play_once()
    assert watch.unexpected == []
