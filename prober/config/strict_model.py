"""The base of all models of settings files. Pure."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

SLUG_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
MAX_SLUG_CHARACTERS = 63
Slug = Annotated[str, StringConstraints(pattern=SLUG_PATTERN)]
"""A name in metrics, pages and paths."""
_NOT_IN_A_SLUG = re.compile(r"[^a-z0-9_-]+")


def as_slug(text: str) -> str:
    """Return a text in the form of a slug; empty if it has no letter and no digit."""
    return _NOT_IN_A_SLUG.sub("-", text.casefold()).strip("-_")[:MAX_SLUG_CHARACTERS]


class StrictModel(BaseModel):
    """A mapping in which unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


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
