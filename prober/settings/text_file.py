"""A file's text, read within bounds."""

from pathlib import Path

from prober.errors import Problem, SettingsError

MAX_FILE_BYTES = 4 * 1024 * 1024


def read_text(path: Path) -> str:
    """Return what `path` holds; raises SettingsError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SettingsError(
            (Problem(str(path), None, "", f"cannot be read: {error.strerror}"),)
        ) from error
    if len(content) > MAX_FILE_BYTES:
        raise SettingsError((Problem(str(path), None, "", "is larger than 4 MiB"),))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(
            (Problem(str(path), None, "", "is not UTF-8 text: save it as UTF-8"),)
        ) from error
