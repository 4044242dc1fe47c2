"""What holds for every test: a clean environment, and no deadline where time is not the subject."""

import os

import hypothesis
import pytest

hypothesis.settings.register_profile("prober", deadline=None)
hypothesis.settings.load_profile("prober")


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
