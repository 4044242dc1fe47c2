"""Where a token comes from, as it may be written in the YAML file: never the token itself."""

from datetime import date, datetime
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator, model_validator

from prober.settings.probe_schema import VARIABLE, Strict
from prober.settings.quantities import Duration
from prober.settings.url import BASE_URL, is_url


def never_a_literal(value: object) -> object:
    """Refuse anything but a mapping: a token or secret that was written down here."""
    if not isinstance(value, dict | Strict):
        raise ValueError(  # noqa: TRY004 -- pydantic collects ValueError
            "a token never stands in this file: write {file: PATH} or {env: NAME}"
        )
    return value


def _a_moment(value: object) -> object:
    if value is None or isinstance(value, date):  # YAML reads 2027-03-01 as a date by itself
        return value
    try:
        return datetime.fromisoformat(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError("write a date such as 2027-03-01, or 2027-03-01T12:00:00Z") from None


Moment = Annotated[
    datetime | date | None, BeforeValidator(_a_moment, json_schema_input_type=str | None)
]


class Secret(Strict):
    """Where a secret comes from: exactly one of `file` and `env`."""

    file: str | None = Field(default=None, min_length=1)
    """A file with the secret alone; relative to this configuration file."""
    env: str | None = Field(default=None, pattern=VARIABLE)
    """An environment variable with the secret."""

    @model_validator(mode="after")
    def _has_one_source(self) -> "Secret":
        if (self.file is None) == (self.env is None):
            raise ValueError("name exactly one source: 'file' or 'env'")
        return self


class OAuth(Strict):
    """OAuth 2.0 client credentials: tokens are asked for, and renewed ahead of their expiry."""

    token_url: str
    """Where tokens are issued, such as https://cloud.uipath.com/identity_/connect/token"""
    client_id: str = Field(min_length=1, max_length=256)
    """The application's id."""
    client_secret: Annotated[
        Secret, BeforeValidator(never_a_literal, json_schema_input_type=Secret)
    ]
    """Where the application's secret comes from."""
    scope: str | None = Field(default=None, min_length=1)
    """What the token shall be good for; scopes are separated by spaces."""

    @field_validator("token_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if not is_url(value, BASE_URL):
            raise ValueError(
                "write http(s)://HOST[:PORT]/PATH, with no '/' at the end, no '?', '#', '@'"
            )
        return value


class Token(Strict):
    """Where a tenant's token comes from: exactly one of `file`, `env` and `oauth`."""

    file: str | None = Field(default=None, min_length=1)
    """A file with the token alone; relative to this configuration file."""
    env: str | None = Field(default=None, pattern=VARIABLE)
    """An environment variable with the token."""
    oauth: OAuth | None = None
    """An identity server that issues tokens."""
    expires_at: Moment = None
    """When the token expires, where that is known; a date means its beginning in UTC."""
    max_age: Duration | None = None
    """How old the token may become, counted from its first acceptance."""

    @model_validator(mode="after")
    def _has_one_source(self) -> "Token":
        if sum(source is not None for source in (self.file, self.env, self.oauth)) != 1:
            raise ValueError("name exactly one source: 'file', 'env' or 'oauth'")
        if self.oauth is not None and (self.expires_at, self.max_age) != (None, None):
            raise ValueError(
                "leave out 'expires_at' and 'max_age': who issues the tokens says how long each"
                " one lives"
            )
        return self
