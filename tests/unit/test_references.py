"""What a check of a reference proves, and what references say of a verdict."""

from dataclasses import replace

import pytest

from prober.models import Failure, HttpExchange, Response, Verdict
from prober.outcomes import Culprit, FailureKind
from prober.references import (
    ReferenceStatus,
    next_status,
    reference_problem,
    with_references,
)
from tests.unit.metrics.factories import a_failure, an_answer

URL = "https://reference.example/health"
NOW = 1_000_000.0


def exchange(status: int = 200, **headers: str) -> HttpExchange:
    pairs = tuple(headers.items())
    return HttpExchange("HEAD", URL, 0.1, response=Response(status, pairs, b""))


@pytest.mark.parametrize(
    ("came", "problem"),
    [
        (exchange(200), None),
        (exchange(204), None),
        (exchange(404), None),
        (exchange(405), None),
        (exchange(301, Location="/other"), None),
        (exchange(308, Location="https://reference.example/other"), None),
        (exchange(302), None),
        (exchange(304), None),
        (exchange(302, Location="https://portal.example/login"), "another host, portal.example"),
        (exchange(302, Location="//portal.example"), "another host, portal.example"),
        (exchange(302, Location="http://[broken"), "not a URL"),
        (exchange(502), "HTTP 502"),
        (exchange(503), "HTTP 503"),
    ],
)
def test_what_a_response_proves(came: HttpExchange, problem: str | None) -> None:
    found = reference_problem(URL, came)
    assert found is None if problem is None else found is not None and problem in found


def test_a_failure_is_named_in_one_bounded_line() -> None:
    failure = Failure(FailureKind.DNS, "no\nsuch " + "host" * 500)
    found = reference_problem(URL, HttpExchange("HEAD", URL, 0.1, failure=failure))
    assert found is not None
    assert found.startswith("no such host")
    assert len(found) <= 200


def test_a_hostile_location_is_one_bounded_line() -> None:
    found = reference_problem(URL, exchange(302, Location="https://x" + "y" * 5000 + ".example/"))
    assert found is not None
    assert len(found) <= 200


def test_since_is_kept_while_the_state_is_the_same() -> None:
    first = next_status(URL, None, None, 1.0)
    second = next_status(URL, first, None, 2.0)
    third = next_status(URL, second, "no", 3.0)
    fourth = next_status(URL, third, "still no", 4.0)
    assert [each.since for each in (first, second, third, fourth)] == [1.0, 1.0, 3.0, 3.0]
    assert fourth.problem == "still no"


def statuses(*reachable: bool, age: float = 20.0) -> tuple[ReferenceStatus, ...]:
    return tuple(
        ReferenceStatus(f"{URL}/{number}", NOW - age, None if is_ok else "no", NOW - age)
        for number, is_ok in enumerate(reachable)
    )


def verdict() -> Verdict:
    return a_failure(FailureKind.CONNECTION_REFUSED).verdict


def test_all_references_fail_so_it_is_our_own_network() -> None:
    found = with_references(verdict(), statuses(False, False), NOW)
    assert "no reference is reachable (0 of 2): so it is the prober" in found.evidence
    assert found.facts["references"] == "0 of 2 reachable, 20 s ago"
    assert found.culprit is verdict().culprit


def test_all_references_are_reachable_so_it_is_the_supplier_s_edge() -> None:
    found = with_references(verdict(), statuses(True, True), NOW)
    assert "all references were reachable 20 s ago (2 of 2)" in found.evidence
    assert "at its edge" in found.evidence
    assert found.culprit is verdict().culprit


def test_some_references_prove_nothing() -> None:
    found = with_references(verdict(), statuses(True, False), NOW)
    assert found.evidence == verdict().evidence
    assert found.facts["references"] == "1 of 2 reachable, 20 s ago"


@pytest.mark.parametrize("known", [(), statuses(False, age=400.0)])
def test_no_or_old_references_say_nothing(known: tuple[ReferenceStatus, ...]) -> None:
    assert with_references(verdict(), known, NOW) == verdict()


@pytest.mark.parametrize("culprit", [c for c in Culprit if c.value not in {"network", "undecided"}])
def test_only_verdicts_on_the_network_are_annotated(culprit: Culprit) -> None:
    given = replace(an_answer().verdict, culprit=culprit)
    assert with_references(given, statuses(False), NOW) is given
