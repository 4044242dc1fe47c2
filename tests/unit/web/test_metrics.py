"""How texts are prepared beside all else that the loop does."""

import asyncio

from prober.web.metrics import warm_up
from tests.virtual_time import in_virtual_time, running_loop

STEPS = 200
STEP_SECONDS = 0.0002


class Work:
    """So many steps, each of which takes its time."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def step(self) -> int:
        running_loop().advance(STEP_SECONDS)
        self.left -= 1
        return self.left


async def turns_until_prepared(work: Work, others_seconds: float) -> int:
    """Return how many turns of the loop it takes, beside others who take so long for each."""
    preparing, turns = asyncio.create_task(warm_up(work.step)), 0
    while not preparing.done():
        running_loop().advance(others_seconds)
        turns += 1
        await asyncio.sleep(0)
    return turns


@in_virtual_time
async def test_on_an_idle_loop_everybody_has_a_turn_every_half_millisecond() -> None:
    work = Work(STEPS)
    assert await turns_until_prepared(work, 0.0) >= STEPS / 5
    assert work.left == 0


@in_virtual_time
async def test_on_a_busy_loop_it_comes_to_an_end() -> None:
    work = Work(STEPS)
    assert await turns_until_prepared(work, 0.02) <= STEPS / 4
    assert work.left == 0


@in_virtual_time
async def test_changes_that_never_end_are_not_waited_for() -> None:
    class Endless(Work):
        def step(self) -> int:
            self.left -= 1
            return STEPS

    work = Endless(0)
    await warm_up(work.step)
    assert work.left == -STEPS - 1
