from dataclasses import replace

import pytest

from prober.maintenance import MaintenanceStatus
from prober.models import Latency
from prober.outcomes import Culprit, LatencyComponent, Reason, RejectionCause, SkipCause, TokenState
from prober.render.text import CAUSES, CULPRIT_LABELS, REASONS, SKIPS, maintenance_text, status_text
from prober.stats.status import ProbeStatus
from tests.unit.render.status_factory import NOW, VALID, a_standing, a_tenant_standing

BAD = Reason.SERVER_ERROR
WELL = a_standing("sources")


def failing(number: int, of: int, reason: Reason = BAD, status: int = 500) -> list[ProbeStatus]:
    probes = [a_standing(f"p{n}", reason, status=status, failing_for=60.0) for n in range(number)]
    return probes + [a_standing(f"p{n}") for n in range(number, of)]


@pytest.mark.parametrize(
    ("probes", "words"),
    [
        pytest.param([WELL], "OK", id="one-and-well"),
        pytest.param([WELL, WELL], "2/2 probes OK", id="well"),
        pytest.param(failing(2, 8), "platform: 500s on 2 of 8 probes", id="some"),
        pytest.param(
            failing(8, 8, Reason.DNS), "network path: DNS failure on all 8 probes", id="all"
        ),
        pytest.param(failing(1, 1, Reason.DNS), "network path: DNS failure", id="the-only-one"),
        pytest.param(
            failing(2, 4, status=503) + failing(1, 1, status=502),
            "platform: 5xx on 3 of 5 probes",
            id="several-statuses",
        ),
        pytest.param(
            failing(1, 2, Reason.PERMISSION_DENIED) + failing(2, 2),
            "platform: 500s on 2 of 4 probes; credential: permission denied on 1 of 4 probes",
            id="two-culprits-the-greater-first",
        ),
        pytest.param(
            failing(1, 2, Reason.DNS) + failing(1, 1),
            "platform: 500s on 1 of 3 probes; network path: DNS failure on 1 of 3 probes",
            id="two-culprits-alike",
        ),
        pytest.param(
            failing(1, 1, Reason.RESPONSE_TOO_LARGE) + failing(1, 1),
            "platform: responses too large, 500s on all 2 probes",
            id="two-reasons-of-one",
        ),
        pytest.param([a_standing(reason=None)], "waiting for the first run", id="nothing-yet"),
    ],
)
def test_a_tenant_is_told_in_words_with_the_culprit_first(
    probes: list[ProbeStatus], words: str
) -> None:
    assert status_text(a_tenant_standing(*probes), NOW).text == words


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (RejectionCause.SUPERSEDED, "token replaced elsewhere (14 min ago)"),
        (RejectionCause.EXPIRED, "token expired (14 min ago)"),
        (RejectionCause.NEVER_ACCEPTED, "token never accepted (for 14 min)"),
    ],
)
def test_a_dead_token_is_all_that_is_said(cause: RejectionCause, words: str) -> None:
    token = replace(VALID, state=TokenState.REJECTED, cause=cause, rejected_since=NOW - 14 * 60)
    saying = status_text(a_tenant_standing(*failing(1, 3), token=token), NOW)
    assert (saying.text, saying.culprit) == (words, Culprit.CREDENTIAL)
    assert saying.since == NOW - 14 * 60


def test_a_missing_token_says_why() -> None:
    token = replace(VALID, state=TokenState.MISSING, problem="the file is empty")
    saying = status_text(a_tenant_standing(token=token), NOW)
    assert (saying.text, saying.culprit) == ("no token: the file is empty", Culprit.PROBER)


def test_a_shared_token_that_died_elsewhere_is_foretold() -> None:
    saying = status_text(a_tenant_standing(token_rejected_for="beta"), NOW)
    assert saying.text == "token shared with beta, where it is rejected"


def test_failures_are_told_before_what_is_foretold() -> None:
    assert (
        "500s"
        in status_text(a_tenant_standing(*failing(1, 1), token_rejected_for="beta"), NOW).text
    )


@pytest.mark.parametrize(
    ("side", "words"),
    [
        (LatencyComponent.SERVER, "platform slow: 3.20 s on 1 of 2 probes"),
        (LatencyComponent.NETWORK, "network path slow: 800 ms on 1 of 2 probes"),
    ],
)
def test_what_is_slow_is_told_with_its_side(side: LatencyComponent, words: str) -> None:
    slow = a_standing("slow", slow=(side,), latency=Latency(4.0, 3.2, 0.8))
    saying = status_text(a_tenant_standing(slow, WELL), NOW)
    assert (saying.text, saying.is_slow, saying.is_ok) == (words, True, False)


def test_a_probe_that_does_not_run_says_why() -> None:
    silent = a_standing("slow", ago=900.0, skipped=SkipCause.CONCURRENCY)
    saying = status_text(a_tenant_standing(silent, WELL), NOW)
    assert saying.text == "prober: no recent run on 1 of 2 probes: too many runs in flight"


def test_a_failure_says_since_when() -> None:
    assert status_text(a_tenant_standing(*failing(2, 3)), NOW).since == NOW - 60


def test_maintenance_says_until_when() -> None:
    in_maintenance = MaintenanceStatus(NOW + 3600, NOW, NOW + 3600)
    standing = a_tenant_standing(maintenance=in_maintenance)
    assert maintenance_text(standing) == "in maintenance until 01:00Z"
    assert maintenance_text(a_tenant_standing()) is None


def test_there_are_words_for_everything() -> None:
    assert set(CULPRIT_LABELS) == set(Culprit)
    assert set(REASONS) == set(Reason)
    assert set(CAUSES) == set(RejectionCause)
    assert set(SKIPS) == set(SkipCause)
