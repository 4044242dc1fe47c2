"""The configuration reference: the settings' JSON Schema as one table for each section."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prober.cli.validate import json_schema

_MAX_DEFAULT_CHARACTERS = 60

_Schema = Mapping[str, Any]


def configuration_reference() -> str:
    """Return a table of the top-level keys, then one of each section that they lead to."""
    schema: Mapping[str, Any] = json_schema()
    definitions: Mapping[str, _Schema] = schema["$defs"]
    parts = ["## Top level", _table(schema, definitions)]
    for name in _sections(schema, definitions):
        section = definitions[name]
        parts += [
            f"## {name}",
            _one_line(section.get("description", "")),
            _table(section, definitions),
        ]
    return "\n\n".join(part for part in parts if part)


def _sections(schema: _Schema, definitions: Mapping[str, _Schema]) -> Iterator[str]:
    """Yield the names of all sections with keys, in the order in which the keys lead to them."""
    seen: list[str] = []
    waiting = [schema]
    while waiting:
        for name in _references(waiting.pop(0)):
            if name not in seen:
                seen.append(name)
                waiting.append(definitions[name])
    yield from (name for name in seen if "properties" in definitions[name])


def _references(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            if key == "$ref":
                yield str(each).rpartition("/")[2]
            elif key != "$defs":
                yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)


def _table(section: _Schema, definitions: Mapping[str, _Schema]) -> str:
    required = set(section.get("required", ()))
    lines = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{key}` | {_type(each, definitions)} | {_default(key, each, required)} |"
        f" {_one_line(each.get('description', ''))} |"
        for key, each in section.get("properties", {}).items()
    ]
    return "\n".join(lines)


def _type(schema: _Schema, definitions: Mapping[str, _Schema]) -> str:
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        target = definitions[name]
        return (
            f"[{name}](#{name.lower()})" if "properties" in target else _type(target, definitions)
        )
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    for union in ("anyOf", "oneOf", "allOf"):
        if union in schema:
            return " or ".join(_unique(_type(each, definitions) for each in schema[union]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}), definitions)}"
    if schema.get("type") == "object":
        return f"map of {_type(schema.get('additionalProperties') or {}, definitions)}"
    return "duration" if "(ms|s|m|h|d)" in schema.get("pattern", "") else schema.get("type", "any")


def _unique(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(text for text in texts if text != "null"))


def _default(key: str, schema: _Schema, required: set[str]) -> str:
    if key in required:
        return "required"
    value = schema.get("default")
    if value is None or value in ({}, []):
        return ""
    text = value if isinstance(value, str) else json.dumps(value)
    return f"`{text}`" if len(text) <= _MAX_DEFAULT_CHARACTERS else "see below"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
