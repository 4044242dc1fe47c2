"""Values of headers and query parameters in custom probes: literal, or by their source. Pure."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from prober.config.strict_model import StrictModel

VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
_SECRET_NAME = re.compile(
    r"(proxy-)?authorization|sig|signature|code|(.*[-_])?(api)?(key|token|secret|password)",
    re.IGNORECASE,
)


def is_header_value(text: str) -> bool:
    """Return whether a text is allowed as the value of a header."""
    return text.isprintable() and text.isascii()


class Text(StrictModel):
    """A text, from exactly one of `value`, `file` and `env`, and whether it is a secret."""

    value: str | None = None
    """The text itself."""
    file: str | None = Field(default=None, min_length=1)
    """A file with the text alone; relative to this configuration file."""
    env: str | None = Field(default=None, pattern=VARIABLE)
    """An environment variable with the text."""
    secret: bool | None = None
    """Whether it is removed from everything that is shown. Default: if it comes from `file`
    or `env`, or its name is that of a secret, such as `X-Api-Key`, `sig` or `code`."""

    @model_validator(mode="after")
    def _has_one_source(self) -> "Text":
        if sum(source is not None for source in (self.value, self.file, self.env)) != 1:
            raise ValueError("name exactly one source: 'value', 'file' or 'env'")
        return self

    def is_secret(self, name: str) -> bool:
        """Return whether this is a secret as the value of the header or parameter `name`."""
        if self.secret is not None:
            return self.secret
        return self.value is None or is_name_of_secret(name)


def is_name_of_secret(name: str) -> bool:
    """Return whether headers and parameters of this name have secret values."""
    return bool(_SECRET_NAME.fullmatch(name))


def _as_mapping(value: object) -> object:
    return {"value": value} if isinstance(value, str) else value


WrittenText = Annotated[Text, BeforeValidator(_as_mapping, json_schema_input_type=str | Text)]
