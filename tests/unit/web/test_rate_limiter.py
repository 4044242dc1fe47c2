from hypothesis import given
from hypothesis import strategies as st

from prober.web.auth import RateLimiter


def test_so_many_at_once_and_then_one_by_one() -> None:
    throttle = RateLimiter(3, 10.0)
    for _ in range(3):
        assert throttle.wait_seconds("a", 100.0) == 0
        throttle.charge("a", 100.0)
    assert throttle.wait_seconds("a", 100.0) == 10.0
    assert throttle.wait_seconds("a", 109.0) == 1.0
    assert throttle.wait_seconds("a", 110.0) == 0


def test_what_is_taken_back_was_never_counted() -> None:
    throttle = RateLimiter(1, 10.0)
    throttle.charge("a", 0.0)
    throttle.refund("a")
    throttle.refund("nobody")
    assert throttle.wait_seconds("a", 0.0) == 0


def test_each_is_counted_alone_until_the_table_is_full() -> None:
    throttle = RateLimiter(1, 10.0, max_keys=3)
    for who in ("a", "b", "c", "d"):
        throttle.charge(who, 0.0)
    assert throttle.wait_seconds("b", 0.0) == 10.0
    assert throttle.wait_seconds("e", 0.0) == 10.0  # as one with d
    throttle.charge("e", 20.0)  # all debts are paid
    assert throttle.wait_seconds("f", 20.0) == 0


@given(
    st.integers(1, 5),
    st.floats(0.1, 10),
    st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0, 5)), max_size=60),
)
def test_no_more_than_agreed_in_any_time_and_never_a_larger_table(
    burst: int, seconds_each: float, asked: list[tuple[str, float]]
) -> None:
    throttle = RateLimiter(burst, seconds_each, max_keys=4)
    now, done = 0.0, dict.fromkeys("abcdef", 0)
    for who, pause in asked:
        now += pause
        if throttle.wait_seconds(who, now) == 0:
            throttle.charge(who, now)
            done[who] += 1
        assert len(throttle) <= 5
    assert all(number <= burst + now / seconds_each + 1e-6 for number in done.values())
