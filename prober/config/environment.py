"""PROBER_* variables: `PROBER_WEB__LISTEN` sets `web.listen`. Pure: variables are passed in."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from types import NoneType
from typing import Any

from pydantic import BaseModel

from prober.config.error_messages import accepts_only_collections, annotations_at
from prober.config.schema import ConfigFile
from prober.config.state_path import CONFIG_VARIABLE
from prober.config.yaml import KeyPath, Note, read_yaml
from prober.errors import ConfigProblem

_PREFIX = "PROBER_"
_SEPARATOR = "__"
_WHOLE_NUMBER = re.compile(r"[0-9]{1,18}")
_FILE_ONLY = frozenset({"tenants", "probes", "probe_sets", "maintenance", "include"})
_RENAMED = frozenset({"schedule"})  # read to report the new name
SECTIONS = frozenset(ConfigFile.model_fields) - _FILE_ONLY | _RENAMED
"""The top-level keys that variables may set."""


def variable_path(name: str) -> tuple[str, ...] | None:
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
    given = {key: value for key, value in content.items() if value is not None}
    in_file = {key: value for key, value in given.items() if key in SECTIONS}
    others = {key: value for key, value in content.items() if key not in SECTIONS}
    values, problems = _values(variables)
    return {**others, **(_overlaid(in_file, values) if values else in_file)}, problems


def _overlaid(in_file: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sections of a file with the variables' values over them."""
    # Late, since it takes a tenth of a second, and most configurations have no variables.
    from pydantic_settings import (  # noqa: PLC0415
        BaseSettings,
        InitSettingsSource,
        PydanticBaseSettingsSource,
        SettingsConfigDict,
    )

    class Overlay(BaseSettings):
        """The sections of the file, with the variables' values over them."""

        model_config = SettingsConfigDict(extra="allow")

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- the library's signature
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            # The library's own source for variables knows JSON only, and not the passed ones.
            return InitSettingsSource(settings_cls, dict(values)), init_settings

    return Overlay(**in_file).model_dump()


def _values(variables: Mapping[str, str]) -> tuple[dict[str, Any], list[Note]]:
    """Return what variables set, as nested mappings, and problems."""
    values: dict[str, Any] = {}
    problems: list[Note] = []
    paths = {name: path for name in variables if (path := variable_path(name)) is not None}
    for name, path in sorted(paths.items(), key=lambda item: (len(item[1]), item[0])):
        value, problem = _parsed(variables[name], path)
        if problem is not None:
            problems.append((path, problem))
            continue
        section = values
        for part in path[:-1]:
            below = section.get(part)
            below = below if isinstance(below, dict) else {}
            section[part] = below
            section = below
        section[path[-1]] = value
    return values, problems


def unknown_variables(variables: Mapping[str, str]) -> list[ConfigProblem]:
    """Return warnings about PROBER_* variables that set nothing.

    They are no errors: in Kubernetes a service called `prober` yields PROBER_SERVICE_HOST.
    """
    return [
        ConfigProblem(name, None, "", _why_unknown(name.upper()))
        for name in sorted(variables)
        if name.upper().startswith(_PREFIX)
        and name != CONFIG_VARIABLE
        and variable_path(name) is None
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
