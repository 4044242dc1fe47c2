import re
from dataclasses import replace
from typing import Any

import pytest

from prober.classifier.checks import evaluate, with_failures
from prober.classifier.rules import CHECK_FAILED_RULE, classify
from prober.models import Check, CheckKind, Expectations, HttpExchange
from prober.outcomes import FailureKind
from prober.render.terminal import VerdictView, deciding_rule
from tests.unit.classifier.factories import (
    SERVER_TIMING,
    Specimen,
    a_failure,
    an_answer,
    an_envelope,
    specimens,
)
from tests.unit.render.factories import TOKEN, a_timed_answer, lines_of

NOTHING = Expectations()


def shown(
    exchange: HttpExchange,
    width: int = 120,
    encoding: str = "utf-8",
    **more: Any,  # noqa: ANN401 -- whatever fields a view has
) -> str:
    verdict, row = classify(exchange, NOTHING), deciding_rule(exchange, NOTHING)
    view = replace(VerdictView("acme / datasets", exchange, verdict, row), **more)
    return "\n".join(lines_of(view, width, encoding))


def squeezed(text: str) -> str:
    return re.sub("  +", "  ", text)


def test_the_culprit_comes_first_and_the_evidence_next() -> None:
    exchange = an_answer(500, an_envelope("error", message="it broke"))
    first, second = shown(exchange).splitlines()[:2]
    assert first.startswith("✗ platform: server_error ")
    assert first.endswith(" acme / datasets")
    assert second == '  HTTP 500 with an error envelope: the platform failed; message: "it broke"'


@pytest.mark.parametrize(
    ("exchange", "detail"),
    [
        (an_answer(500, an_envelope("error")), "response from  the platform"),
        (an_answer(502, b"<html>", ()), "response from  an intermediary, not the platform"),
        (a_failure(FailureKind.DNS), "response from  nobody"),
        (an_answer(404, an_envelope("error")), "outcome  api_error, reason client_error"),
        (an_answer(500, an_envelope("error")), "rule  11: platform: 5xx"),
        (a_failure(FailureKind.RESPONSE_TIMEOUT), "next step  compare with a second location"),
        (an_answer(headers=(SERVER_TIMING, ("CF-Ray", "8f-CDG"))), "cf ray  8f-CDG"),
        (an_answer(), "request  GET https://cloud.uipath.com/acme/prod/reinfer_/"),
    ],
    ids=["platform", "intermediary", "nobody", "outcome", "row", "next", "fact", "request"],
)
def test_it_says_what_the_verdict_rests_on(exchange: HttpExchange, detail: str) -> None:
    assert detail in squeezed(shown(exchange))


def test_a_success_asks_for_nothing() -> None:
    assert "next" not in shown(an_answer())


def test_the_token_is_known_by_its_fingerprint() -> None:
    assert "token  1a2b3c4d from env ACME_TOKEN" in squeezed(shown(an_answer(), token=TOKEN))


def test_a_reused_connection_is_told() -> None:
    exchange = replace(an_answer(), remote_address="127.0.0.1:443", connection_reused=True)
    assert "connected to  127.0.0.1:443 (connection reused)" in squeezed(shown(exchange))


def test_notes_stand_beside_the_evidence() -> None:
    assert "  note: two heads" in shown(an_answer(), notes=("two heads",))


def test_the_waterfall_follows_where_there_are_times() -> None:
    assert "█ server 150.0 ms" in shown(a_timed_answer())
    assert "not split" not in shown(replace(a_timed_answer(), phases=an_answer().phases))


def test_without_a_total_only_the_servers_time_is_told() -> None:
    exchange = an_answer(total_seconds=0.0)
    verdict = classify(exchange, NOTHING)
    latency = replace(verdict.latency, server_seconds=0.0377, anomaly=None)
    text = shown(exchange, verdict=replace(verdict, latency=latency))
    assert "server time  37.7 ms; not split, since the recording has no total" in squeezed(text)


def test_control_characters_of_a_stranger_never_reach_the_terminal() -> None:
    exchange = replace(an_answer(), url="https://x/\x1b[2Jy\nz", remote_address="\x1b]0;title\x07")
    assert "\x1b" not in shown(exchange, subject="a\x1b[2Jb", notes=("\x1b[31m",))


def test_markup_of_a_stranger_is_shown_as_it_is() -> None:
    exchange = an_answer(500, an_envelope("error", message="[bold]x[/bold] [/nonsense]"))
    assert "[bold]x[/bold] [/nonsense]" in shown(exchange)


def test_a_terminal_without_unicode_gets_other_signs() -> None:
    assert shown(a_timed_answer(), encoding="ascii").isascii()


def test_nothing_is_wider_than_the_console() -> None:
    exchange = an_answer(302, b"", (("Location", "/portal_/" + "x" * 400),))
    assert max(map(len, shown(exchange, 60).splitlines())) <= 60


@pytest.mark.parametrize("specimen", specimens(), ids=lambda specimen: specimen.name)
def test_the_row_shown_is_the_row_that_decided(specimen: Specimen) -> None:
    row = deciding_rule(specimen.exchange, specimen.expectations)
    verdict = classify(specimen.exchange, specimen.expectations)
    assert (row.number, row.reason) == (verdict.rule, verdict.reason)


def test_checks_are_listed_with_their_values_the_failed_ones_first() -> None:
    checks = (
        Check("rows", CheckKind.COUNT, "rows", min=1),
        Check("age", CheckKind.TIMESTAMP, "at", max_age_seconds=3600.0, phrase="last seen"),
    )
    exchange = a_timed_answer()
    found = evaluate(checks, {"rows": [1], "at": 0}, 10_800.0)
    verdict = with_failures(classify(exchange, Expectations()), found)
    view = VerdictView("acme / datasets", exchange, verdict, CHECK_FAILED_RULE)
    lines = [" ".join(line.split()) for line in lines_of(view)]
    assert lines[0].endswith("acme / datasets")
    assert "check_failed" in lines[0]
    age = next(n for n, line in enumerate(lines) if "age last seen 3 h ago, limit 1 h" in line)
    rows = next(n for n, line in enumerate(lines) if "rows rows is 1" in line)
    assert age < rows
    assert any(line.startswith("rule 13a: ") for line in lines)
