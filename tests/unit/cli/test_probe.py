"""`prober probe` closes what it opened while its event loop still runs."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from prober.cli.probe import show
from prober.models import ProbeResult
from prober.outcomes import FailureKind, Outcome
from tests.builders import a_probe
from tests.unit.metrics.factories import a_failure


def test_the_results_are_closed_when_all_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Otherwise asyncio would close this generator and those inside it at once, and fail."""
    closed: list[bool] = []

    async def results() -> AsyncGenerator[ProbeResult]:
        try:
            while True:
                yield a_failure(FailureKind.DNS)
        finally:
            closed.append(True)

    async def show_two() -> list[Outcome]:
        outcomes = await show(results(), [a_probe(), a_probe()], as_json=True)
        assert closed == [True]
        return outcomes

    assert len(asyncio.run(show_two())) == 2
    assert capsys.readouterr().out.count("\n") == 2
