"""While no reference is reachable one alert replaces those of the tenants, and the page says so."""

import pytest

from tests.alerting.coverage import PAGE, Sent
from tests.alerting.coverage_of_references import CASES, line, measured_references

pytestmark = pytest.mark.prometheus


@pytest.fixture(scope="module")
def found() -> dict[tuple[str, str], list[Sent]]:
    return measured_references()


def test_without_any_reference_there_is_one_notification_about_the_network(
    found: dict[tuple[str, str], list[Sent]],
) -> None:
    for (failing, reachable), sent in found.items():
        if reachable == "none":
            [note] = sent
            assert note.alerts == ("ProberReferencesUnreachable",), failing
            assert (note.severity, note.culprits) == ("page", ("network",))


def test_reachable_references_hide_nothing(found: dict[tuple[str, str], list[Sent]]) -> None:
    for (failing, reachable), sent in found.items():
        if reachable != "none":
            assert len(sent) == (failing != "nothing"), (failing, reachable)
            assert all("ProberReferencesUnreachable" not in note.alerts for note in sent)


def test_the_page_says_the_same(found: dict[tuple[str, str], list[Sent]]) -> None:
    written = PAGE.read_text().splitlines()
    missing = [text for case in CASES if (text := line(case, found[case])) not in written]
    assert missing == [], "run `make coverage`"
