"""When the certificates that a server presents expire."""

import hashlib
import ssl
from collections.abc import Callable

from cryptography import x509

MAX_REMEMBERED_CERTIFICATES = 1024


class CertificateExpiry:
    """Tells the earliest expiry in a presented chain, remembering what it has already parsed."""

    def __init__(self, read: Callable[[bytes], float] | None = None) -> None:
        self._read = read or _expiry
        self._known: dict[bytes, float] = {}

    def of(self, tls_object: ssl.SSLObject | None) -> float | None:
        """Return the earliest expiry in epoch seconds, or None without a verified certificate.

        Python tells the whole chain from 3.13 on; before, the leaf alone is known.
        """
        if tls_object is None:
            return None
        try:
            leaf = tls_object.getpeercert(binary_form=True)
        except ValueError:  # the handshake has not been done
            return None
        if not leaf:
            return None
        key = hashlib.sha256(leaf).digest()
        if key not in self._known:
            if len(self._known) >= MAX_REMEMBERED_CERTIFICATES:
                self._known.clear()
            self._known[key] = min(map(self._read, self._chain(tls_object) or [leaf]))
        return self._known[key]

    @staticmethod
    def _chain(tls_object: ssl.SSLObject) -> list[bytes]:
        presented = getattr(tls_object, "get_unverified_chain", None)
        return list(presented()) if presented is not None else []


def _expiry(certificate: bytes) -> float:
    return x509.load_der_x509_certificate(certificate).not_valid_after_utc.timestamp()
