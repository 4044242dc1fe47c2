"""Steps that take long are spread over iterations of the event loop."""

import asyncio
import time

import pytest

from prober.http_client.loop_budget import MAX_STEPS_SECONDS, LoopBudget


def takes(seconds: float) -> int:
    until, steps = time.thread_time() + seconds, 0
    while time.thread_time() < until:
        steps += 1
    return steps


async def test_steps_of_one_iteration_are_bounded() -> None:
    budget, iterations, done = LoopBudget(), [0], []

    def count() -> None:
        iterations[0] += 1
        asyncio.get_running_loop().call_soon(count)

    async def step() -> None:
        await budget.run(lambda: takes(MAX_STEPS_SECONDS / 2))
        done.append(iterations[0])

    count()
    await asyncio.gather(*(step() for _ in range(10)))
    assert max(done.count(each) for each in done) <= 3


async def test_short_steps_do_not_wait() -> None:
    budget = LoopBudget()
    with pytest.raises(StopIteration) as ended:
        budget.run(lambda: 7).send(None)
    assert ended.value.value == 7


async def test_a_step_that_raises_is_counted_and_raises() -> None:
    budget = LoopBudget()

    def fails() -> None:
        takes(MAX_STEPS_SECONDS)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await budget.run(fails)
    waiting = budget.run(lambda: 7)
    waiting.send(None)  # it waits for the next iteration
    waiting.close()
    await asyncio.sleep(0)
    assert await budget.run(lambda: 8) == 8
