from collections.abc import Callable

import pytest

from prober.http_client.attempt_timing import AttemptTiming, Phase
from prober.outcomes import TimingFallback

Step = Callable[[AttemptTiming], None]


def _send(at: int, width: int = 0, *, blocked: bool = False) -> Step:
    return lambda timing: timing.sent(at, at + width, 100, blocked=blocked)


def _arrive(at: int, read: int | None = None) -> Step:
    return lambda timing: timing.arrived(at, at if read is None else read)


def _request(timing: AttemptTiming) -> None:
    timing.request_begins()


def _head(timing: AttemptTiming) -> None:
    timing.head_arrived()


def _done(timing: AttemptTiming) -> None:
    timing.finished()


def _fresh(timing: AttemptTiming) -> None:
    timing.looked_up(5, 25)
    timing.connecting(30)
    timing.connected(70)


_PLAIN = (_fresh, _request, _send(90), _arrive(190, 250), _head, _arrive(240, 251), _done)
_TLS_13 = (
    _fresh,
    AttemptTiming.tls_began,
    _send(100),  # ClientHello
    _arrive(140, 150),  # the server's flight
    AttemptTiming.tls_done,
    _send(160),  # Finished
    _arrive(205),  # tickets: nobody waited for them
    _request,
    _send(210),
    _arrive(208, 300),  # more tickets, here before the request was sent
    _arrive(310, 400),
    _head,
    _done,
)
_TLS_12 = (
    _fresh,
    AttemptTiming.tls_began,
    _send(100),
    _arrive(140, 145),
    _send(150),  # key exchange
    _arrive(190, 200),
    AttemptTiming.tls_done,
    _request,
    _send(210),
    _arrive(310),
    _head,
    _done,
)


@pytest.mark.parametrize(
    ("steps", "wire"),
    [
        pytest.param(
            _PLAIN,
            {"resolve": 20, "connect": 40, "send": 0, "wait": 100, "transfer": 50},
            id="plain",
        ),
        pytest.param(
            _TLS_13,
            {"resolve": 20, "connect": 40, "tls": 40, "send": 0, "wait": 100, "transfer": 0},
            id="tls-1.3",
        ),
        pytest.param(
            _TLS_12,
            {"resolve": 20, "connect": 40, "tls": 80, "send": 0, "wait": 100, "transfer": 0},
            id="tls-1.2",
        ),
        pytest.param(
            (_request, _send(10), _arrive(60, 90), _head, _done),
            {"send": 0, "wait": 50, "transfer": 0},
            id="reused",
        ),
        pytest.param(
            (_request, _send(10), _send(30), _arrive(60, 90), _head, _done),
            {"send": 0, "wait": 30, "transfer": 0},
            id="two-sends-with-our-own-work-between",
        ),
        pytest.param(
            (_request, _send(10, blocked=True), _send(30), _arrive(60, 90), _head, _done),
            {"send": 20, "wait": 30, "transfer": 0},
            id="the-far-end-reads-slowly",
        ),
        pytest.param(
            (_request, _send(10), AttemptTiming.head_arrived, _arrive(20), _arrive(70, 99), _done),
            {"send": 0, "wait": 0, "transfer": 60},
            id="several-arrivals-in-one-phase",
        ),
    ],
)
def test_only_the_wire_is_counted(steps: tuple[Step, ...], wire: dict[str, int]) -> None:
    timing = AttemptTiming(began=0)
    for step in steps:
        step(timing)
    assert {str(phase): took for phase, took in timing.wire_nanoseconds.items()} == wire
    assert timing.fallback is None


def test_the_tunnel_of_a_proxy_belongs_to_connecting() -> None:
    timing = AttemptTiming(began=0, tunnel_pending=True)
    timing.connecting(10)
    timing.connected(20)
    timing.sent(25, 25, 50, blocked=False)  # CONNECT
    timing.request_begins()  # aiohttp says so of CONNECT as well
    assert timing.phase is Phase.CONNECT
    timing.arrived(65, 70)
    timing.tunnel_opened()
    timing.tls_began()
    timing.sent(80, 80, 200, blocked=False)
    timing.arrived(120, 130)
    timing.tls_done()
    timing.request_begins()
    timing.sent(140, 140, 100, blocked=False)
    timing.arrived(190, 200)
    timing.finished()
    assert timing.wire_nanoseconds == {
        Phase.RESOLVE: 0, Phase.CONNECT: 50, Phase.TLS: 40, Phase.SEND: 0, Phase.WAIT: 50,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "phase", "wire"),
    [
        pytest.param((), "resolve", {"resolve": 1000}, id="resolving"),
        pytest.param(
            (lambda t: t.connecting(100),),
            "connect",
            {"resolve": 0, "connect": 900},
            id="connecting",
        ),
        pytest.param(
            (_fresh, AttemptTiming.tls_began, _send(100)),
            "tls",
            {"resolve": 20, "connect": 40, "tls": 900},
            id="shaking-hands",
        ),
        pytest.param(
            (_fresh, _request, _send(100)),
            "wait",
            {"resolve": 20, "connect": 40, "send": 0, "wait": 900},
            id="waiting",
        ),
        pytest.param(
            (_fresh, _request, _send(100, blocked=True)),
            "send",
            {"resolve": 20, "connect": 40, "send": 900},
            id="sending",
        ),
        pytest.param(
            (_fresh, _request, _send(100), _arrive(300), _head),
            "transfer",
            {"resolve": 20, "connect": 40, "send": 0, "wait": 200, "transfer": 700},
            id="receiving",
        ),
    ],
)
def test_a_failure_was_waited_for_in_its_phase(
    steps: tuple[Step, ...], phase: str, wire: dict[str, int]
) -> None:
    timing = AttemptTiming(began=0)
    for step in steps:
        step(timing)
    assert timing.phase == phase
    timing.failed(1000)
    assert {str(phase): took for phase, took in timing.wire_nanoseconds.items()} == wire


def test_what_comes_after_a_whole_response_is_not_counted() -> None:
    timing = AttemptTiming(began=0)
    for step in (_request, _send(10), _arrive(60), _head):
        step(timing)
    timing.whole = True
    timing.arrived(500, 500)
    timing.sent(600, 600, 24, blocked=False)  # TLS says that it closes
    timing.stream_ended(700)
    timing.finished()
    assert sum(timing.wire_nanoseconds.values()) == 50
    assert timing.fallback is None


def test_a_response_that_ends_with_its_connection_ends_when_that_was_read() -> None:
    timing = AttemptTiming(began=0)
    for step in (_request, _send(10), _arrive(60), _head):
        step(timing)
    timing.stream_ended(200)
    timing.finished()
    assert timing.wire_nanoseconds[Phase.TRANSFER] == 140
    assert timing.fallback is TimingFallback.END_OF_STREAM


@pytest.mark.parametrize(
    ("out_of_order", "at", "why"),
    [(False, 8, TimingFallback.STAMP_BEFORE_SEND), (True, 60, TimingFallback.OUT_OF_ORDER)],
)
def test_a_response_whose_stamp_is_too_early_ends_when_it_was_read(
    out_of_order: bool, at: int, why: TimingFallback
) -> None:
    timing = AttemptTiming(began=0)
    for step in (_request, _send(10), _arrive(at, 90), _head):
        step(timing)
    timing.finished(out_of_order=out_of_order)
    assert sum(timing.wire_nanoseconds.values()) == 80
    assert timing.fallback is why


def test_the_first_reason_to_fall_back_stays() -> None:
    timing = AttemptTiming(began=0)
    timing.fall_back(TimingFallback.UNSUPPORTED)
    timing.fall_back(TimingFallback.CLOCK_STEPPED)
    assert timing.fallback is TimingFallback.UNSUPPORTED


def test_the_bound_is_what_the_calls_took() -> None:
    timing = AttemptTiming(began=0)
    timing.connecting(10)
    timing.connected(20, 3)
    timing.request_begins()
    timing.sent(30, 37, 100, blocked=False)
    timing.arrived(90, 95, 2)
    assert timing.bound_nanoseconds == 3 + 7 + 2
    assert timing.request_sent == 30
    assert timing.request_bytes == 100
    assert timing.waited_seconds(1_000_000_030) == 1.0
    assert AttemptTiming(began=0).waited_seconds(5) == 0.0
