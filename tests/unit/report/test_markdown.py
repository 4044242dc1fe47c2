"""The report as Markdown, compared whole.

`python -m tests.unit.report.test_markdown` writes the specimen anew.
"""

import re
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.history.annotations import IncidentNote
from prober.models import CheckKind
from prober.outcomes import RejectionCause, TokenEventKind
from prober.render.checks import ValueRange
from prober.render.documents import TokenEventRecord
from prober.report.markdown import code, render_markdown, table
from prober.report.models import Report, SupplierFinding
from prober.status_page import PublishedStatus, SupplierIncident, supplier_account
from tests.unit.report.factories import DAY, write_the_day
from tests.unit.report.report_factory import a_report

SPECIMEN = Path(__file__).parents[2] / "fixtures" / "report" / "morning.md"
PAGE = "https://status.example"
HOSTILE = "`` ` | <img src=x onerror=alert(1)> [a](javascript:1)\n# no heading\n| a |"


def morning(directory: Path, zone: str = "UTC") -> Report:
    """Return half an hour with an incident, of which the last quarter is not known."""
    write_the_day(directory, range(9 * 60 + 36, 9 * 60 + 45))
    return a_report(directory, DAY + 9.5 * 3600, DAY + 10 * 3600, zone)


def without_checksum(text: str) -> str:
    """Return a report without the hash of its data: sums differ in their last bit from 3.12 on."""
    return re.sub("`[0-9a-f]{64}`", "`SHA-256`", text)


def test_it_reads_as_the_specimen_does(tmp_path: Path) -> None:
    text = render_markdown(morning(tmp_path))
    assert without_checksum(text) == without_checksum(SPECIMEN.read_text())


def test_moments_stand_on_the_clock_that_was_asked_for(tmp_path: Path) -> None:
    text = render_markdown(morning(tmp_path, "Asia/Kolkata"))
    assert "From 2025-03-05 15:00:00+05:30 to 2025-03-05 15:30:00+05:30 (30 min)" in text
    assert not re.search(r"\d\dZ", text)


def test_what_is_foreign_stays_within_its_code_span(tmp_path: Path) -> None:
    made = morning(tmp_path)
    call = replace(made.failed_requests[0], message=HOSTILE, evidence=HOSTILE, url=HOSTILE)
    incident = replace(made.incidents[0], evidence=HOSTILE, probes=("a|b",))
    note = TokenEventRecord("acme", DAY, TokenEventKind.MISSING, None, None, HOSTILE)
    hostile = replace(made, failed_requests=(call,), incidents=(incident,), token_events=(note,))
    text = render_markdown(hostile)
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    assert "onerror" in text
    assert "onerror" not in outside
    assert "# no heading" not in outside
    assert "| a\\|b " in text


def test_what_happened_to_the_token_is_told(tmp_path: Path) -> None:
    events = (
        TokenEventRecord(
            "acme", DAY, TokenEventKind.REJECTED, "0123abcd", RejectionCause.SUPERSEDED, None
        ),
        TokenEventRecord("acme", DAY, TokenEventKind.MISSING, None, None, "no such file"),
    )
    text = render_markdown(replace(morning(tmp_path), token_events=events))
    assert "- 2025-03-05 00:00:00Z: rejected: replaced elsewhere, fingerprint 0123abcd\n" in text
    assert "- 2025-03-05 00:00:00Z: missing, `no such file`\n" in text


def test_what_the_supplier_published_is_told_in_its_own_words(tmp_path: Path) -> None:
    report = morning(tmp_path)
    hostile = SupplierIncident(
        "a", f"Errors {HOSTILE}", "major", "monitoring", DAY, f"{PAGE}/incidents/a", ()
    )
    statuses = (
        PublishedStatus(report.since, report.since + 600, PAGE, None, (hostile,)),
        PublishedStatus(report.since + 660, report.since + 900, PAGE, f"HTTP 502 {HOSTILE}"),
        PublishedStatus(report.since + 960, report.until, PAGE),
    )
    account = supplier_account(statuses, report.since, report.until)
    assert account is not None
    findings = (
        SupplierFinding(1, account.finding, 0.0, is_known_whole=False),
        SupplierFinding(
            2, "The supplier published no incident during this time.", None, is_known_whole=True
        ),
    )
    text = render_markdown(replace(report, supplier=account, supplier_findings=findings))
    section = text.partition("## The supplier's status page")[2].partition("## Method")[0]
    assert "- Seen 2025-03-05 09:30:00Z, until 2025-03-05 09:46:00Z: `" in section
    assert "The supplier published 1 incident during this time; its status page could" in section
    assert "- Incident 2: The supplier published no incident during this time.\n" in section
    assert "- From 2025-03-05 09:41:00Z to 2025-03-05 09:46:00Z: `" in section
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    assert "onerror" not in outside


def test_without_a_status_page_nothing_is_said_of_it(tmp_path: Path) -> None:
    assert "status page" not in render_markdown(morning(tmp_path))


def test_the_values_of_checks_are_a_table(tmp_path: Path) -> None:
    values = (
        ValueRange("quotas", "quota-used", f"a|b {HOSTILE}", CheckKind.NUMBER, 0.5, 0.925, 0.9),
        ValueRange("status", "stuck", "", CheckKind.BOOLEAN, 0.0, 1.0, 1.0),
        ValueRange("sync", "age", "x", CheckKind.TIMESTAMP, DAY, DAY, DAY + 60),
    )
    text = render_markdown(replace(morning(tmp_path), values=values))
    table = text.partition("## Values in responses")[2].partition("## Method")[0]
    words = " ".join(table.split())
    assert "| status | stuck | - | false | true | true |" in words
    assert "| 0.5 | 0.925 | 0.9 |" in words
    assert "2025-03-05 00:01:00Z |" in words
    assert len(table.strip().splitlines()) == 5
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", table)
    assert "onerror" not in outside


def test_notes_are_listed_with_their_incident(tmp_path: Path) -> None:
    made = morning(tmp_path)
    note = IncidentNote(made.incidents[0].id, DAY, "alice", HOSTILE, acknowledges=True)
    text = render_markdown(replace(made, notes=(note,)))
    assert "`Incident 1, acknowledged by alice`: " in text
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    assert "onerror" not in outside


def test_where_there_is_nothing_it_says_so(tmp_path: Path) -> None:
    made = replace(
        morning(tmp_path), incidents=(), failed_requests=(), slow_requests=(), gaps=(), gap_count=0
    )
    text = render_markdown(made)
    assert "## Incidents\n\nNone.\n" in text
    assert "## Failed requests\n\nNone.\n" in text
    assert "## Slowest requests\n\nNone.\n" in text
    assert "No gap of 2 min or more." in text
    since = replace(made, failures_known_since=DAY)
    assert "from before 2025-03-05 00:00:00Z: deleted for lack of room" in render_markdown(since)


def test_the_facts_of_every_request_belong_to_its_item(tmp_path: Path) -> None:
    made = morning(tmp_path)
    text = render_markdown(replace(made, failed_requests=made.failed_requests[:1] * 120))
    failed = text.partition("## Failed requests")[2].partition("## Slowest")[0]
    width = 0
    for line in failed.splitlines()[3:]:
        item = re.match(r"\d+\. ", line)
        width = len(item[0]) if item else width
        assert item or not line or re.match(f" {{{width}}}- ", line), line
    assert "100. " in failed


@given(st.text(max_size=80))
def test_a_code_span_ends_where_it_should(text: str) -> None:
    span = code(text)
    fence = re.match("`+", span)
    assert fence is not None
    assert "\n" not in span
    inside = span[len(fence[0]) : -len(fence[0])]
    assert span.endswith(fence[0])
    assert fence[0] not in re.findall("`+", inside)


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        ([("a", "1 ms")], ["| x   |    n |", "| --- | ---: |", "| a   | 1 ms |"]),
        ([("|", "-")], ["| x   |   n |", "| --- | --: |", "| \\|  |   - |"]),
        ([("a\nb", "c")], ["| x   | n   |", "| --- | --- |", "| a b | c   |"]),
        ([], ["| x   | n   |", "| --- | --- |"]),
    ],
)  # fmt: skip
def test_columns_are_aligned_as_text(rows: list[tuple[str, str]], lines: list[str]) -> None:
    assert list(table(("x", "n"), rows)) == lines


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        SPECIMEN.write_text(render_markdown(morning(Path(directory))))
