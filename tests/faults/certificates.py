"""TLS contexts for servers that nobody should shake hands with, and a good one."""

import ssl
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_SINCE, _UNTIL = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
REFUSING = frozenset({"demands-1.3", "demands-1.2"})
NAMES = ("127.0.0.1", "good.test")


def contexts(directory: Path) -> Mapping[str, ssl.SSLContext]:
    """Return the contexts by name, and write `ca.pem`, whom the tenants trust."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.pem")
    leaf = authority.issue_cert(*NAMES)
    made: dict[str, Callable[[ssl.SSLContext], None]] = {
        "good": lambda _: None,
        "old-protocol": _old,
        "demands-1.3": lambda context: _demand(context, authority),
        "demands-1.2": lambda context: _demand(context, authority, ssl.TLSVersion.TLSv1_2),
    }
    every = {}
    for name, change in made.items():
        every[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        leaf.configure_cert(every[name])
        change(every[name])
    return {**every, "self-signed": _self_signed(directory / "self-signed.pem")}


def _old(context: ssl.SSLContext) -> None:
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1


def _demand(
    context: ssl.SSLContext, authority: trustme.CA, version: ssl.TLSVersion | None = None
) -> None:
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    if version is not None:
        context.maximum_version = version


def _self_signed(file: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "good.test")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, _SINCE, _UNTIL)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("good.test")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
