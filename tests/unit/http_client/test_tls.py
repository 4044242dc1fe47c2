import ssl
from collections.abc import Callable
from datetime import timedelta
from typing import Self

import pytest
import trustme
from cryptography import x509

from prober.http_client.tls import CertificateExpiry


def connected(leaf: trustme.LeafCert, authority: trustme.CA) -> ssl.SSLObject:
    """Return the client's end of a TLS connection to a server with this certificate."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server, server_hostname="prober.example")
    for end in (client, server, client, server):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return client


def never_read(_: bytes) -> float:
    pytest.fail("what OpenSSL has parsed is parsed again")


@pytest.mark.parametrize("read", [None, never_read])
@pytest.mark.parametrize("days_after_intermediate", [-30, 30])
def test_the_earliest_expiry_of_the_whole_chain_is_found(
    days_after_intermediate: int, read: Callable[[bytes], float] | None
) -> None:
    authority = trustme.CA()
    intermediate = authority.create_child_ca()
    certificate = x509.load_pem_x509_certificate(intermediate.cert_pem.bytes())
    expires = certificate.not_valid_after_utc
    leaf_expires = expires + timedelta(days=days_after_intermediate)
    leaf = intermediate.issue_cert("prober.example", not_after=leaf_expires)
    found = CertificateExpiry(read).of(connected(leaf, authority))
    assert found == min(expires, leaf_expires).timestamp()


class Presented(ssl.SSLObject):
    """A handshake in which the server presented this leaf and chain."""

    def __new__(cls, *_arguments: object) -> Self:
        return object.__new__(cls)

    def __init__(self, leaf: bytes, *chain: bytes) -> None:
        self.leaf, self.chain = leaf, chain

    def getpeercert(self, binary_form: bool = False) -> bytes:  # type: ignore[override]  # noqa: ARG002, FBT002
        return self.leaf

    def get_unverified_chain(self) -> list[bytes]:
        return list(self.chain)


def test_a_renewed_intermediate_counts_although_the_leaf_is_the_same() -> None:
    expiry = CertificateExpiry(read={b"leaf": 9.0, b"old": 1.0, b"new": 5.0}.__getitem__)
    presented = Presented(b"leaf", b"leaf", b"old")
    assert expiry.of(presented) == 1.0
    presented.chain = (b"leaf", b"new")
    assert expiry.of(presented) == 5.0


def test_a_certificate_that_cannot_be_parsed_is_no_error() -> None:
    odd = Presented(b"no certificate", b"no certificate")
    assert CertificateExpiry().of(odd) is None
