"""For every test: a clean environment, markers, and the profiles of hypothesis."""

import gc
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# Where an image forbids it, each of a hundred processes would compile the whole program anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Programs in Go spend a quarter of their time on garbage that their end would free as well.
os.environ.setdefault("GOGC", "400")
# jsonschema would read a grammar of IRIs, 2 s in every worker; no schema here has such a format.
# None means "not importable" to the import system.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

# The same examples each time: whether CI is green depends on the change alone.
hypothesis.settings.register_profile("prober", deadline=None, derandomize=True, database=None)
hypothesis.settings.register_profile("quick", deadline=None, max_examples=15)  # `make unit`
hypothesis.settings.register_profile("explore", deadline=None, max_examples=2_000)  # at random
hypothesis.settings.register_profile(  # `make mutants`: the same each time, and no shrinking
    "mutants",
    deadline=None,
    max_examples=15,
    derandomize=True,
    database=None,
    phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
)
hypothesis.settings.load_profile("prober")


@pytest.hookimpl(tryfirst=True)  # before pytest-cov starts what a worker measures
def pytest_sessionstart(session: pytest.Session) -> None:
    """In a worker of pytest-xdist, stop what pytest-cov 7 has started as for the main process.

    Otherwise it would go on when a test with the marker `no_cover` pauses the worker's coverage.
    """
    coverage = session.config.pluginmanager.getplugin("_cov")
    if hasattr(session.config, "workerinput") and coverage and coverage.cov_controller:
        coverage.cov_controller.cov.stop()


MARKER_OF_FIXTURE = {"stage": "netns", "chromium": "chromium"}


@pytest.hookimpl(tryfirst=True)  # before `-m` selects by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by what their fixtures need; measure no coverage of property-based tests.

    Those take the same lines a hundred times, and tracing doubles what it costs.
    """
    for item in items:
        for fixture in MARKER_OF_FIXTURE.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(MARKER_OF_FIXTURE[fixture])
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture(scope="module")
def frozen_heap() -> Iterator[None]:
    """Keep what the tests before have left out of garbage collections, as the daemon does.

    A collection among the objects of thousands of tests takes most of a second.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget proxies and settings of whoever runs the tests."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("PROBER_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def _state_directories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return paths that do not exist; `mktemp` for each test would list those of all others."""
    parent = tmp_path_factory.mktemp("state")
    return (parent / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch, _state_directories: Iterator[Path]) -> None:
    """Let no test find what another prober remembers, nor talk to a service manager."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(next(_state_directories)))
