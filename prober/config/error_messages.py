"""From pydantic's errors to messages that say what to write instead. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel

from prober.config.renamed_keys import renamed_key
from prober.config.yaml import KeyPath
from prober.formatting import did_you_mean

_SLUG = "write lower-case letters, digits, '-' and '_' (at most 63)"
_ADDRESS_PART = "write letters, digits, '.', '-' and '_' (at most 128)"
_PATTERNS: Mapping[str | int, str] = MappingProxyType(
    {
        "organisation": _ADDRESS_PART,
        "tenant": _ADDRESS_PART,
        "domain": "write only the part before '.reinfer.io': lower-case letters, digits and '-'",
        "env": "write the variable's name: letters, digits and '_', without '$'",
        "[key]": "write a label name of letters, digits and '_' (at most 63), not a digit first",
    }
)
_MESSAGES: Mapping[str, str] = MappingProxyType(
    {
        "missing": "is missing",
        "string_type": "must be text: put it in quotes",
        "string_too_short": "is empty",
        "int_type": "must be a whole number",
        "int_parsing": "must be a whole number",
        "int_from_float": "must be a whole number",
        "float_type": "must be a number",
        "float_parsing": "must be a number",
        "bool_type": "must be true or false",
        "bool_parsing": "must be true or false",
        "list_type": "must be a list: '[...]', or lines that begin with '- '",
        "tuple_type": "must be a list: '[...]', or lines that begin with '- '",
        "dict_type": "must be a mapping: '{key: value}'",
        "model_type": "must be a mapping: '{key: value}'",
    }
)


def format_validation_error(kind: str, message: str, path: KeyPath, root: type[BaseModel]) -> str:
    """Return the message for pydantic's error of type `kind` at `path` in a `root`."""
    if kind == "extra_forbidden":
        return _unknown_key_in(_model_at(root, path[:-1]), str(path[-1]))
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(path[-1], _SLUG)
    if kind in _MESSAGES:
        return _MESSAGES[kind]
    text = message.removeprefix("Value error, ")
    for ours, pydantics in (("write ", "Input should be '"), ("must be ", "Input should be ")):
        if text.startswith(pydantics):
            return ours + text[len("Input should be ") :]
    return text


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Return the message for a key that is none of `known`."""
    keys = sorted(known)
    return "unknown key" + (did_you_mean(key, keys) or f"; known keys: {', '.join(keys)}")


def _unknown_key_in(model: type[BaseModel] | None, key: str) -> str:
    if model is None:
        return "unknown key"
    known = [field.alias or name for name, field in model.model_fields.items()]
    return renamed_key(model, key) or unknown_key(key, known)


def _model_at(root: type[BaseModel], path: KeyPath) -> type[BaseModel] | None:
    """Return the model of the mapping at `path`, None if there is none."""
    return next((each for each in annotations_at(root, path) if _is_model(each)), None)


def annotations_at(root: type[BaseModel], path: KeyPath) -> list[Any]:
    """Return the types, without unions and `Annotated`, that the value at `path` may have."""
    here: list[Any] = [root]
    for part in path:
        here = [inner for each in here for inner in _step(each, part)]
    return here


def accepts_only_collections(types: Iterable[Any]) -> bool:
    """Return whether a value of one of these types must be a list or a mapping (or null)."""
    others = [each for each in types if each is not type(None)]
    return bool(others) and all(
        _is_model(each) or get_origin(each) in {list, dict, tuple} for each in others
    )


def _step(annotation: object, part: str | int) -> Iterator[object]:
    """Yield the types, without unions and `Annotated`, that `part` of a value may have."""
    if _is_model(annotation):
        for name, field in annotation.model_fields.items():  # type: ignore[attr-defined]
            if part in {name, field.alias}:
                yield from _flatten(field.annotation)
    elif get_origin(annotation) in {list, dict, tuple}:
        # The items of a list, the values of a dict, the items of a tuple[X, ...]
        yield from _flatten([each for each in get_args(annotation) if each is not ...][-1])


def _flatten(annotation: object) -> Iterator[object]:
    if get_origin(annotation) is Annotated:
        yield from _flatten(get_args(annotation)[0])
    elif get_args(annotation) and get_origin(annotation) not in {list, dict, tuple}:  # a union
        for each in get_args(annotation):
            yield from _flatten(each)
    else:
        yield annotation


def _is_model(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
