"""Certificates for the simulator, good and bad, made by an authority that lives as long as it."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import trustme

NAMES = ("localhost", "127.0.0.1", "::1")
_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Certificates:
    """One TLS context for good, and one for each fault of the certificate."""

    def __init__(self) -> None:
        self._authority = trustme.CA()
        self._contexts = {
            None: _context(self._authority.issue_cert(*NAMES)),
            "certificate_expired": _context(
                self._authority.issue_cert(*NAMES, not_after=_LONG_AGO)
            ),
            "certificate_of_another": _context(self._authority.issue_cert("another.example")),
            "certificate_unknown": _context(trustme.CA().issue_cert(*NAMES)),
        }

    def context(self, fault: str | None) -> ssl.SSLContext | None:
        """Return the context to shake hands with, or None if this fault is no certificate."""
        return self._contexts.get(fault)

    def write_authority(self, path: Path) -> None:
        """Write the authority's certificate, which clients are to trust, as PEM."""
        self._authority.cert_pem.write_to_path(path)


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context
