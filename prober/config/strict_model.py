"""The base of all models of settings files. Pure."""

import ast
import inspect
import re
from itertools import pairwise
from textwrap import dedent
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

SLUG_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
MAX_SLUG_CHARACTERS = 63
Slug = Annotated[str, StringConstraints(pattern=SLUG_PATTERN)]
"""A name in metrics, pages and paths."""
_NOT_IN_A_SLUG = re.compile(r"[^a-z0-9_-]+")


def as_slug(text: str) -> str:
    """Return a text in the form of a slug; empty if it has no letter and no digit."""
    return _NOT_IN_A_SLUG.sub("-", text.casefold()).strip("-_")[:MAX_SLUG_CHARACTERS]


class StrictModel(BaseModel):
    """A mapping in which unknown keys are errors; docstrings describe the keys in JSON Schema."""

    # Built late: a model within models is otherwise built for itself too, at each start.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Add the docstring below each attribute as the description of its key.

        Pydantic's `use_attribute_docstrings` does the same when a class is made: at every start of
        a command it would read the source of all models, for a schema that is hardly ever printed.
        """
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for key, text in _attribute_docstrings(cls).items():
            properties[key].setdefault("description", text)
        return schema


def _attribute_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstring below each attribute, by the key in the file."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if issubclass(each, StrictModel):
            (definition,) = ast.parse(dedent(inspect.getsource(each))).body
            found |= _docstrings_in(definition)
    fields = model.model_fields
    return {fields[name].alias or name: text for name, text in found.items() if name in fields}


def _docstrings_in(definition: ast.stmt) -> dict[str, str]:
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    return {
        attribute.target.id: inspect.cleandoc(below.value.value)
        for attribute, below in pairwise(body)
        if isinstance(attribute, ast.AnnAssign)
        and isinstance(attribute.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }


EXTENSION = "x-"
"""Keys that begin with this are the user's own: mostly shapes for merge keys, or notes."""


class ExtensibleModel(StrictModel):
    """A mapping in which keys that begin with `x-` are ignored; other unknown keys are errors."""

    model_config = ConfigDict(json_schema_extra={"patternProperties": {f"^{EXTENSION}": True}})

    @model_validator(mode="before")
    @classmethod
    def _drop_extensions(cls, given: object) -> object:
        if not isinstance(given, dict) or not any(str(key).startswith(EXTENSION) for key in given):
            return given
        return {key: value for key, value in given.items() if not str(key).startswith(EXTENSION)}


def default(text: str) -> Any:  # noqa: ANN401 -- the field's own type says what it is
    """Return a field with a default that is parsed as if `text` were in the file.

    The JSON Schema then shows the default in the form in which a user writes it.
    """
    return Field(default=text, validate_default=True)
