import re

from hypothesis import example, given
from hypothesis import strategies as st

from prober.models import CheckKind
from prober.render.checks import ValueSeries
from prober.render.value_lines import HEIGHT, WIDTH, by_key, value_line_svg

FINITE = st.floats(-1e300, 1e300)


def a_series(*points: tuple[float, float], kind: CheckKind = CheckKind.NUMBER) -> ValueSeries:
    return ValueSeries("quotas", "used", "<users>", kind, points)


def drawn(series: ValueSeries | None, step: int = 900) -> str:
    return str(value_line_svg(series, 0.0, 9000.0, step))


def test_a_line_says_its_range_and_escapes_names() -> None:
    svg = drawn(a_series((0.0, 1.0), (900.0, 3.0), (1800.0, 2.0)))
    assert 'aria-label="used &lt;users&gt;: from 1 to 3"' in svg
    assert re.findall(r"[ML][^ML\"]+", svg) == ["M0.0 26.0", "L24.0 2.0", "L48.0 14.0"]


def test_a_gap_breaks_the_line() -> None:
    svg = drawn(a_series((0.0, 1.0), (900.0, 1.0), (4500.0, 1.0), (5400.0, 1.0)))
    assert re.findall("[ML]", svg.partition(' d="')[2]) == ["M", "L", "M", "L"]


def test_the_age_of_a_timestamp_is_drawn() -> None:
    svg = drawn(a_series((3600.0, 0.0), (7200.0, 0.0), kind=CheckKind.TIMESTAMP))
    assert "from 60 min to 2 h" in svg


def test_one_value_is_no_line() -> None:
    assert drawn(None) == drawn(a_series()) == drawn(a_series((0.0, 1.0))) == ""


def test_series_are_found_by_probe_check_and_item() -> None:
    series = a_series()
    assert by_key([series]) == {("quotas", "used", "<users>"): series}


@example([(0.0, 0.0), (900.0, 5e-324)], CheckKind.NUMBER)  # half of the least number is zero
@given(st.lists(st.tuples(st.floats(0, 9000), FINITE), min_size=2), st.sampled_from(CheckKind))
def test_every_line_stays_in_the_picture(
    points: list[tuple[float, float]], kind: CheckKind
) -> None:
    svg = drawn(a_series(*sorted(points), kind=kind))
    for x, y in re.findall(r"[ML]([\d.e+-]+) ([\d.e+-]+)", svg):
        assert 0 <= float(x) <= WIDTH
        assert 0 <= float(y) <= HEIGHT
