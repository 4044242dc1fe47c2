"""Small JSON files of the state directory that are read and written as a whole."""

import os
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

_T = TypeVar("_T")


def read_state_file(file: Path, adapter: TypeAdapter[_T], max_bytes: int) -> _T | None:
    """Return the content of a file; None if it is missing, damaged or too long. Raises OSError."""
    try:
        if file.stat().st_size > max_bytes:
            return None
        return adapter.validate_json(file.read_bytes())
    except (FileNotFoundError, ValidationError):
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
