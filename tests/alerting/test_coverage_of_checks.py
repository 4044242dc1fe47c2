"""Every built-in check is notified once, with its own culprit, and the page says so."""

import pytest

from tests.alerting.coverage import PAGE, Sent
from tests.alerting.coverage_of_checks import Key, checks, line, measured_checks

pytestmark = pytest.mark.prometheus


@pytest.fixture(scope="module")
def found() -> dict[Key, list[Sent]]:
    return measured_checks()


def test_every_check_is_notified_once(found: dict[Key, list[Sent]]) -> None:
    assert [key for key, sent in found.items() if len(sent) != 1] == []
    assert found.keys() == {key for key, _ in checks()}


def test_every_check_blames_its_culprit(found: dict[Key, list[Sent]]) -> None:
    for key, check in checks():
        assert [each.culprits for each in found[key]] == [(check.culprit.value,)]


def test_the_page_says_the_same(found: dict[Key, list[Sent]]) -> None:
    written = PAGE.read_text().splitlines()
    missing = [
        text for key, check in checks() if (text := line(key, check, found[key])) not in written
    ]
    assert missing == [], "run `make coverage`"
