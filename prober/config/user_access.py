"""Whether another user may read the files that a configuration names.

The root user can read everything, so that `validate` as root would find nothing wrong where the
daemon, under its own user, then does. Judged by owner, group and mode; access control lists are not
looked at.
"""

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prober.config.file_checks import secret_source, transport_files
from prober.config.resolve import Config
from prober.config.yaml import KeyPath, Note
from prober.models import TokenSourceKind


@dataclass(frozen=True, slots=True)
class User:
    """A user by numbers, as the kernel judges it."""

    name: str
    uid: int
    gids: frozenset[int]


def find_user(text: str) -> User:
    """Return the user of `USER` or `USER:GROUP,GROUP`, names or numbers; raises ValueError.

    Without groups, those that the system has for a user of that name.
    """
    name, colon, groups = text.partition(":")
    uid, gids = _user(name)
    if colon:
        gids |= {_group(each) for each in groups.split(",")}
    return User(text, uid, frozenset(gids))


def _user(name: str) -> tuple[int, set[int]]:
    if name.isascii() and name.isdigit():
        return int(name), {int(name)}
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise ValueError(f"there is no user '{name}' on this machine") from None
    return entry.pw_uid, {entry.pw_gid, *os.getgrouplist(name, entry.pw_gid)}


def _group(name: str) -> int:
    if name.isascii() and name.isdigit():
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ValueError(f"there is no group '{name}' on this machine") from None


def access_warnings(config: Config, user: User) -> list[Note]:
    """Return a warning for each file that exists and that a user may not read."""
    warnings: list[Note] = []
    for path, file in _files(config):
        barrier = barrier_for(file, user)
        if barrier is not None:
            verb = "read" if barrier == file.absolute() else "enter"
            message = f"{user.name} may not {verb} {barrier}"
            warnings.append(
                (path, message if verb == "read" else f"{message}, and so not read {file}")
            )
    return warnings


def _files(config: Config) -> Iterator[tuple[KeyPath, Path]]:
    yield (), config.source
    for number, tenant in enumerate(config.tenants):
        path, source = secret_source(tenant)
        if source.kind is TokenSourceKind.FILE:
            yield ("tenants", number, *path), Path(source.location)
        for key, file in transport_files(tenant):
            yield ("tenants", number, *key), file
    if config.web_config_file is not None:
        at: KeyPath = ("web", "config_file")
        yield at, config.web_config_file
        tls = config.access.tls
        for source_of in () if tls is None else (tls.certificate, tls.private_key, tls.client_ca):
            if source_of is not None and source_of.file is not None:
                yield at, source_of.file


def barrier_for(file: Path, user: User) -> Path | None:
    """Return the directory that a user may not enter, or the file that it may not read.

    None if there is no barrier, or if the file cannot be found. Symbolic links are followed.
    """
    try:
        resolved = file.absolute().resolve(strict=True)
        for directory in reversed(resolved.parents):
            if not _may(directory.stat(), user, stat.S_IXOTH):
                return directory
        return None if _may(resolved.stat(), user, stat.S_IROTH) else file.absolute()
    except (OSError, ValueError):
        return None


def _may(status: os.stat_result, user: User, right: int) -> bool:
    """Return whether the bit `right` (in its place for others) is set for a user.

    The first class that a user belongs to decides, even if a later one would allow more.
    """
    if user.uid == 0:
        return True
    if status.st_uid == user.uid:
        return bool(status.st_mode & right << 6)
    if status.st_gid in user.gids:
        return bool(status.st_mode & right << 3)
    return bool(status.st_mode & right)
