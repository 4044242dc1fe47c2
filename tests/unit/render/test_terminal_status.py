from dataclasses import replace
from typing import Any

from prober.models import HttpExchange
from prober.outcomes import FailureKind, TokenState
from prober.render.terminal import StatusRow, StatusTable, status_lines
from tests.unit.classifier.factories import a_failure, an_answer, an_envelope
from tests.unit.render.factories import a_result, a_timed_answer, lines_of

REJECTED = an_answer(401, an_envelope("error"))


def a_row(
    exchange: HttpExchange | None, tenant: str = "acme", probe: str = "datasets", **more: object
) -> StatusRow:
    verdict = None if exchange is None else a_result(exchange).verdict
    parts: dict[str, Any] = {
        "token_state": TokenState.VALID,
        "token_fingerprint": "1a2b3c4d",
        **more,
    }
    return StatusRow(tenant, "production", probe, verdict=verdict, **parts)


ROWS = (
    a_row(a_timed_answer()),
    a_row(a_failure(FailureKind.RESPONSE_TIMEOUT), probe="sources"),
    a_row(REJECTED, "legacy", token_state=TokenState.REJECTED),
    a_row(a_timed_answer(), "legacy", "sources", token_state=TokenState.REJECTED),
    a_row(None, "lab", token_state=TokenState.MISSING, token_fingerprint=None),
)
TABLE = """\
tenant, probe   verdict              responsible    server ms   network      own

acme  production  ✓ token valid 1a2b3c4d
  datasets      ✓ ok                 -                  150.0      87.7      0.0
  sources       ? response_timeout   undecided              -         -      0.0

legacy  production  ✗ token rejected 1a2b3c4d
  datasets      ✗ token_rejected     credential          37.7     462.3      0.0
  sources       · paused (token rejected)

lab  production  ! token missing
  datasets      · waiting"""


def test_the_table_shows_each_tenant_with_its_token_and_its_probes() -> None:
    assert "\n".join(lines_of(StatusTable(ROWS))) == TABLE


def test_a_long_name_gives_way_to_the_numbers() -> None:
    row = a_row(a_timed_answer(), probe="a-very-long-name-of-a-probe")
    lines = lines_of(StatusTable([row]), 80)
    assert lines[-1].startswith("  a-very-long")
    assert lines[-1].endswith("150.0      87.7      0.0")
    assert max(map(len, lines)) <= 80


def test_a_narrow_terminal_cuts_and_never_folds() -> None:
    lines = lines_of(StatusTable(ROWS), 40)
    assert len(lines) == len(TABLE.splitlines())
    assert max(map(len, lines)) <= 40


def test_a_terminal_without_unicode_gets_other_signs() -> None:
    assert "".join(lines_of(StatusTable(ROWS), encoding="ascii")).isascii()


def test_no_rows_make_a_table_of_titles() -> None:
    assert len(lines_of(StatusTable([]))) == 1


def test_each_row_has_a_plain_line() -> None:
    first = replace(ROWS[0], token_fingerprint="x")
    assert status_lines((first, *ROWS[1:])) == (
        (
            "acme (production) datasets: success: ok;"
            " server 150.0 ms, network 87.7 ms, own 0.0 ms; token valid x"
        ),
        "acme (production) sources: platform or network: response_timeout; token valid 1a2b3c4d",
        (
            "legacy (production) datasets: credential: token_rejected;"
            " server 37.7 ms, network 462.3 ms, own 0.0 ms; token rejected 1a2b3c4d"
        ),
        "legacy (production) sources: paused (token rejected); token rejected 1a2b3c4d",
        "lab (production) datasets: waiting; token missing",
    )


def test_a_long_verdict_is_cut_in_ascii_without_unicode() -> None:
    rows = [a_row(an_answer(403, an_envelope("error")), probe="x" * 60)]
    lines = lines_of(StatusTable(rows), 60, encoding="ascii")
    assert "".join(lines).isascii()
    assert max(map(len, lines)) <= 60
