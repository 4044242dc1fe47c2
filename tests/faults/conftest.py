"""One stage for all."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.harness import Stage, staged


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    directory = Path(tempfile.mkdtemp(prefix="faults-"))  # a socket's name has 107 characters
    try:
        with staged(directory) as stage:
            yield stage
    finally:
        shutil.rmtree(directory, ignore_errors=True)
