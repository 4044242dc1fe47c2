import gc
import sys
from collections.abc import Iterator

import pytest

from prober.interpreter import let_the_loop_run


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    interval, threshold = sys.getswitchinterval(), gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)
    sys.setswitchinterval(interval)


def test_a_thread_that_computes_hands_over_sooner() -> None:
    sys.setswitchinterval(0.005)
    let_the_loop_run()
    assert sys.getswitchinterval() < 0.001


def test_what_there_is_is_passed_over_by_the_collector() -> None:
    let_the_loop_run()
    assert gc.get_freeze_count() > 1000
