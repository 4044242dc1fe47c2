from prober.cli.demo import DemoSink
from prober.models import ProbeResult
from prober.outcomes import TimingFallback
from prober.simulator.scenario import Expected, Phase
from tests.builders import a_probe, a_tenant
from tests.unit.metrics.factories import an_answer

TENANT = a_tenant(name="acme", probes=(a_probe(name="datasets"),))
BUSY = Phase(
    name="busy prober",
    description="",
    seconds=5,
    expect={"acme": Expected(reasons=("ok",), own_ms=50)},
)


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
