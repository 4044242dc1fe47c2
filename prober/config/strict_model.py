"""The base of all models of settings files. Pure."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class StrictModel(BaseModel):
    """A mapping in which unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def default(text: str) -> Any:  # noqa: ANN401 -- the field's own type says what it is
    """Return a field whose default is parsed as if `text` were in the file.

    The JSON Schema then shows the default in the form in which a user writes it.
    """
    return Field(default=text, validate_default=True)
