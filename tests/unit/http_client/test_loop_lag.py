import asyncio
import time

from prober.http_client.timing import EventLoopLagMonitor, LagWindow


def test_a_stall_before_the_watch_was_opened_is_not_its_own() -> None:
    watch = LagWindow(opened_at=10.0)
    watch.observe(due=9.0, now=10.25)
    assert watch.max_seconds == 0.25


def test_the_greatest_lag_counts() -> None:
    watch = LagWindow(opened_at=0.0)
    for due, now in ((1.0, 1.5), (2.0, 2.1), (3.0, 2.9)):
        watch.observe(due, now)
    assert watch.max_seconds == 0.5


async def test_a_stall_of_the_loop_is_seen_by_an_open_watch_and_told() -> None:
    reported: list[float] = []
    lag = EventLoopLagMonitor(reported.append)
    lag.start()
    watch = lag.open()
    await asyncio.sleep(0.03)
    time.sleep(0.1)  # noqa: ASYNC251 -- the stall is the subject
    await asyncio.sleep(0.03)
    lag.close(watch)
    lag.stop()
    assert watch.max_seconds >= 0.08
    assert max(reported) >= 0.08
