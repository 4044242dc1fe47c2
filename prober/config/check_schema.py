"""The checks of a probe as they are written in the configuration file. Pure."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from prober.classifier.expectations import check_expression
from prober.config.strict_model import Slug, StrictModel
from prober.formatting import Duration
from prober.models import AlertSeverity, CheckKind


def _require_expression(value: str) -> str:
    error = check_expression(value)
    if error is not None:
        raise ValueError(f"not a JMESPath expression: {error}")
    return value


Expression = Annotated[str, AfterValidator(_require_expression)]
"""A JMESPath expression."""


CheckedText = Annotated[str, Field(max_length=200)]


class CheckConfig(StrictModel):
    """A check of a value in the body, or a change of a built-in check of the same name."""

    name: Slug
    """The name in metrics and pages."""
    enabled: bool = True
    """`false` turns off the check of this name."""
    value: Expression | None = None
    """A JMESPath expression that returns the value: on the body, or on each item of `each`."""
    kind: CheckKind | None = None
    """What the value is: `number`, `timestamp`, `boolean`, `text`, or `count` (of a list)."""
    each: Expression | None = None
    """A JMESPath expression that returns a list: the check applies to each of its items."""
    item: Expression | None = None
    """A JMESPath expression on an item that returns its name, or a list of names to join."""
    divided_by: Expression | None = None
    """A JMESPath expression that returns a number: the value is divided by it, and is a ratio."""
    min: float | None = Field(default=None, allow_inf_nan=False)
    """The least value that is good."""
    max: float | None = Field(default=None, allow_inf_nan=False)
    """The greatest value that is good."""
    below: float | None = Field(default=None, allow_inf_nan=False)
    """A limit that the value must stay below."""
    max_age: Duration | None = None
    """How old a timestamp may be."""
    equals: bool | float | CheckedText | None = None
    """The only value that is good."""
    one_of: list[CheckedText] | None = Field(default=None, min_length=1, max_length=50)
    """The texts that are good."""
    for_runs: int | None = Field(default=None, alias="for", ge=1, le=100_000)
    """How many runs in a row the limits must be broken before the check fails; default 1."""
    optional: bool | None = None
    """Whether the value may be absent; default: then the check fails."""
    culprit: Literal["tenant", "request", "credential", "platform"] | None = None
    """Who is responsible when the check fails; default `tenant`: its own set-up or use."""
    severity: AlertSeverity | None = None
    """The severity of the alert: `page` or `ticket`; default: the probe's."""


class Checked(StrictModel):
    """What may have checks."""

    checks: list[CheckConfig] = Field(default_factory=list, max_length=50)
    """What to check in the body of a successful response."""
