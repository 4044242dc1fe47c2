"""The edge: adds probes to a configuration file, and keeps its comments, order and style.

A file is replaced as a whole, or not at all: the new text is checked before, and written beside the
old one. A private file is readable by its owner alone from its creation on.
"""

import io
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import CommentMark, YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString
from ruamel.yaml.tokens import CommentToken

from prober.config.yaml import read_yaml
from prober.errors import ProberError
from prober.file_signature import Signature, file_signature

PRIVATE = 0o600
_WIDTH = 4096
_TEXT_TAG = "tag:yaml.org,2002:str"
_MAX_IN_ONE_LINE = 5
_SEQUENCE = re.compile(
    r"^( *)[^\s#-][^\n]*:[ \t]*(?:#[^\n]*)?\n(?:[ \t]*(?:#[^\n]*)?\n)*( *)- ", re.MULTILINE
)
_MAPPING = re.compile(r"^( *)[^\s#-][^\n:]*:[ \t]*(?:#[^\n]*)?\n( +)[^\s#-][^\n:]*:", re.MULTILINE)


class EditError(ProberError):
    """A file cannot be edited or written; the text says why, and what to do."""


def with_probes(
    text: str,
    tenant: int,
    probes: Sequence[Mapping[str, str]],
    inherited: Sequence[object] = (),
) -> str:
    """Return the text of a file with probes added to its tenant at position `tenant`.

    A tenant without probes of its own gets a list of them, with the `inherited` ones first. Raises
    EditError if anything else would change.
    """
    editor = _editor(text)
    try:
        document = editor.load(text)
        entry = document["tenants"][tenant]
        own = "probes" in dict(entry.items()) and not _is_shared(document, entry)
    except (YAMLError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise EditError("the file cannot be edited: add the probes by hand") from error
    listed = entry["probes"] if own else _list_like(entry, inherited)
    _append(listed, probes)
    entry["probes"] = listed
    if not entry.fa.flow_style() and len(listed) > _MAX_IN_ONE_LINE and listed.fa.flow_style():
        listed.fa.set_block_style()
        _move_following_comments(entry, listed)
    out = io.StringIO()
    editor.dump(document, out)
    edited = out.getvalue()
    _require_same_rest(text, edited, tenant)
    return edited


def _editor(text: str) -> YAML:
    """Return a round-trip editor that writes in the style of `text`."""
    editor = YAML()
    editor.preserve_quotes = True
    editor.width = _WIDTH
    editor.allow_duplicate_keys = True
    editor.explicit_start = bool(re.match(r"(?:[ \t]*(?:#[^\n]*)?\n)*---\s", text))
    sequence, mapping = _SEQUENCE.search(text), _MAPPING.search(text)
    offset = len(sequence[2]) - len(sequence[1]) if sequence else 2
    step = len(mapping[2]) - len(mapping[1]) if mapping else 2
    editor.indent(mapping=max(1, step), sequence=max(0, offset) + 2, offset=max(0, offset))
    return editor


def _is_shared(document: CommentedMap, entry: CommentedMap) -> bool:
    """Return whether the list of probes also belongs to others: by an alias or a merge key."""
    listed = entry["probes"]
    if listed.anchor.value is not None:
        return True
    others = [each for each in document["tenants"] if each is not entry]
    return any(each.get("probes") is listed for each in others if isinstance(each, Mapping)) or (
        any(isinstance(each, Mapping) and each.get("probes") is listed for each in _merged(entry))
    )


def _merged(entry: CommentedMap) -> list[object]:
    return [each for _, each in getattr(entry, "merge", ())]


def _list_like(entry: CommentedMap, inherited: Sequence[object]) -> CommentedSeq:
    """Return a list of probes to replace the present one of a tenant, if it has one."""
    present = entry.get("probes")
    listed = CommentedSeq(list(present) if present is not None else list(inherited))
    if entry.fa.flow_style():
        listed.fa.set_flow_style()
    return listed


def _append(listed: CommentedSeq, probes: Sequence[Mapping[str, str]]) -> None:
    for probe in probes:
        if set(probe) == {"use"}:
            listed.append(probe["use"])
            continue
        item = CommentedMap((key, _as_text(value)) for key, value in probe.items())
        item.fa.set_flow_style()
        listed.append(item)


def _as_text(value: str) -> str:
    """Return a text that is read as such: in quotes if it looks like a number, a date or `no`."""
    node = yaml.compose(value, Loader=yaml.SafeLoader)
    is_text = node is not None and node.tag == _TEXT_TAG
    return value if is_text else DoubleQuotedScalarString(value)


def _move_following_comments(entry: CommentedMap, listed: CommentedSeq) -> None:
    """Move comments in the lines after a list in one line to the end of the list in many lines."""
    tokens = entry.ca.items.get("probes")
    if not tokens or tokens[2] is None:
        return
    first, separator, following = tokens[2].value.partition("\n")
    if following:
        tokens[2].value = first + separator
        mark = CommentMark(0)
        listed.ca.items[len(listed) - 1] = [CommentToken(f"\n{following}", mark, None), None]


def _require_same_rest(before: str, after: str, tenant: int) -> None:
    """Raise EditError if anything but the tenant's probes has changed, or a comment is lost."""
    old, new = read_yaml(before, "before"), read_yaml(after, "after")
    contents = [dict(document.content) for document, _ in (old, new)]
    for content in contents:
        entries = content.get("tenants")
        if isinstance(entries, list):
            content["tenants"] = [
                {key: value for key, value in each.items() if key != "probes"}
                if number == tenant and isinstance(each, dict)
                else each
                for number, each in enumerate(entries)
            ]
    lines = set(map(str.strip, after.splitlines()))
    comments = {line.strip() for line in before.splitlines() if line.lstrip().startswith("#")}
    if new[1] or contents[0] != contents[1] or comments - lines:
        raise EditError("editing the file would change more than the probes: add them by hand")


def replace_file(path: Path, text: str, expected: Signature) -> None:
    """Replace a file atomically; its mode stays, and so does a symbolic link to it.

    Raises EditError if the file has changed since `expected`, or cannot be written.
    """
    target = Path(os.path.realpath(path))
    try:
        mode = target.stat().st_mode & 0o777
        temporary = _write_beside(target, text, mode)
        try:
            if file_signature(target) != expected:
                raise EditError(f"{path} was changed meanwhile: nothing was written, try again")
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_directory(target.parent)
    except OSError as error:
        raise EditError(f"{path} cannot be written: {error.strerror}") from error


def create_file(path: Path, text: str, mode: int, *, force: bool = False) -> None:
    """Create a file with this mode; it never has a wider one.

    An existing file, or a link of that name, is replaced only with `force`. Raises EditError.
    """
    try:
        if force:
            temporary = _write_beside(path, text, mode)
            try:
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
        else:
            _write_new(path, text, mode)
        _sync_directory(path.parent)
    except FileExistsError as error:
        message = f"{path} exists: nothing was written to it; --force replaces it"
        raise EditError(message) from error
    except OSError as error:
        raise EditError(f"{path} cannot be written: {error.strerror}") from error


def _write_beside(path: Path, text: str, mode: int) -> Path:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    _write_new(temporary, text, mode)
    return temporary


def _write_new(path: Path, text: str, mode: int) -> None:
    """Write a file that must not exist; on any error there is none."""
    # Private at first, whatever the mode and the umask: what is not written yet needs no reader.
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


def _sync_directory(path: Path) -> None:
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
