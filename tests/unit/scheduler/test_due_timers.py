import asyncio

import pytest

from prober.scheduler.due_timers import DueTimers
from tests.virtual_time import in_virtual_time, running_loop

Calls = list[tuple[str, str, float, float]]


def recording(calls: Calls) -> DueTimers[str]:
    """Return timers that note (key, name, when it was due, when it was called)."""
    return DueTimers(
        lambda key, name, due_at: calls.append((key, name, due_at, running_loop().time()))
    )


@in_virtual_time
async def test_each_is_called_at_its_time_whatever_the_order() -> None:
    calls: Calls = []
    timers, began = recording(calls), running_loop().time()
    for number, after in enumerate((0.3, 0.1, 0.2, 0.1, -1.0)):
        timers.add(began + after, "acme", f"{number}")
    assert len(timers) == 5
    await asyncio.sleep(1.0)
    assert [name for _, name, *_ in calls] == ["4", "1", "3", "2", "0"]
    assert [called - began for *_, called in calls] == pytest.approx([0.0, 0.1, 0.1, 0.2, 0.3])
    assert len(timers) == 0


@in_virtual_time
async def test_times_of_a_key_are_dropped_and_others_stay() -> None:
    calls: Calls = []
    timers, began = recording(calls), running_loop().time()
    for after in (0.1, 0.2, 0.3):
        timers.add(began + after, "acme", "a")
        timers.add(began + after, "beta", "b")
    await asyncio.sleep(0.15)
    timers.drop("acme")
    await asyncio.sleep(1.0)
    assert [key for key, *_ in calls] == ["acme", "beta", "beta", "beta"]
    timers.add(began + 2.0, "acme", "a")
    timers.clear()
    await asyncio.sleep(5.0)
    assert len(calls) == 4


@in_virtual_time
async def test_a_call_may_add_and_drop() -> None:
    calls: list[str] = []

    def on_due(key: str, name: str, due_at: float) -> None:
        calls.append(name)
        if len(calls) < 3:
            timers.add(due_at + 0.1, key, f"{name}+")
        else:
            timers.drop(key)

    timers: DueTimers[str] = DueTimers(on_due)
    timers.add(running_loop().time() + 0.1, "acme", "a")
    timers.add(running_loop().time() + 9.0, "acme", "late")
    await asyncio.sleep(20.0)
    assert calls == ["a", "a+", "a++"]


@in_virtual_time
async def test_one_that_raises_keeps_no_other_from_its_time() -> None:
    calls: list[str] = []
    errors: list[object] = []
    running_loop().set_exception_handler(lambda _, context: errors.append(context["exception"]))

    def on_due(_: str, name: str, due_at: float) -> None:
        calls.append(name)
        if name == "bad":
            raise ValueError(f"{due_at}")

    timers: DueTimers[str] = DueTimers(on_due)
    for name in ("bad", "good"):
        timers.add(running_loop().time() + 0.1, "acme", name)
    await asyncio.sleep(1.0)
    assert calls == ["bad", "good"]
    assert len(errors) == 1
