"""`prober report` within the test's process: what it says where it cannot report."""

import json
import re
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from prober.cli.main import main
from tests.unit.report.factories import write_the_day

SETTINGS = """
state: {directory: state}
tenants:
  - {name: acme-prod, organisation: acme, tenant: prod, token: {env: A}, probes: [datasets]}
  - {name: other, organisation: acme, tenant: other, token: {env: B}, probes: [datasets]}
"""
SPAN = ("--since", "2025-03-05T09:30", "--until", "2025-03-05T10:00")


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "prober.yaml"
    file.write_text(SETTINGS)
    write_the_day(tmp_path / "state", range(9 * 60 + 36, 9 * 60 + 45))
    return file


def run(settings: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["report", *arguments, "--config", str(settings)])


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("acme-prd",), 2, "did you mean 'acme-prod'?"),
        (("acme-prod", "--since", "tomorrow"), 2, "--since: 'tomorrow': write how long ago"),
        (("acme-prod", "--until", "9"), 2, "--until: '9': write how long ago"),
        (("acme-prod", "--since", "1h", "--until", "2h"), 2, "the span is empty"),
        (("acme-prod", "--since", "9999-01-01"), 2, "the span begins in the future"),
        (("acme-prod", "--timezone", "Mars"), 2, "there is no time zone 'Mars'"),
        (("acme-prod", "--format", "xml"), 2, "'xml' is not one of 'md', 'html', 'json', 'pdf'"),
        (("acme-prod", "--since", "2025-01-01", "--until", "2025-01-02"), 1, "no data for"),
        (("other", *SPAN), 1, "the history begins at 2025-03-05 09:30:00Z"),
        (("acme-prod", *SPAN, "--format", "pdf"), 2, "a PDF goes to a file"),
        ((), 2, "write the name of a tenant, or --all"),
        (("acme-prod", "--all"), 2, "write the name of a tenant, or --all"),
        (("--verify", __file__), 2, "it is no JSON report"),
        (("acme-prod", *SPAN, "--output", "r.xml"), 2, "'r.xml': the suffix is of no format: use"),
        (("acme-prod", *SPAN, "--output", "r.htlm"), 2, "or add --format md|html|json|pdf"),
        (("acme-prod", *SPAN, "--output", "/nowhere/x.md"), 2, "No such file or directory"),
    ],
)
def test_what_cannot_be_reported_is_said(
    settings: Path, arguments: tuple[str, ...], status: int, says: str
) -> None:
    done = run(settings, *arguments)
    assert done.exit_code == status
    assert says in " ".join(done.stderr.replace("│", "").split())
    assert done.stdout == ""


def test_without_a_history_it_says_where_there_is_none(settings: Path) -> None:
    (settings.parent / "state" / "history.sqlite3").unlink()
    done = run(settings, "acme-prod")
    assert done.exit_code == 1
    assert f"there is no history in {settings.parent}/state that" in done.stderr
    (settings.parent / "state" / "history.sqlite3").mkdir()
    assert run(settings, "acme-prod").exit_code == 1


def test_with_the_history_off_it_says_so(settings: Path) -> None:
    settings.write_text("history: {enabled: false}\n" + SETTINGS)
    done = run(settings, "acme-prod")
    assert done.exit_code == 1
    assert "history.enabled is false" in done.stderr


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("a.md", "# acme-prod"),
        ("a.HTML", "<!DOCTYPE html>"),
        ("a.json", '{"schema_version": 1'),
        ("a", "# acme-prod"),
    ],
)
def test_the_name_of_the_file_says_the_format(settings: Path, name: str, begins: str) -> None:
    file = settings.parent / name
    done = run(settings, "acme-prod", *SPAN, "--output", str(file))
    assert (done.exit_code, done.stdout) == (0, "")
    assert file.read_text().startswith(begins)


def test_the_charts_of_markdown_are_files_beside_it(settings: Path) -> None:
    file = settings.parent / "a report.md"
    assert run(settings, "acme-prod", *SPAN, "--output", str(file)).exit_code == 0
    links = re.findall(r"!\[.*\]\((.*)\)", file.read_text())
    assert "a%20report-latency.svg" in links
    for link in links:
        drawing = ET.fromstring((settings.parent / unquote(link)).read_text())  # noqa: S314 -- ours
        assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(links) == 4


def test_a_report_that_was_changed_is_found(settings: Path) -> None:
    file = settings.parent / "a.json"
    run(settings, "acme-prod", *SPAN, "--output", str(file))
    assert "unchanged, SHA-256 of the data" in run(settings, "--verify", str(file)).stdout
    file.write_text(file.read_text().replace('"platform_failures": 12', '"platform_failures": 2'))
    done = run(settings, "--verify", str(file))
    assert done.exit_code == 1
    assert "was changed since it was written" in done.stderr


def test_the_digest_is_the_same_in_every_format(settings: Path) -> None:
    document = json.loads(run(settings, "acme-prod", *SPAN, "--format", "json").stdout)
    assert re.fullmatch("[0-9a-f]{64}", document["data_sha256"])
    assert document["vantage"]["host"]
    assert [each["interval_seconds"] for each in document["cadence"]] == [60.0]


def test_all_tenants_are_ranked_in_one_document(settings: Path) -> None:
    span = (*SPAN, "--location", "Frankfurt")
    text = run(settings, "--all", *span).stdout
    assert "| acme-prod" in text
    assert "Without data in this period: other." in text
    assert "(Frankfurt)" in text
    document = json.loads(run(settings, "--all", *span, "--format", "json").stdout)
    assert [each["tenant"] for each in document["tenants"]] == ["acme-prod"]
    assert document["tenants"][0]["main_culprit"] == "platform"
    file = settings.parent / "all.html"
    assert run(settings, "--all", *span, "--output", str(file)).exit_code == 0
    assert '<th scope="row">acme-prod</th>' in file.read_text()


def test_without_chromium_a_pdf_says_what_to_do(
    settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    done = run(settings, "acme-prod", *SPAN, "--output", str(settings.parent / "a.pdf"))
    assert done.exit_code == 2
    assert "write --output FILE.html" in " ".join(done.stderr.replace("│", "").split())


@pytest.mark.chromium
def test_a_pdf_is_printed_by_chromium(settings: Path) -> None:
    file = settings.parent / "a.pdf"
    assert run(settings, "acme-prod", *SPAN, "--output", str(file)).exit_code == 0
    assert file.read_bytes().startswith(b"%PDF-")


def test_a_format_that_is_named_needs_no_suffix(settings: Path) -> None:
    file = settings.parent / "a.txt"
    done = run(settings, "acme-prod", *SPAN, "--format", "md", "--output", str(file))
    assert done.exit_code == 0
    assert file.read_text().startswith("# acme-prod")


def test_moments_are_read_on_the_clock_that_they_are_told_on(settings: Path) -> None:
    span = ("--since", "2025-03-05T15:00", "--until", "2025-03-05T15:30")
    done = run(settings, "acme-prod", *span, "--timezone", "Asia/Kolkata", "--format", "json")
    document = json.loads(done.stdout)
    assert document["time_zone"] == "Asia/Kolkata"
    assert document["availability"]["platform_failures"] == 12
