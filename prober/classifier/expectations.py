"""Checks a platform response against a probe's expectations. Pure.

The body is customer data. No message here quotes a value of it, or a message of the jmespath
library, because those quote values.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import jmespath
from jmespath.exceptions import JMESPathTypeError
from jmespath.functions import Functions
from jmespath.parser import ParsedResult
from jmespath.visitor import TreeInterpreter

from prober.formatting import one_line
from prober.models import Expectations
from prober.outcomes import Culprit

_SHOWN_CHARACTERS = 200
# One for all: it keeps no state between visits, and creating it is slow.
_INTERPRETER = TreeInterpreter()
_TYPE_WORDS = {dict: "an object", list: "a list", str: "a string", type(None): "null"}


@dataclass(frozen=True, slots=True)
class UnmetExpectation:
    """An expectation that does not hold: a message, and who is responsible for it."""

    message: str
    culprit: Culprit


def first_unmet_expectation(
    expectations: Expectations, status: int, document: object, server_seconds: float | None
) -> UnmetExpectation | None:
    """Return None if all expectations hold, else the first that does not.

    `document` is the parsed body. `max_server_seconds` is not checked when `server_seconds` is
    None: there is no evidence that the platform was slow, and the missing or invalid header is
    counted as a Server-Timing anomaly.
    """
    of_data = expectations.data_culprit
    if expectations.status is not None and status != expectations.status:
        return UnmetExpectation(f"HTTP {expectations.status} was expected", of_data)
    if expectations.jmespath is not None:
        message = _check_jmespath(expectations.jmespath, document)
        if message is not None:
            return UnmetExpectation(message, of_data)
    limit_seconds = expectations.max_server_seconds
    if limit_seconds is not None and server_seconds is not None and server_seconds > limit_seconds:
        return UnmetExpectation(
            f"the server took {server_seconds:.3f} s, over the limit of {limit_seconds:g} s",
            expectations.time_culprit,
        )
    return None


def check_expression(expression: str) -> str | None:
    """Return None if `expression` is valid JMESPath, else one line about the first problem."""
    try:
        called = set(_functions(_compiled(expression).parsed))
    except Exception as error:  # noqa: BLE001 -- the parser may raise anything
        return one_line(str(error), _SHOWN_CHARACTERS)
    unknown = sorted(called - set(Functions.FUNCTION_TABLE))
    if unknown:
        return f"JMESPath has no function {unknown[0]}()"
    return None


def search(expression: str, document: object) -> object:
    """Return what a JMESPath expression finds; may raise any exception."""
    return _INTERPRETER.visit(_compiled(expression).parsed, document)


@lru_cache(maxsize=1024)
def _compiled(expression: str) -> ParsedResult:
    return jmespath.compile(expression)


def _check_jmespath(expression: str, document: object) -> str | None:
    """Return None if the expression is `true`, else a message.

    Only `true` itself counts. JMESPath treats 0 as true, so `length(results)` would always hold.
    """
    try:
        value = search(expression, document)
    except JMESPathTypeError as error:
        return (
            f"the expectation {_quoted(expression)} cannot be evaluated: "
            f"{error.function_name}() received "
            f"a value of type {error.actual_type}"
        )
    except Exception as error:  # noqa: BLE001 -- the parser may raise anything
        return f"the expectation {_quoted(expression)} cannot be evaluated: {type(error).__name__}"
    if value is True:
        return None
    if value is False:
        return f"the expectation {_quoted(expression)} does not hold"
    returned = _TYPE_WORDS.get(type(value), "a number")
    return f"the expectation {_quoted(expression)} returns {returned} instead of `true`"


def _quoted(expression: str) -> str:
    return one_line(expression, _SHOWN_CHARACTERS)


def _functions(node: object) -> Iterator[str]:
    """Yield the names of the functions that a parsed expression calls."""
    if isinstance(node, Mapping):
        if node["type"] == "function_expression":
            yield node["value"]
        for child in node["children"]:
            yield from _functions(child)
