"""What changes with a file whenever the file does. Blocks for as long as the disk does."""

import os
from pathlib import Path

Version = tuple[int, ...]


def stat_signature(status: os.stat_result) -> Version:
    """Return what tells one state of a file from another.

    The inode's own time counts: nobody can set it back, and a writer who keeps the file's time
    does not keep that.
    """
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def file_version(path: Path | str) -> Version:
    """Return the version of a file, symbolic links followed; empty if there is none to be had."""
    try:
        return stat_signature(os.stat(path))  # noqa: PTH116 -- a path of either kind
    except OSError:
        return ()
