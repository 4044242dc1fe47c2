"""A signature of a file that changes whenever the file does. Blocks as long as the disk does."""

import os
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
