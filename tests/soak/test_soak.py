"""The soak itself: it says `flat` of what is, and would notice what is not."""

import pytest

from tests.soak.picture import picture
from tests.soak.run import Sample, judged

HOUR = 3600


def samples(grows_by: float) -> list[Sample]:
    """Return an hour of samples, the memory growing by so much from a warm-up on."""
    return [
        Sample(at, 80 + 10 * (at < 300) + grows_by * at / HOUR, 30 + at % 2, 9, 200 + at % 7)
        for at in range(0, HOUR, 5)
    ]


@pytest.mark.parametrize(("grows_by", "flat"), [(0.0, True), (1.0, True), (5.0, False)])
def test_memory_that_grows_is_noticed(grows_by: float, flat: bool) -> None:
    verdicts = {verdict.name: verdict for verdict in judged(samples(grows_by))}
    assert verdicts["resident_mib"].is_flat is flat
    assert verdicts["resident_mib"].slope_per_hour == pytest.approx(grows_by, abs=0.5)
    assert all(verdicts[name].is_flat for name in ("descriptors", "threads", "tasks"))


def test_the_picture_has_a_line_for_each_figure() -> None:
    text = picture(samples(0.0))
    assert text.count("<polyline") == 4
    assert "60 min" in text
