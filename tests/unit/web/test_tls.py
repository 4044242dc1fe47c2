import errno
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from prober.web.auth import ClientCertificates, PemSource, TlsOptions
from prober.web.tls import ServerTlsError, can_set_curve, server_context

AUTHORITY = trustme.CA()
SERVER = AUTHORITY.issue_cert("localhost")
CHAIN = b"".join(blob.bytes() for blob in SERVER.cert_chain_pems)
KEY = SERVER.private_key_pem.bytes()


@pytest.fixture
def options(tmp_path: Path) -> TlsOptions:
    (tmp_path / "server.crt").write_bytes(CHAIN)
    (tmp_path / "server.key").write_bytes(KEY)
    (tmp_path / "ca.crt").write_bytes(AUTHORITY.cert_pem.bytes())
    return TlsOptions(
        PemSource("cert_file", tmp_path / "server.crt"),
        PemSource("key_file", tmp_path / "server.key"),
        ClientCertificates.REQUIRED,
        PemSource("client_ca_file", tmp_path / "ca.crt"),
    )


def test_a_context_speaks_as_told(options: TlsOptions) -> None:
    context = server_context(options)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert context.options & ssl.OP_NO_RENEGOTIATION
    changed = replace(
        options,
        client_certificates=ClientCertificates.IF_GIVEN,
        maximum_is_tls_1_2=True,
        ciphers=("ECDHE-ECDSA-AES128-GCM-SHA256",),
        server_prefers_ciphers=False,
        curve="prime256v1",
    )
    context = server_context(changed)
    assert context.maximum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_OPTIONAL
    assert not context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    of_tls_1_2 = [each["name"] for each in context.get_ciphers() if each["protocol"] == "TLSv1.2"]
    assert of_tls_1_2 == ["ECDHE-ECDSA-AES128-GCM-SHA256"]
    lowest = server_context(replace(options, minimum_is_tls_1_3=True)).minimum_version
    assert lowest is ssl.TLSVersion.TLSv1_3


def test_certificate_and_key_may_stand_in_the_file_itself(options: TlsOptions) -> None:
    inline = replace(
        options,
        certificate=PemSource("cert", None, CHAIN.decode()),
        private_key=PemSource("key", None, KEY.decode()),
        client_ca=PemSource("client_ca", None, AUTHORITY.cert_pem.bytes().decode()),
    )
    assert server_context(inline).get_ca_certs() != []


def encrypted() -> bytes:
    loaded = load_pem_private_key(KEY, None)
    return loaded.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"phrase")
    )


@pytest.mark.parametrize(
    ("file", "content", "key", "said"),
    [
        ("server.crt", None, "cert_file", "cannot be read: no such file or directory"),
        ("server.crt", b"", "cert_file", "contains no certificate in PEM format"),
        ("server.crt", KEY, "cert_file", "contains no certificate in PEM format"),
        ("server.key", None, "key_file", "cannot be read"),
        ("server.key", CHAIN, "key_file", "contains no private key in PEM format"),
        ("server.key", encrypted(), "key_file", "is encrypted"),
        (
            "server.key",
            AUTHORITY.issue_cert("other").private_key_pem.bytes(),
            "key_file",
            "is not the key of the certificate",
        ),
        ("ca.crt", b"no certificate", "client_ca_file", "contains no certificate in PEM format"),
        ("ca.crt", b"", "client_ca_file", "contains no certificate in PEM format"),
        ("ca.crt", None, "client_ca_file", "cannot be read"),
        (
            "server.crt",
            CHAIN[: len(CHAIN) // 2],
            "cert_file",
            "contains no certificate in PEM format",
        ),
    ],
)
def test_what_cannot_be_used_is_told_by_its_key(
    options: TlsOptions, tmp_path: Path, file: str, content: bytes | None, key: str, said: str
) -> None:
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(ServerTlsError, match=said) as caught:
        server_context(options)
    assert caught.value.key == key


def test_a_directory_is_no_certificate(options: TlsOptions, tmp_path: Path) -> None:
    wrong = replace(options, certificate=PemSource("cert_file", tmp_path))
    with pytest.raises(ServerTlsError, match="is not a regular file"):
        server_context(wrong)


def refuse(*_: object) -> None:
    raise ssl.SSLError(1, "[SSL] no such thing")


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"ciphers": ("NO-SUCH-CIPHER",)}, "cipher_suites"),
        ({"ciphers": ("\0",)}, "cipher_suites"),
        ({"curve": "no-such-curve"}, "curve_preferences"),
        ({"curve": "\0"}, "curve_preferences"),
    ],
)
def test_what_openssl_does_not_take_is_told_by_its_key(
    options: TlsOptions, change: dict[str, Any], key: str
) -> None:
    with pytest.raises(ServerTlsError, match="is rejected by this machine's OpenSSL") as caught:
        server_context(replace(options, **change))
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"ciphers": ("ECDHE-ECDSA-AES128-GCM-SHA256",)}, "cipher_suites"),
        ({"curve": "prime256v1"}, "curve_preferences"),
    ],
)
def test_what_this_machine_does_not_take_is_told_by_its_key(
    options: TlsOptions, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], key: str
) -> None:
    monkeypatch.setattr(ssl.SSLContext, "set_ciphers", refuse)
    monkeypatch.setattr(ssl.SSLContext, "set_ecdh_curve", refuse)
    with pytest.raises(ServerTlsError, match="no such thing") as caught:
        server_context(replace(options, **change))
    assert caught.value.key == key


@pytest.mark.parametrize("attribute", ["minimum_version", "maximum_version"])
def test_a_version_that_openssl_lacks_is_told_by_its_key(
    options: TlsOptions, monkeypatch: pytest.MonkeyPatch, attribute: str
) -> None:
    def lacks(_self: object, _value: object) -> None:
        raise ValueError("Unsupported protocol version")

    monkeypatch.setattr(ssl.SSLContext, attribute, property(fset=lacks))
    with pytest.raises(ServerTlsError, match="unsupported protocol version") as caught:
        server_context(replace(options, maximum_is_tls_1_2=True))
    assert caught.value.key == f"{attribute[:3]}_version"


def test_a_python_that_cannot_set_x25519_leaves_openssls_order(
    options: TlsOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssl.SSLContext, "set_ecdh_curve", refuse)
    assert not can_set_curve("X25519")
    assert isinstance(server_context(replace(options, curve="X25519")), ssl.SSLContext)


def test_a_key_that_is_too_short_is_no_matter_of_its_form(
    options: TlsOptions, tmp_path: Path
) -> None:
    key = generate_private_key(65537, 1024)  # noqa: S505 -- that is the point
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    built = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    (tmp_path / "server.crt").write_bytes(built.sign(key, SHA256()).public_bytes(Encoding.PEM))
    (tmp_path / "server.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    with pytest.raises(ServerTlsError, match="OpenSSL: ee key too small") as caught:
        server_context(options)
    assert caught.value.key == "cert_file"


@pytest.mark.parametrize("name", ["certificate", "private_key", "client_ca"])
def test_text_that_cannot_reach_openssl_is_told_by_its_key(
    options: TlsOptions, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def lacks(_name: str) -> int:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("os.memfd_create", lacks)
    changed: dict[str, Any] = {name: PemSource(name, None, CHAIN.decode())}
    inline = replace(options, **changed)
    with pytest.raises(ServerTlsError, match="function not implemented") as caught:
        server_context(inline)
    assert caught.value.key == name
