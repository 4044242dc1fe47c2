"""PROBER_* variables: `PROBER_WEB__LISTEN` sets `web.listen`. Pure: variables are passed in."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from types import NoneType
from typing import Any

from pydantic import BaseModel

from prober.config.error_messages import accepts_only_collections, annotations_at
from prober.config.schema import ConfigFile
from prober.config.yaml import KeyPath, Note, read_yaml
from prober.errors import ConfigProblem

_PREFIX = "PROBER_"
_SEPARATOR = "__"
_WHOLE_NUMBER = re.compile(r"[0-9]{1,18}")
_FILE_ONLY = frozenset({"tenants", "probes", "maintenance"})
_RENAMED = frozenset({"schedule"})  # read to report the new name
SECTIONS = frozenset(ConfigFile.model_fields) - _FILE_ONLY | _RENAMED
"""The top-level keys that variables may set."""


def variable_path(name: str) -> KeyPath | None:
    """Return the key path that a variable sets, None if it is none of ours. Case is ignored."""
    if not name.upper().startswith(_PREFIX):
        return None
    path = tuple(name[len(_PREFIX) :].lower().split(_SEPARATOR))
    return path if path[0] in SECTIONS else None


def with_variables(
    content: Mapping[str, Any], variables: Mapping[str, str]
) -> tuple[dict[str, Any], list[Note]]:
    """Return a file's content with the values of variables over it, and problems.

    Mappings are merged, other values are replaced. Sections without a value are left out. Of two
    variables the one with the longer path wins.
    """
    merged = {
        key: value for key, value in content.items() if value is not None or key in _FILE_ONLY
    }
    problems: list[Note] = []
    paths = {name: path for name in variables if (path := variable_path(name)) is not None}
    for name, path in sorted(paths.items(), key=lambda item: (len(item[1]), item[0])):
        value, problem = _parsed(variables[name], path)
        if problem is not None:
            problems.append((path, problem))
            continue
        for part in reversed(path):
            value = {part: value}
        merged = _merged(merged, value)
    return merged, problems


def unknown_variables(variables: Mapping[str, str]) -> list[ConfigProblem]:
    """Return warnings about PROBER_* variables that set nothing.

    They are no errors: in Kubernetes a service called `prober` yields PROBER_SERVICE_HOST.
    """
    return [
        ConfigProblem(name, None, "", _why_unknown(name.upper()))
        for name in sorted(variables)
        if name.upper().startswith(_PREFIX) and variable_path(name) is None
    ]


def _why_unknown(name: str) -> str:
    section = name[len(_PREFIX) :].lower().split(_SEPARATOR)[0]
    if section in _FILE_ONLY:
        return f"has no effect: write '{section}' in the configuration file"
    # Compared without the prefix, which would make all names alike.
    rest, known = name[len(_PREFIX) :], _known_names()
    same_end = [each for each in known if rest and each.endswith(f"_{rest}")]
    close = get_close_matches(rest, known, n=1, cutoff=0.75) or same_end
    if close:
        return f"unknown variable, without effect; did you mean '{_PREFIX}{close[0]}'?"
    example = f"{_PREFIX}WEB{_SEPARATOR}LISTEN"
    return f"unknown variable, without effect; variables are written like {example}"


def _known_names() -> list[str]:
    """Return the names of all variables that have an effect, without their prefix."""
    return sorted(
        _SEPARATOR.join(path).upper() for path in _key_paths(ConfigFile, ()) if path[0] in SECTIONS
    )


def _key_paths(model: type[BaseModel], at: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name in model.model_fields:
        yield (*at, name)
        for each in annotations_at(model, (name,)):
            if isinstance(each, type) and issubclass(each, BaseModel):
                yield from _key_paths(each, (*at, name))


def _parsed(text: str, path: KeyPath) -> tuple[Any, str | None]:
    """Return the value of a variable, and a problem if it should be a list or mapping and is not.

    Other values remain text, which the models parse: '[::1]:9824' is an address, and no list.
    """
    types = annotations_at(ConfigFile, path)
    if _WHOLE_NUMBER.fullmatch(text) and set(types) <= {int, float, NoneType}:
        return int(text), None  # so that a duration without a unit is named as such
    if not accepts_only_collections(types):
        return text, None
    # As the value of a key, since `read_yaml` reads mappings. A line end would break that.
    document, problems = read_yaml(f"value: {' '.join(text.splitlines())}", "")
    if problems:
        return text, f"is neither JSON nor YAML ({problems[0].message})"
    value = document.content.get("value")
    return (value if isinstance(value, list | dict) else text), None


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        known = merged.get(key)
        both = isinstance(known, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(known, value) if both and known is not None else value
    return merged
