"""Probes as they may be written in the YAML file, built-in ones and one's own."""

import json
import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from prober.model import ConnectionPolicy
from prober.settings.quantities import Duration, Size
from prober.verdict.expectations import check_expression

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]

_OUR_HEADERS = frozenset(
    {"authorization", "host", "content-length", "transfer-encoding", "connection", "user-agent"}
    | {"accept-encoding", "proxy-authorization", "cookie"}
)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_SECRET_NAME = re.compile(
    r"(proxy-)?authorization|sig|signature|code|(.*[-_])?(api)?(key|token|secret|password)",
    re.IGNORECASE,
)
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
_NEVER_EXPECTED = frozenset({401, 403, 429})


_DOT_SEGMENT = re.compile(r"/(\.|%2e){1,2}(/|$)", re.IGNORECASE)


def _is_json(value: object) -> object:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError(
            "holds a value that JSON does not know, such as a date: put it in quotes"
        ) from None
    return value


JsonBody = Annotated[Any, AfterValidator(_is_json)]
"""Whatever JSON can say; YAML can say more."""


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def is_header_value(text: str) -> bool:
    """Tell whether a header can carry a text."""
    return text.isprintable() and text.isascii()


class Strict(BaseModel):
    """A mapping in which every key is known."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class LatencyObjectives(Strict):
    """What is promised; exported as metrics, so that alert rules need no numbers of their own."""

    server: Duration | None = None
    """The platform's own time that an answer should not exceed. Default 2.5s."""
    network: Duration | None = None
    """The network overhead that an answer should not exceed. Default 500ms."""


class Objectives(LatencyObjectives):
    """What is promised of a tenant and its probes."""

    availability: float | None = Field(default=None, gt=0, lt=1)
    """The share of runs that must not fail by the platform's fault. Default 0.995."""


class Tuning(Strict):
    """How a probe is run; said for one probe, or in `defaults` for all."""

    interval: Duration | None = None
    """Time between two runs; at least 1s. Default 60s."""
    timeout: Duration | None = None
    """Time for a whole attempt. Default 10s."""
    connect_timeout: Duration | None = None
    """Time for name resolution, TCP and TLS together. Default 5s."""
    connection: ConnectionPolicy | None = None
    """`fresh` (default) opens a connection for every attempt, `reuse` keeps one open."""
    body_limit: Size | None = None
    """How much of an answer is read, counted after decompression. Default 1MiB."""
    objectives: LatencyObjectives = LatencyObjectives()
    """What is promised of this probe."""


class ProbeUse(Tuning):
    """A probe of a tenant: a built-in one or one of your own, with its parameters."""

    use: str
    """The name of a built-in probe, or of one under `probes`."""
    name: Slug | None = None
    """The name in metrics and pages, where it is not that of `use`."""
    project: str | None = None
    """Parameter: the project's name."""
    dataset: str | None = None
    """Parameter: the dataset's name, `project/name`, or `id:` and 16 hex digits."""
    source: str | None = None
    """Parameter: the source's name, `project/name`, or `id:` and 16 hex digits."""
    stream: str | None = None
    """Parameter: the stream's name."""
    comment: str | None = None
    """Parameter: a comment's id within its source."""
    uid: str | None = None
    """Parameter: a comment's uid: the source's id, a dot, the comment's id."""
    bucket: str | None = None
    """Parameter: a bucket's id, 16 hex digits."""
    model_version: Annotated[
        str | None, BeforeValidator(_as_text, json_schema_input_type=str | int | None)
    ] = None
    """Parameter: a model's version number."""
    json_body: JsonBody = Field(default=None, alias="json")
    """Parameter: the request's body, for probes that are billed."""
    i_accept_costs: bool = False
    """Consent to a probe that is billed or that writes."""


def _named(value: object) -> object:
    if not isinstance(value, str | dict | ProbeUse):
        raise ValueError("write the name of a probe, or {use: NAME, ...}")  # noqa: TRY004 -- pydantic
    return {"use": value} if isinstance(value, str) else value


NamedProbe = Annotated[
    ProbeUse,
    BeforeValidator(_named, json_schema_input_type=str | ProbeUse),
]


class Expect(Strict):
    """What a good answer looks like, beside a 2xx with an `ok` envelope."""

    status: int | None = None
    """The status that is right: a 2xx, or a 4xx with an error envelope (a negative check)."""
    jmespath: str | None = None
    """An expression on the body that must give true."""
    max_server: Duration | None = None
    """The most that the platform's own time may be."""

    @field_validator("status")
    @classmethod
    def _can_be_expected(cls, value: int | None) -> int | None:
        if value is None:
            return value
        if value // 100 not in {2, 4} or value in _NEVER_EXPECTED:
            raise ValueError("write a 2xx, or a 4xx other than 401, 403 and 429")
        return value

    @field_validator("jmespath")
    @classmethod
    def _is_an_expression(cls, value: str | None) -> str | None:
        trouble = None if value is None else check_expression(value)
        if trouble is not None:
            raise ValueError(f"not a JMESPath expression: {trouble}")
        return value


class Text(Strict):
    """A text, from exactly one of `value`, `file` and `env`, and whether it is a secret."""

    value: str | None = None
    """The text itself."""
    file: str | None = Field(default=None, min_length=1)
    """A file with the text alone; relative to this configuration file."""
    env: str | None = Field(default=None, pattern=VARIABLE)
    """An environment variable with the text."""
    secret: bool | None = None
    """Whether it is taken out of all that is shown. Default: if it comes from `file` or `env`, or
    its name is that of a secret, such as `X-Api-Key`, `sig` or `code`."""

    @model_validator(mode="after")
    def _has_one_source(self) -> "Text":
        if sum(source is not None for source in (self.value, self.file, self.env)) != 1:
            raise ValueError("name exactly one source: 'value', 'file' or 'env'")
        return self

    def is_secret(self, name: str) -> bool:
        """Tell whether this is a secret as the value of a header or parameter of a name."""
        if self.secret is not None:
            return self.secret
        return self.value is None or is_name_of_secret(name)


def is_name_of_secret(name: str) -> bool:
    """Tell whether the values of headers and parameters of a name are secrets."""
    return bool(_SECRET_NAME.fullmatch(name))


def _as_mapping(value: object) -> object:
    return {"value": value} if isinstance(value, str) else value


WrittenText = Annotated[Text, BeforeValidator(_as_mapping, json_schema_input_type=str | Text)]


class OwnProbe(Tuning):
    """A probe of your own."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    """The HTTP method."""
    path: str
    """What follows the tenant's base URL, percent-encoded: `/api/v1/...`."""
    json_body: JsonBody = Field(default=None, alias="json")
    """The request's body."""
    headers: dict[str, WrittenText] = Field(default_factory=dict)
    """Further request headers; a secret by `{env: NAME}` or `{file: PATH}`."""
    query: dict[str, WrittenText] = Field(default_factory=dict)
    """Parameters that are added to the path, not percent-encoded; secrets as in `headers`."""
    expect: Expect = Expect()
    """What a good answer looks like."""
    i_accept_costs: bool = False
    """Consent to a request that is billed or that writes."""

    @field_validator("path")
    @classmethod
    def _is_a_path(cls, value: str) -> str:
        if not re.fullmatch(r"/(?!/)[\x21\x24-\x7e]*", value):
            raise ValueError("begin with one '/', percent-encode the rest, and leave out '#'")
        if _DOT_SEGMENT.search(value.partition("?")[0]):
            raise ValueError("leave out '.' and '..' between slashes")
        return value

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, value: dict[str, Text]) -> dict[str, Text]:
        for name, content in value.items():
            if name.lower() in _OUR_HEADERS:
                raise ValueError(f"the header {name} is the prober's own")
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError("a header's name has characters that HTTP does not allow")
            if content.value is not None and not is_header_value(content.value):
                raise ValueError(f"the header {name} has characters that HTTP does not allow")
        return value
