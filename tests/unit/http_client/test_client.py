import os
from pathlib import Path

import pytest
import trustme

from prober.errors import TlsConfigurationError
from prober.http_client.client import ProxyResolver, tls_context
from tests.builders import a_transport

URL = "https://cloud.uipath.com/acme/prod/reinfer_/api/v1/datasets"
FROM_ENVIRONMENT = a_transport()


def test_the_environments_proxy_is_used_but_for_hosts_that_it_excepts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", "uipath.com")
    proxies = ProxyResolver()
    assert (
        proxies.proxy_for("https://legacy.reinfer.io/api", FROM_ENVIRONMENT) == "http://proxy:3128"
    )
    assert proxies.proxy_for(URL, FROM_ENVIRONMENT) is None
    assert proxies.proxy_for("http://plain.test/", FROM_ENVIRONMENT) is None


def test_an_exception_for_one_port_holds_for_that_port_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy:3128")
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8,lab.example:8443")
    proxies = ProxyResolver()
    assert proxies.proxy_for("https://10.1.2.3/api", FROM_ENVIRONMENT) is None
    assert proxies.proxy_for("https://lab.example:8443/api", FROM_ENVIRONMENT) is None
    assert proxies.proxy_for("https://lab.example/api", FROM_ENVIRONMENT) == "http://proxy:3128"


def test_settings_come_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    proxies = ProxyResolver()
    assert proxies.proxy_for(URL, a_transport(proxy_url="http://other:1")) == "http://other:1"
    assert proxies.proxy_for(URL, a_transport(proxy_from_environment=False)) is None


@pytest.mark.parametrize("content", [None, b"", b"no certificate", os.mkfifo, os.mkdir])
@pytest.mark.parametrize(
    "key", ["ca_file", "client_certificate.certificate", "client_certificate.key"]
)
def test_a_file_that_openssl_does_not_take_is_told_by_its_key(
    tmp_path: Path, key: str, content: object
) -> None:
    file = tmp_path / "file.pem"
    if callable(content):
        content(file)
    elif isinstance(content, bytes):
        file.write_bytes(content)
    certificate = tmp_path / "client.crt"
    trustme.CA().issue_cert("client").cert_chain_pems[0].write_to_path(certificate)
    options = {
        "ca_file": a_transport(ca_file=file),
        "client_certificate.certificate": a_transport(client_certificate_file=file),
        "client_certificate.key": a_transport(
            client_certificate_file=certificate, client_key_file=file
        ),
    }[key]
    with pytest.raises(TlsConfigurationError) as caught:
        tls_context(options)
    said = str(caught.value)
    assert said.startswith((f"{key} {file}: ", f"client_certificate.certificate {certificate}: "))


def test_a_key_that_openssl_does_not_take_is_told_by_its_key(tmp_path: Path) -> None:
    certificate, key = tmp_path / "client.crt", tmp_path / "client.key"
    trustme.CA().issue_cert("client").cert_chain_pems[0].write_to_path(certificate)
    trustme.CA().issue_cert("client").private_key_pem.write_to_path(key)
    options = a_transport(client_certificate_file=certificate, client_key_file=key)
    with pytest.raises(TlsConfigurationError, match=r"^client_certificate\.\w+ .*mismatch"):
        tls_context(options)
