"""YAML with positions: what a file says, and on which line each key stands.

A file's text, read within bounds.
"""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from prober.errors import ConfigProblem, SettingsError

MAX_NODES = 200_000
MAX_DEPTH = 50
_UNUSABLE = re.compile("[\0\ud800-\udfff]")  # a path or a header with it makes Python raise
_UNUSABLE_TOLD = "holds a NUL or half a surrogate pair, which nothing takes"
_DEEPER_THAN_LIBYAML_GOES = "exceeded maximum nesting depth"

KeyPath = tuple[str | int, ...]

Note = tuple[KeyPath, str]
"""A key path, and what is to be said of it."""


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """The content of a YAML file, and the line of every key path in it."""

    content: Mapping[str, object]
    lines: Mapping[KeyPath, int]

    def line_of(self, path: KeyPath) -> int | None:
        """Return the line of `path`, or of the nearest mapping above it."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None


@dataclass(slots=True)
class _Reading:
    file: str
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[ConfigProblem] = field(default_factory=list)
    nodes: int = 0
    scalars: yaml.SafeLoader = field(default_factory=lambda: yaml.SafeLoader(""))


class _TooMuchError(Exception):
    pass


def read_yaml(
    text: str, file: str, example: str = "tenants: ..."
) -> tuple[YamlDocument, tuple[ConfigProblem, ...]]:
    """Return what `text` says and what is wrong with it as YAML; pure, never raises.

    Aliases are followed, but no more than `MAX_NODES` values are made.
    """
    reading = _Reading(file)
    try:
        node = _compose(text)
        content = {} if node is None else _value(node, (), reading)
    except yaml.YAMLError as error:
        return YamlDocument({}, {}), (_syntax_problem(error, text, file),)
    except (_TooMuchError, RecursionError):
        message = f"too large: more than {MAX_NODES} values, or nested deeper than {MAX_DEPTH}"
        return YamlDocument({}, {}), (ConfigProblem(file, None, "", message),)
    if not isinstance(content, dict):
        reading.problems.append(
            ConfigProblem(file, 1, "", f"the file must be a mapping: '{example}'")
        )
        content = {}
    return YamlDocument(content, reading.lines), tuple(reading.problems)


def format_key_path(path: KeyPath) -> str:
    """Return a key path as people write it: `tenants[0].token.file`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _compose(text: str) -> yaml.Node | None:
    """Return the root of `text`; raises yaml.YAMLError, _TooMuchError, RecursionError.

    libyaml is ten times as fast as Python's own reader, which words errors better. On text that is
    nested without end, the one would crash and the other take seconds.
    """
    try:
        if yaml.__with_libyaml__:
            _refuse_depth(text)
            return yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        if getattr(error, "problem", "") == _DEEPER_THAN_LIBYAML_GOES:
            raise _TooMuchError from error
    return yaml.compose(text, Loader=yaml.SafeLoader)


def _refuse_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise _TooMuchError


def _value(node: yaml.Node, path: KeyPath, reading: _Reading) -> object:
    reading.nodes += 1
    if reading.nodes > MAX_NODES or len(path) > MAX_DEPTH:
        raise _TooMuchError
    reading.lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, reading)
    if isinstance(node, yaml.SequenceNode):
        return [_value(child, (*path, number), reading) for number, child in enumerate(node.value)]
    try:
        value: object = reading.scalars.construct_object(node)
    except (ValueError, yaml.YAMLError):
        message = "cannot be read as a value: put it in quotes"
    else:
        if not (isinstance(value, str) and _UNUSABLE.search(value)):
            return value
        message = _UNUSABLE_TOLD
    reading.problems.append(
        ConfigProblem(reading.file, reading.lines[path], format_key_path(path), message)
    )
    return None


def _mapping(node: yaml.MappingNode, path: KeyPath, reading: _Reading) -> dict[str, object]:
    content: dict[str, object] = {}
    for key_node, value_node in node.value:
        key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
        here = (*path, key)
        line = key_node.start_mark.line + 1
        if _UNUSABLE.search(key):
            reading.problems.append(
                ConfigProblem(reading.file, line, format_key_path(path), _UNUSABLE_TOLD)
            )
            continue
        if key in content:
            reading.problems.append(
                ConfigProblem(
                    reading.file, line, format_key_path(here), "stands here twice: keep one of them"
                )
            )
        reading.lines[here] = line
        content[key] = _value(value_node, here, reading)
    return content


def _syntax_problem(error: yaml.YAMLError, text: str, file: str) -> ConfigProblem:
    if not isinstance(error, yaml.MarkedYAMLError):  # then it is the reader's, with a position
        lines_before = text.count("\n", 0, getattr(error, "position", 0))
        return ConfigProblem(
            file, lines_before + 1, "", "not YAML: a control character stands there"
        )
    what = ", ".join(filter(None, (error.context, error.problem)))
    line, begun = (
        None if mark is None else mark.line + 1 for mark in (error.problem_mark, error.context_mark)
    )
    since = f"; it began on line {begun}" if begun not in {None, line} else ""
    return ConfigProblem(file, line, "", f"not YAML: {what}{since}")


MAX_FILE_BYTES = 4 * 1024 * 1024


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_text(path: Path) -> str:
    """Return what `path` holds; raises SettingsError."""
    try:
        # To open a pipe waits for a writer, maybe for ever; what is replaced in between is read
        # without waiting all the same.
        if not stat.S_ISREG(path.stat().st_mode):
            raise SettingsError((ConfigProblem(str(path), None, "", "is no regular file"),))
        with open(path, "rb", opener=_open_without_waiting) as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SettingsError(
            (ConfigProblem(str(path), None, "", f"cannot be read: {why}"),)
        ) from error
    if len(content) > MAX_FILE_BYTES:
        raise SettingsError((ConfigProblem(str(path), None, "", "is larger than 4 MiB"),))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(
            (ConfigProblem(str(path), None, "", "is not UTF-8 text: save it as UTF-8"),)
        ) from error
