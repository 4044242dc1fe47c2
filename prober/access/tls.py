"""From options to OpenSSL: the context of a server, or what is wrong with its files."""

import os
import ssl
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from prober.access.rules import ClientCertificates, Pem, TlsOptions
from prober.errors import TlsConfigurationError

_VERIFY = {
    ClientCertificates.NOT_ASKED: ssl.CERT_NONE,
    ClientCertificates.IF_GIVEN: ssl.CERT_OPTIONAL,
    ClientCertificates.DEMANDED: ssl.CERT_REQUIRED,
}


_FIRST_OF_OPENSSL = "X25519"
_TOO_WEAK = ("TOO_SMALL", "TOO_WEAK")


class ServerTlsError(TlsConfigurationError):
    """Something of TLS cannot be used; `key` is the key of web.yml that names it."""

    def __init__(self, key: str, message: str) -> None:
        self.key = key
        super().__init__(message)


def server_context(options: TlsOptions) -> ssl.SSLContext:
    """Return a context that speaks as told; reads files, raises ServerTlsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    lowest = ssl.TLSVersion.TLSv1_3 if options.lowest_is_1_3 else ssl.TLSVersion.TLSv1_2
    with _named("min_version"):
        context.minimum_version = lowest
    if options.highest_is_1_2:
        with _named("max_version"):
            context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    if not options.server_prefers_ciphers:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if options.ciphers:
        with _named("cipher_suites"):
            context.set_ciphers(":".join(options.ciphers))
    if options.curve is not None and not _is_left_to_openssl(options.curve):
        with _named("curve_preferences"):
            context.set_ecdh_curve(options.curve)
    context.set_alpn_protocols(["http/1.1"])
    _load_certificate(context, options)
    if options.client_ca is not None:
        _load_authority(context, options.client_ca)
    context.verify_mode = _VERIFY[options.client_certificates]
    return context


def can_set_curve(curve: str) -> bool:
    """Tell whether this Python can set a curve: some of 3.11 cannot set X25519."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ecdh_curve(curve)
    except (ssl.SSLError, ValueError):
        return False
    return True


def _is_left_to_openssl(curve: str) -> bool:
    return curve == _FIRST_OF_OPENSSL and not can_set_curve(curve)


@contextmanager
def _named(key: str) -> Iterator[None]:
    """Let out what OpenSSL or the system refuses as an error that names the key."""
    try:
        yield
    except (OSError, ValueError) as error:
        message = f"is not taken by this machine's OpenSSL: {_reason(error)}"
        raise ServerTlsError(key, message) from error


def _reason(error: OSError | ValueError) -> str:
    of_openssl = getattr(error, "reason", None) if isinstance(error, ssl.SSLError) else None
    said = of_openssl or getattr(error, "strerror", None) or str(error)
    return str(said).replace("_", " ").lower()


def _load_certificate(context: ssl.SSLContext, options: TlsOptions) -> None:
    certificate, private_key = options.certificate, options.private_key
    for pem in (certificate, private_key):
        _check_readable(pem)
    with ExitStack() as files:
        chain, key = (files.enter_context(_path(pem)) for pem in (certificate, private_key))
        try:
            context.load_cert_chain(chain, key, password=_no_password)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                message = "is not the key of the certificate"
                raise ServerTlsError(private_key.key, message) from error
            if (error.reason or "").endswith(_TOO_WEAK):
                with _named(certificate.key):
                    raise
            pem = private_key if _is_certificate(chain) else certificate
            raise ServerTlsError(pem.key, _what_is_wrong(pem, private_key)) from error
        except OSError:
            with _named(certificate.key):
                raise
        except _EncryptedError as error:
            message = "is encrypted: write it without a passphrase, readable by the prober alone"
            raise ServerTlsError(private_key.key, message) from error


def _load_authority(context: ssl.SSLContext, pem: Pem) -> None:
    _check_readable(pem)
    with _path(pem) as path:
        try:
            context.load_verify_locations(path)
        except (ssl.SSLError, OSError) as error:
            raise ServerTlsError(pem.key, "holds no certificate in PEM form") from error


def _check_readable(pem: Pem) -> None:
    if pem.file is None:
        return
    try:
        if not stat.S_ISREG(pem.file.stat().st_mode):  # opening a pipe could block for ever
            raise ServerTlsError(pem.key, f"'{pem.file}' is no regular file")
        with pem.file.open("rb"):
            return
    except OSError as error:
        message = f"'{pem.file}' cannot be read: {(error.strerror or str(error)).lower()}"
        raise ServerTlsError(pem.key, message) from error


def _is_certificate(path: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (ssl.SSLError, OSError):
        return False
    return True


def _what_is_wrong(pem: Pem, private_key: Pem) -> str:
    what = "private key" if pem is private_key else "certificate"
    return f"holds no {what} in PEM form that OpenSSL takes"


class _EncryptedError(Exception):
    pass


def _no_password() -> str:
    """Take the place of OpenSSL's own question on the terminal."""
    raise _EncryptedError


@contextmanager
def _path(pem: Pem) -> Iterator[str]:
    """Yield a path that OpenSSL can open; text of web.yml is never written to a disk."""
    if pem.file is not None:
        yield str(pem.file)
        return
    with _named(pem.key):
        descriptor = os.memfd_create("prober-pem")
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(pem.text.encode())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
