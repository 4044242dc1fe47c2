import pytest

from prober.exchange.transport import Proxies
from prober.model import TransportOptions

URL = "https://cloud.uipath.com/acme/prod/reinfer_/api/v1/datasets"
FROM_ENVIRONMENT = TransportOptions()


def test_the_environments_proxy_is_used_but_for_hosts_that_it_excepts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", "uipath.com")
    proxies = Proxies()
    assert proxies.of("https://legacy.reinfer.io/api", FROM_ENVIRONMENT) == "http://proxy:3128"
    assert proxies.of(URL, FROM_ENVIRONMENT) is None
    assert proxies.of("http://plain.test/", FROM_ENVIRONMENT) is None


def test_settings_come_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    proxies = Proxies()
    assert proxies.of(URL, TransportOptions(proxy_url="http://other:1")) == "http://other:1"
    assert proxies.of(URL, TransportOptions(proxy_from_environment=False)) is None
