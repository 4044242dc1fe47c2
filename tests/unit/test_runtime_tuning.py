import gc
import sys
import threading
import time
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


def median_wait_seconds() -> float:
    """Return how long one waits for the interpreter while another thread computes."""
    ended = threading.Event()

    def compute() -> None:
        while not ended.is_set():
            sum(range(1000))

    thread = threading.Thread(target=compute)
    thread.start()
    waits = []
    for _ in range(40):
        began = time.perf_counter()
        time.sleep(0.0005)
        waits.append(time.perf_counter() - began)
    ended.set()
    thread.join()
    return sorted(waits)[len(waits) // 2]


def test_a_thread_that_computes_hands_over_sooner() -> None:
    sys.setswitchinterval(0.005)
    before = median_wait_seconds()
    tune_gc_and_switch_interval()
    assert median_wait_seconds() < before / 2


def test_what_there_is_is_passed_over_by_the_collector() -> None:
    tune_gc_and_switch_interval()
    assert gc.get_freeze_count() > 1000
