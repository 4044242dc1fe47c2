"""Small JSON files of the state directory that are read and written as a whole."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

_T = TypeVar("_T")

OnDamaged = Callable[[Path, str], None]
"""Called with a file that cannot be used, and why."""


def read_state_file(
    file: Path, adapter: TypeAdapter[_T], max_bytes: int, on_damaged: OnDamaged | None = None
) -> _T | None:
    """Return the content of a file; None if it is missing or cannot be used. Raises OSError."""
    try:
        # Without O_NONBLOCK, opening a pipe would wait for a writer.
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb", buffering=0) as opened:
        is_regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        content = opened.read(max_bytes + 1) if is_regular else b""
    if not is_regular:
        reason = "it is not a regular file"
    elif len(content) > max_bytes:
        reason = f"it is longer than {max_bytes} bytes"
    else:
        try:
            return adapter.validate_json(content)
        except ValidationError as error:
            reason = f"it is corrupt: {error.errors(include_url=False)[0]['msg']}"
    if on_damaged is not None:
        on_damaged(file, reason)
    return None


def write_state_file(file: Path, content: bytes) -> None:
    """Write a file, whole or not at all. Raises OSError."""
    new = file.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    new.replace(file)
