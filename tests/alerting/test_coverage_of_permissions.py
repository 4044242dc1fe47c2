"""A lost permission is notified once, whatever it does to the probe, and the page says so."""

import pytest

from tests.alerting.coverage import PAGE, Sent
from tests.alerting.coverage_of_permissions import EFFECTS, line, measured_permissions

pytestmark = pytest.mark.prometheus


@pytest.fixture(scope="module")
def found() -> dict[str, list[Sent]]:
    return measured_permissions()


def test_a_lost_permission_is_notified_once(found: dict[str, list[Sent]]) -> None:
    assert {effect: len(sent) for effect, sent in found.items()} == dict.fromkeys(EFFECTS, 1)
    assert {each.culprits for sent in found.values() for each in sent} == {("credential",)}


def test_the_page_says_the_same(found: dict[str, list[Sent]]) -> None:
    written = PAGE.read_text().splitlines()
    missing = [text for effect in EFFECTS if (text := line(effect, found[effect])) not in written]
    assert missing == [], "run `make coverage`"
