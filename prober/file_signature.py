"""Signatures of files, which change whenever a file does. Blocks as long as the disk does."""

import glob
import os
from dataclasses import dataclass
from pathlib import Path

Signature = tuple[int, ...]


def stat_signature(status: os.stat_result) -> Signature:
    """Return a value that differs whenever the file was changed or replaced.

    It includes the inode's ctime, which no program can set: a writer that restores the mtime of a
    file still changes its ctime.
    """
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def file_signature(path: Path | str) -> Signature:
    """Return the signature of a file, following symbolic links; empty if it cannot be read."""
    try:
        return stat_signature(os.stat(path))  # noqa: PTH116 -- a path of either kind
    except OSError:
        return ()


@dataclass(frozen=True, slots=True)
class ConfigSources:
    """The files of a configuration, the main one first, and the absolute patterns of includes."""

    files: tuple[Path, ...]
    patterns: tuple[str, ...] = ()


def sources_signature(sources: ConfigSources) -> tuple[tuple[str, Signature], ...]:
    """Return a value that changes when a file changes, appears or disappears."""
    matching = {path for pattern in sources.patterns for path in matching_files(pattern)}
    return tuple(
        (str(path), file_signature(path))
        for path in dict.fromkeys([*sources.files, *sorted(matching)])
    )


def included_directories(sources: ConfigSources) -> frozenset[Path]:
    """Return the directories in which files may appear that patterns of includes match."""
    found: set[Path] = set()
    for pattern in sources.patterns:
        directory = os.path.dirname(pattern)  # noqa: PTH120 -- as the pattern is written
        found.update(matching_files(directory))
        while glob.has_magic(directory):  # a directory that matches may appear, too
            directory = os.path.dirname(directory)  # noqa: PTH120
        found.add(Path(directory))
    return frozenset(found)


def matching_files(pattern: str) -> list[Path]:
    """Return the files that match a pattern, sorted by name."""
    try:
        return [Path(path) for path in sorted(glob.glob(pattern))]  # noqa: PTH207 -- with directory
    except (OSError, ValueError):  # a NUL in the pattern
        return []
