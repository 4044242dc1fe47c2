"""The edge: reads values of custom probes from files and environment variables."""

import stat
from collections.abc import Mapping
from pathlib import Path

from prober.config.schema import CustomProbe
from prober.config.text_schema import Text, is_header_value
from prober.config.yaml import KeyPath, Note

MAX_TEXT_BYTES = 16 * 1024


def with_texts(
    custom: CustomProbe, directory: Path, environ: Mapping[str, str]
) -> tuple[CustomProbe, list[Note]]:
    """Return a probe with the values of its headers and parameters read, and the problems."""
    problems: list[Note] = []
    parts: dict[str, dict[str, Text]] = {"headers": {}, "query": {}}
    for part, texts in (("headers", custom.headers), ("query", custom.query)):
        for name, text in texts.items():
            at: KeyPath = (part, name)
            try:
                value = _read(text, directory, environ)
            except ValueError as error:
                problems.append((at, str(error)))
                continue
            if part == "headers" and not is_header_value(value):
                problems.append((at, "contains characters that HTTP does not allow in a header"))
            secret = text.is_secret(name)
            parts[part][name] = Text(value=value, secret=secret)
    return custom.model_copy(update=parts), problems


def _read(text: Text, directory: Path, environ: Mapping[str, str]) -> str:
    """Return a text; raises ValueError with the problem, but never with what was read."""
    if text.env is not None:
        if text.env not in environ:
            raise ValueError(f"the environment variable {text.env} is not set")
        return environ[text.env].strip()
    if text.file is None:
        return text.value or ""
    path = directory / text.file
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe could block for ever
            raise ValueError(f"{path} is not a regular file")
        with path.open("rb") as file:
            content = file.read(MAX_TEXT_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > MAX_TEXT_BYTES:
        raise ValueError(f"{path} is longer than {MAX_TEXT_BYTES} bytes")
    try:
        return content.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None
