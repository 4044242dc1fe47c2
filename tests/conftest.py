"""What holds for every test: a clean environment, and no deadline where time is not the subject."""

import os
import sys

import hypothesis
import pytest

# Where an image forbids it, each of a hundred processes would compile the whole program anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# jsonschema would read a grammar of IRIs, 2 s in every worker; no schema here has such a format.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment] # as importlib has it: "not importable"

hypothesis.settings.register_profile("prober", deadline=None)
hypothesis.settings.load_profile("prober")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Trace no test that takes the same lines a hundred times: tracing doubles what it costs."""
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget proxies and settings of whoever runs the tests."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("PROBER_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let no test find what another prober remembers, nor talk to a service manager."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
