"""A wait without a response, at the end of real links: whose it is, from a single place."""

import json
import subprocess
import sys

import pytest

from tests.faults.cut_link import CASES
from tests.faults.harness import _UNSHARE, ROOT

pytestmark = pytest.mark.netns

EXPECTED = {
    "silent": ("response_timeout_far_end_silent", "platform"),
    "half": ("response_timeout_far_end_silent", "platform"),
    "cut": ("response_timeout_path_lost", "network"),
    "dropped": ("response_timeout_path_lost", "network"),
    "lost": ("response_timeout_unacknowledged", "network"),
}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    directory = tmp_path_factory.mktemp("links")
    program = [sys.executable, "-m", "tests.faults.cut_link", str(directory)]
    found = subprocess.run(
        ["unshare", *_UNSHARE, *program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    return dict(json.loads(found.stdout))


@pytest.mark.parametrize("case", CASES)
def test_a_silence_is_attributed(verdicts: dict[str, list[str]], case: str) -> None:
    reason, culprit, row, evidence, tcp = verdicts[case]
    assert (reason, culprit, row) == (*EXPECTED[case.partition("-")[0]], "6"), evidence
    assert "the far end (10.77." in evidence
    assert "round-trip time" in tcp
