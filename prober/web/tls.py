"""The TLS context of the web server, and the reload of web.yml and of the files that it names.

A change that is invalid, or that would remove TLS or authentication, is rejected and logged.
"""

import asyncio
import os
import ssl
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

import structlog

from prober.errors import ProberError, TlsConfigurationError
from prober.file_changes import FileChanges, until_still
from prober.file_signature import Signature, file_signature
from prober.web.auth import (
    AccessPolicy,
    ClientCertificates,
    PemSource,
    TlsOptions,
    refuse_downgrade,
)

_VERIFY = {
    ClientCertificates.NOT_REQUESTED: ssl.CERT_NONE,
    ClientCertificates.IF_GIVEN: ssl.CERT_OPTIONAL,
    ClientCertificates.REQUIRED: ssl.CERT_REQUIRED,
}


_FIRST_OF_OPENSSL = "X25519"
_TOO_WEAK = ("TOO_SMALL", "TOO_WEAK")


class ServerTlsError(TlsConfigurationError):
    """A TLS setting cannot be used; `key` is its key in web.yml."""

    def __init__(self, key: str, message: str) -> None:
        self.key = key
        super().__init__(message)


def server_context(options: TlsOptions) -> ssl.SSLContext:
    """Return the context for some options; reads files, raises ServerTlsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    lowest = ssl.TLSVersion.TLSv1_3 if options.minimum_is_tls_1_3 else ssl.TLSVersion.TLSv1_2
    with _named("min_version"):
        context.minimum_version = lowest
    if options.maximum_is_tls_1_2:
        with _named("max_version"):
            context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    if not options.server_prefers_ciphers:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if options.ciphers:
        with _named("cipher_suites"):
            context.set_ciphers(":".join(options.ciphers))
    if options.curve is not None and not _is_default_curve(options.curve):
        with _named("curve_preferences"):
            context.set_ecdh_curve(options.curve)
    context.set_alpn_protocols(["http/1.1"])
    _load_certificate(context, options)
    if options.client_ca is not None:
        _load_authority(context, options.client_ca)
    context.verify_mode = _VERIFY[options.client_certificates]
    return context


def can_set_curve(curve: str) -> bool:
    """Return whether this Python can set a curve: some versions of 3.11 cannot set X25519."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ecdh_curve(curve)
    except (ssl.SSLError, ValueError):
        return False
    return True


def _is_default_curve(curve: str) -> bool:
    return curve == _FIRST_OF_OPENSSL and not can_set_curve(curve)


@contextmanager
def _named(key: str) -> Iterator[None]:
    """Turn errors of OpenSSL and of the system into errors that name the key in web.yml."""
    try:
        yield
    except (OSError, ValueError) as error:
        message = f"is rejected by this machine's OpenSSL: {_reason(error)}"
        raise ServerTlsError(key, message) from error


def _reason(error: OSError | ValueError) -> str:
    of_openssl = getattr(error, "reason", None) if isinstance(error, ssl.SSLError) else None
    text = of_openssl or getattr(error, "strerror", None) or str(error)
    return str(text).replace("_", " ").lower()


def _load_certificate(context: ssl.SSLContext, options: TlsOptions) -> None:
    certificate, private_key = options.certificate, options.private_key
    for pem in (certificate, private_key):
        _check_readable(pem)
    with ExitStack() as files:
        chain, key = (files.enter_context(_path(pem)) for pem in (certificate, private_key))
        try:
            context.load_cert_chain(chain, key, password=_refuse_password)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                message = "is not the key of the certificate"
                raise ServerTlsError(private_key.key, message) from error
            if (error.reason or "").endswith(_TOO_WEAK):
                with _named(certificate.key):
                    raise
            pem = private_key if _is_certificate(chain) else certificate
            raise ServerTlsError(pem.key, _describe_error(pem, private_key)) from error
        except OSError:
            with _named(certificate.key):
                raise
        except _EncryptedError as error:
            message = "is encrypted: store it without a passphrase, readable by the prober only"
            raise ServerTlsError(private_key.key, message) from error


def _load_authority(context: ssl.SSLContext, pem: PemSource) -> None:
    _check_readable(pem)
    with _path(pem) as path:
        try:
            context.load_verify_locations(path)
        except (ssl.SSLError, OSError) as error:
            raise ServerTlsError(pem.key, "contains no certificate in PEM format") from error


def _check_readable(pem: PemSource) -> None:
    if pem.file is None:
        return
    try:
        if not stat.S_ISREG(pem.file.stat().st_mode):  # opening a pipe could block for ever
            raise ServerTlsError(pem.key, f"'{pem.file}' is not a regular file")
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


def _describe_error(pem: PemSource, private_key: PemSource) -> str:
    what = "private key" if pem is private_key else "certificate"
    return f"contains no {what} in PEM format that OpenSSL accepts"


class _EncryptedError(Exception):
    pass


def _refuse_password() -> str:
    """Reject encrypted keys: without this, OpenSSL asks for a passphrase on the terminal."""
    raise _EncryptedError


@contextmanager
def _path(pem: PemSource) -> Iterator[str]:
    """Yield a path that OpenSSL can open; PEM text from web.yml is never written to disk."""
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


WATCH_SECONDS = 2.5
"""How often to look at the files where their changes are not notified."""
_STILL_SECONDS = 0.5

_Signature = tuple[Signature, ...]
"""Of each file: inode, size and modification time; None if it does not exist."""


class WebConfigReloader:
    """Reloads web.yml when it changes. `access` and `context` are the current ones.

    Connections that are open keep the TLS context that they were made with.
    """

    def __init__(
        self,
        access: AccessPolicy | None = None,
        reread: Callable[[], AccessPolicy] | None = None,
        logger: structlog.typing.FilteringBoundLogger | None = None,
        period_seconds: float = WATCH_SECONDS,
    ) -> None:
        """Create the first context; raises TlsConfigurationError. `reread` raises ProberError."""
        self.access = access or AccessPolicy()
        self._used = _signature(self.access.files)
        self.context: ssl.SSLContext | None = _context(self.access)
        self._reread = reread
        self._logger = logger or structlog.get_logger("prober")
        self._period_seconds = period_seconds
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start to watch the files, if there are any."""
        if self._reread is not None and self.access.files:
            self._task = asyncio.create_task(self._watch(self._reread), name="web access")

    async def close(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self, reread: Callable[[], AccessPolicy]) -> None:
        """Reload once the files have not changed for a while: they may still be being written."""
        still_seconds = min(_STILL_SECONDS, self._period_seconds)
        with closing(FileChanges()) as changes:
            while True:
                files = self.access.files
                await changes.watch(files)
                if await asyncio.to_thread(_signature, files) != self._used:
                    seen = await until_still(partial(_signature, files), still_seconds)
                    if seen != self._used:
                        await self._apply(reread)
                        # Other files now: they may have changed before they were watched.
                        self._used = seen if self.access.files == files else ()
                    continue
                await changes.wait(self._period_seconds)

    async def _apply(self, reread: Callable[[], AccessPolicy]) -> None:
        try:
            access, context = await asyncio.to_thread(_load_context, reread)
            error_text = refuse_downgrade(self.access, access)
        except ProberError as error:
            error_text = str(error)
        if error_text is not None:
            self._logger.error(
                "web_config.reload_rejected",
                message=f"{error_text}; the previous configuration stays in use",
            )
            return
        self.access, self.context = access, context
        self._logger.info("web_config.reloaded", users=len(access.users), tls=context is not None)


def _load_context(reread: Callable[[], AccessPolicy]) -> tuple[AccessPolicy, ssl.SSLContext | None]:
    access = reread()
    return access, _context(access)


def _context(access: AccessPolicy) -> ssl.SSLContext | None:
    return None if access.tls is None else server_context(access.tls)


def _signature(files: tuple[Path, ...]) -> _Signature:
    return tuple(map(file_signature, files))
