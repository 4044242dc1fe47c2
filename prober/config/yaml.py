"""YAML with positions: the content of a file, and the line of each key in it.

Size, depth and number of values are limited, so that no file can exhaust memory or time.
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from prober.errors import ConfigProblem, SettingsError

MAX_NODES = 200_000
MAX_DEPTH = 50
_UNUSABLE = re.compile(
    "[\0\ud800-\udfff]"
)  # Python raises for a path or a header with one of these
_UNUSABLE_MESSAGE = "contains a NUL or an unpaired surrogate, which no path or header may contain"
_MERGE_TAG = "tag:yaml.org,2002:merge"
_LIBYAML_DEPTH_ERROR = "exceeded maximum nesting depth"

KeyPath = tuple[str | int, ...]

_Pair = tuple[yaml.Node, yaml.Node]

Note = tuple[KeyPath, str]
"""A key path with a message about it: a problem or a warning."""


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """The content of a YAML file, and the line of every key path in it, from 1."""

    content: Mapping[str, object]
    lines: Mapping[KeyPath, int]

    def line_of(self, path: KeyPath) -> int | None:
        """Return the line of `path`, or of the nearest mapping above it."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None


@dataclass(slots=True)
class _Progress:
    file: str
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[ConfigProblem] = field(default_factory=list)
    nodes: int = 0
    scalars: yaml.SafeLoader = field(default_factory=lambda: yaml.SafeLoader(""))

    def problem(self, line: int, path: KeyPath, message: str) -> None:
        """Add a problem of the key at `path`."""
        self.problems.append(ConfigProblem(self.file, line, format_key_path(path), message))


class _TooLargeError(Exception):
    pass


def read_yaml(
    text: str, file: str, example: str = "tenants: ..."
) -> tuple[YamlDocument, tuple[ConfigProblem, ...]]:
    """Return the content of `text` and its syntax problems. Pure; never raises.

    Aliases are expanded, but to at most `MAX_NODES` values: nested aliases can mean billions.
    `example` is shown if the file is not a mapping.
    """
    progress = _Progress(file)
    try:
        node = _compose(text)
        content = {} if node is None else _value(node, (), progress)
    except yaml.YAMLError as error:
        return YamlDocument({}, {}), (_syntax_problem(error, text, file),)
    except (_TooLargeError, RecursionError):
        message = f"too large: more than {MAX_NODES} values, or nested deeper than {MAX_DEPTH}"
        return YamlDocument({}, {}), (ConfigProblem(file, None, "", message),)
    if not isinstance(content, dict):
        progress.problems.append(
            ConfigProblem(file, 1, "", f"the file must be a mapping: '{example}'")
        )
        content = {}
    return YamlDocument(content, progress.lines), tuple(progress.problems)


def format_key_path(path: KeyPath) -> str:
    """Return a key path as text: `tenants[0].token.file`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _compose(text: str) -> yaml.Node | None:
    """Return the root node of `text`; raises yaml.YAMLError, _TooLargeError, RecursionError.

    libyaml is ten times as fast as the pure Python parser, whose error messages are better. So a
    text that libyaml rejects is parsed again. Depth is checked before: on very deep nesting libyaml
    crashes, and the Python parser takes seconds.
    """
    try:
        if yaml.__with_libyaml__:
            _check_depth(text)
            return yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        if getattr(error, "problem", "") == _LIBYAML_DEPTH_ERROR:
            raise _TooLargeError from error
    return yaml.compose(text, Loader=yaml.SafeLoader)


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise _TooLargeError


def _value(node: yaml.Node, path: KeyPath, progress: _Progress) -> object:
    progress.nodes += 1
    if progress.nodes > MAX_NODES or len(path) > MAX_DEPTH:
        raise _TooLargeError
    progress.lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, progress)
    if isinstance(node, yaml.SequenceNode):
        return [_value(child, (*path, number), progress) for number, child in enumerate(node.value)]
    try:
        value: object = progress.scalars.construct_object(node)
    except (ValueError, yaml.YAMLError):
        message = "cannot be read as a value: put it in quotes"
    else:
        if not (isinstance(value, str) and _UNUSABLE.search(value)):
            return value
        message = _UNUSABLE_MESSAGE
    progress.problem(progress.lines[path], path, message)
    return None


def _mapping(node: yaml.MappingNode, path: KeyPath, progress: _Progress) -> dict[str, object]:
    content: dict[str, object] = {}
    merged: list[_Pair] = []
    for key_node, value_node in node.value:
        key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
        here = (*path, key)
        line = key_node.start_mark.line + 1
        if key_node.tag == _MERGE_TAG:
            if merged:
                progress.problem(line, here, "is written twice: write one list, '<<: [*a, *b]'")
            merged += _merged_pairs(value_node, here, progress)
            continue
        if _UNUSABLE.search(key):
            progress.problem(line, path, _UNUSABLE_MESSAGE)
            continue
        if key in content:
            progress.problem(line, here, "is written twice: keep one of them")
        progress.lines[here] = line
        content[key] = _value(value_node, here, progress)
    for key_node, value_node in merged:
        key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
        if key not in content and not _UNUSABLE.search(key):
            progress.lines[(*path, key)] = key_node.start_mark.line + 1
            content[key] = _value(value_node, (*path, key), progress)
    return content


def _merged_pairs(
    node: yaml.Node, at: KeyPath, progress: _Progress, depth: int = 0
) -> Iterator[_Pair]:
    """Yield the keys and values that a merge key `<<` adds, those that win first.

    See https://yaml.org/type/merge.html: a mapping or a list of mappings, each of which may have a
    merge key of its own. Raises _TooLargeError for a mapping that merges itself.
    """
    for each in node.value if isinstance(node, yaml.SequenceNode) else [node]:
        if not isinstance(each, yaml.MappingNode):
            message = "takes a mapping or a list of them, mostly by their aliases: '<<: *common'"
            progress.problem(node.start_mark.line + 1, at, message)
            continue
        progress.nodes += 1 + len(each.value)
        if depth > MAX_DEPTH or progress.nodes > MAX_NODES:
            raise _TooLargeError
        yield from (pair for pair in each.value if pair[0].tag != _MERGE_TAG)
        for key_node, value_node in each.value:
            if key_node.tag == _MERGE_TAG:
                yield from _merged_pairs(value_node, at, progress, depth + 1)


def _syntax_problem(error: yaml.YAMLError, text: str, file: str) -> ConfigProblem:
    if not isinstance(error, yaml.MarkedYAMLError):  # a yaml.reader.ReaderError, with a position
        lines_before = text.count("\n", 0, getattr(error, "position", 0))
        return ConfigProblem(file, lines_before + 1, "", "not YAML: contains a control character")
    what = ", ".join(filter(None, (error.context, error.problem)))
    if r"'\t'" in what:
        what += ": indent with spaces, not with tabs"
    line, begun = (
        None if mark is None else mark.line + 1 for mark in (error.problem_mark, error.context_mark)
    )
    start = f"; it starts on line {begun}" if begun not in {None, line} else ""
    return ConfigProblem(file, line, "", f"not YAML: {what}{start}")


MAX_FILE_BYTES = 4 * 1024 * 1024


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_text(path: Path) -> str:
    """Return the text of the file `path`; raises SettingsError."""
    try:
        # To open a pipe waits for a writer, maybe for ever; what is replaced in between is read
        # without waiting all the same.
        if not stat.S_ISREG(path.stat().st_mode):
            raise SettingsError((ConfigProblem(str(path), None, "", "is not a regular file"),))
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
