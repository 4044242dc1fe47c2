"""The edge: reads the configuration file and the files that it includes, as one document.

An included file may have `tenants` and `maintenance`, which follow those of the including file,
`probes` and `probe_sets`, which are added by name, and `include`. Every value keeps its file and
line, for error messages, and its directory, for relative paths.
"""

import glob
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from prober.config.strict_model import EXTENSION
from prober.config.yaml import KeyPath, YamlDocument, format_key_path, read_text, read_yaml
from prober.errors import ConfigProblem, SettingsError
from prober.file_signature import ConfigSources, matching_files

MAX_FILES = 5_000
MAX_INCLUDE_DEPTH = 20
"""The limit of nested includes."""
_LISTS = ("tenants", "maintenance")
_MAPPINGS = ("probes", "probe_sets")
_MAY_INCLUDE = (*_LISTS, *_MAPPINGS, "include")
_WILDCARDS = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    document: YamlDocument


@dataclass(slots=True)
class ConfigDocument:
    """The content of all files together, and the file and line of every key path in it.

    `problems` are those of `include` and of what an included file may not have.
    """

    content: dict[str, Any]
    sources: ConfigSources
    problems: tuple[ConfigProblem, ...]
    _main: _File
    _included: Mapping[KeyPath, tuple[_File, KeyPath]] = field(default_factory=dict)
    _order: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self._order = {str(path): number for number, path in enumerate(self.sources.files)}

    def position(self, path: KeyPath) -> tuple[Path, int | None, KeyPath]:
        """Return the file of a key path, the line, and the key path within that file."""
        file, inner = self._included.get(path[:2], (self._main, path[:2]))
        own = (*inner, *path[2:])
        return file.path, file.document.line_of(own), own

    def directory(self, path: KeyPath) -> Path:
        """Return the absolute directory of the file in which a key path is written."""
        return self.position(path)[0].absolute().parent

    def order(self, file: str) -> int:
        """Return the place of a file among all files."""
        return self._order.get(file, len(self._order))


def empty_document(path: Path) -> ConfigDocument:
    """Return the document of a file that cannot be read any more."""
    main = _File(path, YamlDocument({}, {}))
    return ConfigDocument({}, ConfigSources((path,)), (), main)


def read_config(path: Path, texts: Mapping[Path, str] = MappingProxyType({})) -> ConfigDocument:
    """Return the file `path` with the files that it includes.

    `texts` are used instead of the content of files, by their resolved paths. Raises
    SettingsError if one of them cannot be read, or is not YAML.
    """
    reader = _Reader(texts)
    main = reader.read(path, ())
    if reader.unreadable:
        raise SettingsError(tuple(reader.unreadable))
    document = ConfigDocument(
        dict(main.document.content),
        reader.sources(),
        tuple(reader.problems),
        main,
        reader.included,
    )
    for key, joined in reader.added.items():
        # Of a wrong type in the main file: it stays, to be reported.
        if isinstance(document.content.get(key), type(joined) | None):
            document.content[key] = joined
    return document


class _Reader:
    """Reads files depth first, and joins what they have."""

    def __init__(self, texts: Mapping[Path, str]) -> None:
        self._texts = texts
        self.problems: list[ConfigProblem] = []
        self.unreadable: list[ConfigProblem] = []
        self.included: dict[KeyPath, tuple[_File, KeyPath]] = {}
        self.added: dict[str, Any] = {}
        self._patterns: list[str] = []
        self._files: dict[Path, Path] = {}  # by real path, so that each is read once

    def sources(self) -> ConfigSources:
        """Return what was read."""
        return ConfigSources(tuple(self._files.values()), tuple(self._patterns))

    def read(self, path: Path, stack: tuple[Path, ...]) -> _File:
        """Read a file and those that it includes; `stack` are the files that include it."""
        self._files[real_path(path)] = path
        try:
            text = self._texts.get(real_path(path))
            document, problems = read_yaml(read_text(path) if text is None else text, str(path))
        except SettingsError as error:
            document, problems = YamlDocument({}, {}), error.problems
        self.unreadable += problems
        file = _File(path, document)
        self._join(file, is_main=not stack)
        for line, pattern in self._included_patterns(file):
            self._include(file, pattern, line, (*stack, path))
        return file

    def _include(
        self, file: _File, pattern: str, line: int | None, stack: tuple[Path, ...]
    ) -> None:
        directory = file.path.parent
        self._patterns.append(_below(directory.absolute(), pattern))
        found = matching_files(_below(directory, pattern))
        if not found and not _WILDCARDS & set(pattern):
            self._problem(file, line, f"the file {directory / pattern} does not exist")
        for path in found:
            real = real_path(path)
            if real in [real_path(each) for each in stack]:
                way = " -> ".join(str(each) for each in (*stack, path))
                message = (
                    f"includes itself ({way}): keep included files in a directory of their own"
                )
                self._problem(file, line, message)
            elif len(stack) > MAX_INCLUDE_DEPTH:
                message = f"files include one another more than {MAX_INCLUDE_DEPTH} deep"
                self._problem(file, line, message)
                return
            elif real not in self._files:
                if len(self._files) >= MAX_FILES:
                    self._problem(file, line, f"includes more than {MAX_FILES} files")
                    return
                self.read(path, stack)

    def _included_patterns(self, file: _File) -> Iterator[tuple[int | None, str]]:
        written = file.document.content.get("include")
        if written is None:
            return
        patterns = [written] if isinstance(written, str) else written
        if not isinstance(patterns, list) or not all(
            isinstance(each, str) and each for each in patterns
        ):
            message = "write a pattern such as 'tenants.d/*.yaml', or a list of them"
            self._problem(file, file.document.line_of(("include",)), message)
            return
        for number, pattern in enumerate(patterns):
            yield file.document.line_of(("include", number)), pattern

    def _join(self, file: _File, *, is_main: bool) -> None:
        for key, value in file.document.content.items():
            if key in _LISTS and isinstance(value, list):
                self._join_list(file, key, value)
            elif key in _MAPPINGS and isinstance(value, dict):
                self._join_mapping(file, key, value)
            elif is_main or value is None or key.startswith(EXTENSION) or key == "include":
                continue
            elif key in _MAY_INCLUDE:
                kind = "list" if key in _LISTS else "mapping"
                self._problem(file, file.document.line_of((key,)), f"must be a {kind}", key)
            else:
                keys = ", ".join(f"'{each}'" for each in _MAY_INCLUDE)
                message = f"belongs in the main file: an included file has only {keys}"
                self._problem(file, file.document.line_of((key,)), message, key)

    def _join_list(self, file: _File, key: str, value: list[object]) -> None:
        joined = self.added.setdefault(key, [])
        for number, each in enumerate(value):
            self.included[key, len(joined)] = (file, (key, number))
            joined.append(each)

    def _join_mapping(self, file: _File, key: str, value: Mapping[str, object]) -> None:
        joined = self.added.setdefault(key, {})
        for name, each in value.items():
            if name in joined:
                other, _ = self.included[key, name]
                line = other.document.line_of((key, name))
                message = f"is also defined in {other.path}:{line}: rename one of them"
                own_line = file.document.line_of((key, name))
                self._problem(file, own_line, message, format_key_path((key, name)))
                continue
            self.included[key, name] = (file, (key, name))
            joined[name] = each

    def _problem(self, file: _File, line: int | None, message: str, key: str = "include") -> None:
        self.problems.append(ConfigProblem(str(file.path), line, key, message))


def real_path(path: Path) -> Path:
    """Return a path without symbolic links, the same path if it cannot be resolved.

    `Path.resolve` raises RuntimeError for links in a circle, before Python 3.13.
    """
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError):  # a link that may not be read
        return path.absolute()


def _below(directory: Path, pattern: str) -> str:
    """Return a pattern that is relative to `directory`, which may have any characters."""
    return str(Path(glob.escape(str(directory)), pattern))
