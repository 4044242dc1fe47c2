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


def test_an_exception_for_one_port_holds_for_that_port_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy:3128")
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8,lab.example:8443")
    proxies = Proxies()
    assert proxies.of("https://10.1.2.3/api", FROM_ENVIRONMENT) is None
    assert proxies.of("https://lab.example:8443/api", FROM_ENVIRONMENT) is None
    assert proxies.of("https://lab.example/api", FROM_ENVIRONMENT) == "http://proxy:3128"


def test_settings_come_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    proxies = Proxies()
    assert proxies.of(URL, TransportOptions(proxy_url="http://other:1")) == "http://other:1"
    assert proxies.of(URL, TransportOptions(proxy_from_environment=False)) is None
