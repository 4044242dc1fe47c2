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


class ServerTlsError(TlsConfigurationError):
    """Certificate, key or CA cannot be used; `key` is the key of web.yml that names it."""

    def __init__(self, pem: Pem, message: str) -> None:
        self.key = pem.key
        super().__init__(message)


def server_context(options: TlsOptions) -> ssl.SSLContext:
    """Return a context that speaks as told; reads files, raises ServerTlsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if options.lowest_is_1_3:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    if options.highest_is_1_2:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    if not options.server_prefers_ciphers:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if options.ciphers:
        context.set_ciphers(":".join(options.ciphers))
    if options.curve is not None:
        context.set_ecdh_curve(options.curve)
    context.set_alpn_protocols(["http/1.1"])
    _load_certificate(context, options)
    if options.client_ca is not None:
        _load_authority(context, options.client_ca)
    context.verify_mode = _VERIFY[options.client_certificates]
    return context


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
                raise ServerTlsError(private_key, "is not the key of the certificate") from error
            pem = private_key if _is_certificate(chain) else certificate
            raise ServerTlsError(pem, _what_is_wrong(pem, private_key)) from error
        except _EncryptedError as error:
            message = "is encrypted: write it without a passphrase, readable by the prober alone"
            raise ServerTlsError(private_key, message) from error


def _load_authority(context: ssl.SSLContext, pem: Pem) -> None:
    _check_readable(pem)
    with _path(pem) as path:
        try:
            context.load_verify_locations(path)
        except (ssl.SSLError, OSError) as error:
            raise ServerTlsError(pem, "holds no certificate in PEM form") from error


def _check_readable(pem: Pem) -> None:
    if pem.file is None:
        return
    try:
        if not stat.S_ISREG(pem.file.stat().st_mode):  # opening a pipe could block for ever
            raise ServerTlsError(pem, f"'{pem.file}' is no regular file")
        with pem.file.open("rb"):
            return
    except OSError as error:
        message = f"'{pem.file}' cannot be read: {(error.strerror or str(error)).lower()}"
        raise ServerTlsError(pem, message) from error


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
    descriptor = os.memfd_create("prober-pem")
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(pem.text.encode())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
