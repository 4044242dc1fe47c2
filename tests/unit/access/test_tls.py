import ssl
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from prober.access.rules import ClientCertificates, Pem, TlsOptions
from prober.access.tls import ServerTlsError, server_context

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
        Pem("cert_file", tmp_path / "server.crt"),
        Pem("key_file", tmp_path / "server.key"),
        ClientCertificates.DEMANDED,
        Pem("client_ca_file", tmp_path / "ca.crt"),
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
        highest_is_1_2=True,
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
    lowest = server_context(replace(options, lowest_is_1_3=True)).minimum_version
    assert lowest is ssl.TLSVersion.TLSv1_3


def test_certificate_and_key_may_stand_in_the_file_itself(options: TlsOptions) -> None:
    inline = replace(
        options,
        certificate=Pem("cert", None, CHAIN.decode()),
        private_key=Pem("key", None, KEY.decode()),
        client_ca=Pem("client_ca", None, AUTHORITY.cert_pem.bytes().decode()),
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
        ("server.crt", b"", "cert_file", "holds no certificate in PEM form"),
        ("server.crt", KEY, "cert_file", "holds no certificate in PEM form"),
        ("server.key", None, "key_file", "cannot be read"),
        ("server.key", CHAIN, "key_file", "holds no private key in PEM form"),
        ("server.key", encrypted(), "key_file", "is encrypted"),
        (
            "server.key",
            AUTHORITY.issue_cert("other").private_key_pem.bytes(),
            "key_file",
            "is not the key of the certificate",
        ),
        ("ca.crt", b"no certificate", "client_ca_file", "holds no certificate in PEM form"),
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
    wrong = replace(options, certificate=Pem("cert_file", tmp_path))
    with pytest.raises(ServerTlsError, match="is no regular file"):
        server_context(wrong)
