"""When the certificates that a server presents expire."""

import hashlib
import math
import ssl
from collections.abc import Callable
from typing import Any

MAX_REMEMBERED_CERTIFICATES = 1024
_DER = 2  # _ssl.ENCODING_DER


class CertificateExpiry:
    """Finds the earliest expiry in a presented chain; results are cached by the chain's hash."""

    def __init__(self, read: Callable[[bytes], float] | None = None) -> None:
        self._read = read or _expiry
        self._known: dict[bytes, float] = {}

    def of(self, tls_object: ssl.SSLObject | None) -> float | None:
        """Return the earliest expiry in epoch seconds, or None without a verified certificate.

        The chain is the one that the server sent. If Python does not expose it, only the leaf is
        read.
        """
        if tls_object is None:
            return None
        try:
            leaf = tls_object.getpeercert(binary_form=True)
        except ValueError:  # the handshake is not complete
            return None
        if not leaf:
            return None
        chain = self._chain(tls_object) or [(leaf, None)]
        # The key covers the whole chain: an intermediate may be renewed under the same leaf.
        key = hashlib.sha256(b"".join([der for der, _ in chain])).digest()
        if key not in self._known:
            if len(self._known) >= MAX_REMEMBERED_CERTIFICATES:
                self._known.clear()
            self._known[key] = min(
                self._read(der) if (expiry := _shown_expiry(shown)) is None else expiry
                for der, shown in chain
            )
        earliest = self._known[key]
        return earliest if math.isfinite(earliest) else None

    @staticmethod
    def _chain(tls_object: ssl.SSLObject) -> list[tuple[bytes, object]]:
        """Return the presented certificates in DER, each with Python's object for it.

        Empty if Python does not expose them.
        """
        # Public from Python 3.13 on, in DER alone. The private object of the C module, to which
        # asyncio's SSLObject refers, has objects that OpenSSL has parsed already.
        private = getattr(tls_object, "_sslobj", None)
        for owner in (private, tls_object):
            presented = getattr(owner, "get_unverified_chain", None)
            if presented is None:
                continue
            try:
                return [(_der(certificate), certificate) for certificate in presented() or ()]
            except (TypeError, ValueError, ssl.SSLError):  # a private interface may change
                continue
        return []


def _der(certificate: Any) -> bytes:  # noqa: ANN401 -- bytes, or a private type of the C module
    """Return a certificate in DER: `_ssl.Certificate` has a method for it."""
    if isinstance(certificate, bytes):
        return certificate
    der: bytes = certificate.public_bytes(_DER)
    return der


def _shown_expiry(certificate: object) -> float | None:
    """Return the expiry of a certificate that OpenSSL has parsed, None if not available."""
    try:
        shown: Any = certificate
        return float(ssl.cert_time_to_seconds(shown.get_info()["notAfter"]))
    except (AttributeError, LookupError, TypeError, ValueError, ssl.SSLError):
        return None


def _expiry(certificate: bytes) -> float:
    # Imported late: most daemons never need it, and it takes 8 MiB.
    from cryptography import x509  # noqa: PLC0415

    try:
        return x509.load_der_x509_certificate(certificate).not_valid_after_utc.timestamp()
    except ValueError:  # an odd certificate that OpenSSL accepts, or that it did not need
        return math.inf
