import pytest

from prober.outcomes import Culprit, Reason, TokenEventKind
from prober.render.documents import TokenEventRecord
from prober.report.models import CulpritShare, GapCause
from prober.report.text import (
    GAPS,
    METHOD,
    describe_incident,
    describe_token_event,
    format_probes,
    pluralize,
    summary,
)
from prober.stats.aggregates import Aggregate
from prober.stats.incidents import Incident
from prober.stats.slo import availability_from_aggregate


def test_the_first_sentence_is_the_verdict_on_the_platform() -> None:
    kept = availability_from_aggregate(Aggregate({"ok": 990, "server_error": 10}), 0.995)
    shares = (
        CulpritShare(Culprit.PLATFORM, 2, 3900.0, 10),
        CulpritShare(Culprit.NETWORK, 1, 60.0, 1),
        CulpritShare(Culprit.PROBER, 0, 0.0, 1),
    )
    first = (
        "The platform missed its objective of 99.50 %: it was available in 99.00 % of the runs in"
        " which it was observed, 1,000 of 1,000 runs (100.00 %); 10 failed because of the platform,"
        " 5.0 allowed."
    )
    assert summary(kept, shares, 3600.0) == (
        first,
        "End-to-end availability was 99.00 %.",
        "Platform: 2 incidents of 1 h 5 min in total, 10 failed runs.",
        "Network path: 1 incident of 1 min in total, 1 failed run.",
        "Prober: 0 incidents, 1 failed run.",
        "There is no data for 1 h of this period.",
    )


def test_a_kept_objective_is_said_to_be_kept() -> None:
    [first, _] = summary(availability_from_aggregate(Aggregate({"ok": 1}), 0.995), (), 0.0)
    assert first.startswith("The platform met its objective of 99.50 %: it was available in 100")


def test_the_method_is_three_sentences() -> None:
    assert [text.count(". ") for text in METHOD] == [0, 0, 0]
    assert all(text.endswith(".") for text in METHOD)
    assert len(METHOD) == 3


def test_every_gap_has_words() -> None:
    assert set(GAPS) == set(GapCause)


@pytest.mark.parametrize(("number", "text"), [(0, "0 runs"), (1, "1 run"), (1234, "1,234 runs")])
def test_numbers_agree_with_their_nouns(number: int, text: str) -> None:
    assert pluralize(number, "run") == text


def test_incidents_and_tokens_are_told_in_words() -> None:
    incident = Incident(
        "acme",
        Culprit.NETWORK,
        0.0,
        None,
        1,
        ("a",),
        (Reason.DNS, Reason.PROXY),
        "",
        in_maintenance=True,
    )
    assert describe_incident(incident) == "DNS failure, refused by the proxy (in maintenance)"
    assert (
        describe_token_event(
            TokenEventRecord("acme", 0.0, TokenEventKind.ROTATED, None, None, None)
        )
        == "rotated"
    )
    assert format_probes([f"p{n}" for n in range(8)]) == "p0, p1, p2, p3, p4, p5 and 2 more"
