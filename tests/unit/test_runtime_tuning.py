import gc
import sys
from collections.abc import Iterator

import pytest

from prober.daemon import tune_gc_and_switch_interval


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    interval, threshold = sys.getswitchinterval(), gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)
    sys.setswitchinterval(interval)


def test_a_thread_that_computes_hands_over_sooner() -> None:
    sys.setswitchinterval(0.005)
    tune_gc_and_switch_interval()
    assert sys.getswitchinterval() < 0.001


def test_what_there_is_is_passed_over_by_the_collector() -> None:
    tune_gc_and_switch_interval()
    assert gc.get_freeze_count() > 1000
