"""How texts are prepared beside all else that the loop does."""

import asyncio

import pytest

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
@pytest.mark.parametrize("others_seconds", [0.0, 0.02])
async def test_others_have_a_turn_every_two_milliseconds(others_seconds: float) -> None:
    work = Work(STEPS)
    turns = await turns_until_prepared(work, others_seconds)
    assert turns == pytest.approx(STEPS * STEP_SECONDS / 0.002, abs=3)
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
