"""The edge: warnings about the files and variables that a configuration names.

Nothing is opened: a file is looked up by name, and its permissions are compared.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from prober.config.resolve import Config
from prober.config.yaml import KeyPath, Note
from prober.models import Tenant, TokenSource, TokenSourceKind

_READABLE_BY_ALL = stat.S_IROTH
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_USABLE_BY_OTHERS = stat.S_IRGRP | stat.S_IROTH | _WRITABLE_BY_OTHERS


def missing_source_warnings(config: Config, environ: Mapping[str, str]) -> list[Note]:
    """Return warnings about files that are missing or unreadable, and variables that are not set.

    These are no errors: often another machine or another user validates the configuration.
    """
    warnings: list[Note] = []
    for number, tenant in enumerate(config.tenants):
        at: KeyPath = ("tenants", number)
        path, source = secret_source(tenant)
        if source.kind is TokenSourceKind.ENVIRONMENT:
            problem = _variable_problem(source.location, environ)
        else:
            problem = _file_problem(Path(source.location))
        if problem is not None:
            warnings.append(((*at, *path), problem))
        for key, file in transport_files(tenant):
            if (problem := _file_problem(file)) is not None:
                warnings.append(((*at, *key), problem))
    return warnings


def permission_warnings(config: Config) -> list[Note]:
    """Return warnings about secrets and state that other users of the machine can read or change.

    Group access to files is common for mounted secrets, so only access by all is reported there.
    """
    warnings: list[Note] = []
    for number, tenant in enumerate(config.tenants):
        at: KeyPath = ("tenants", number)
        path, source = secret_source(tenant)
        if source.kind is TokenSourceKind.FILE:
            warnings += _secret_file_warnings((*at, *path), Path(source.location))
        if (key_file := tenant.transport.client_key_file) is not None:
            warnings += _secret_file_warnings((*at, "client_certificate", "key"), key_file)
    return warnings + _state_warnings(config.state_directory)


def secret_source(tenant: Tenant) -> tuple[KeyPath, TokenSource]:
    """Return the variable or file with a tenant's token or client secret, and its key."""
    source = tenant.token
    if source.client is None:
        return ("token", source.kind.value), source
    secret = source.client.secret
    return ("token", "oauth", "client_secret", secret.kind.value), secret


def transport_files(tenant: Tenant) -> Iterator[tuple[KeyPath, Path]]:
    """Yield the files of a tenant's transport (CA, client certificate and key) with their keys."""
    transport = tenant.transport
    for key, file in (
        (("ca_file",), transport.ca_file),
        (("client_certificate", "certificate"), transport.client_certificate_file),
        (("client_certificate", "key"), transport.client_key_file),
    ):
        if file is not None:
            yield key, file


def _variable_problem(name: str, environ: Mapping[str, str]) -> str | None:
    if name not in environ:
        return f"the environment variable {name} is not set here"
    if not environ[name].strip():
        return f"the environment variable {name} is empty"
    return None


def _file_problem(path: Path) -> str | None:
    """Return why a file cannot be used, None if it probably can. Does not open it."""
    try:
        status = path.stat()
    except ValueError:  # a NUL in the path
        return f"{str(path)!r} is not a path"
    except OSError as error:
        return f"the file {path} cannot be read: {error.strerror}"
    if not stat.S_ISREG(status.st_mode):
        return f"{path} is not a regular file"
    if not os.access(path, os.R_OK):
        return f"the file {path} cannot be read by this user"
    return f"the file {path} is empty" if status.st_size == 0 else None


def _mode(path: Path) -> int:
    """Return the mode of a file, 0 if there is none."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return 0


def _secret_file_warnings(at: KeyPath, path: Path) -> list[Note]:
    mode = _mode(path)
    if mode & _READABLE_BY_ALL:
        message = f"every user of this machine can read {path}: use 'chmod o= {path}'"
    elif mode & stat.S_IWOTH:
        message = f"every user of this machine can change {path}: use 'chmod o= {path}'"
    else:
        return []
    return [(at, message)]


def _state_warnings(directory: Path) -> list[Note]:
    """Return warnings about the state directory and the databases in it.

    Databases in a directory that others cannot enter are out of their reach, whatever their mode.
    """
    at: KeyPath = ("state", "directory")
    mode = _mode(directory)
    warnings: list[Note] = []
    if mode & (_WRITABLE_BY_OTHERS | _READABLE_BY_ALL):
        what = "change" if mode & _WRITABLE_BY_OTHERS else "list"
        warnings.append((at, f"other users can {what} {directory}: use 'chmod 700 {directory}'"))
    if mode & (stat.S_IXOTH | stat.S_IXGRP):
        warnings += [
            (at, f"other users can read {file}: use 'chmod 600 {file}'")
            for file in sorted(directory.glob("*.sqlite3*"))
            if _mode(file) & _USABLE_BY_OTHERS
        ]
    return warnings
