"""What a good answer looks like, checked on a platform's answer. Pure.

The body is customers' data: no sentence here quotes a value of it, and none quotes a message of
the jmespath library, which does.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache

import jmespath
from jmespath.exceptions import JMESPathTypeError
from jmespath.functions import Functions
from jmespath.parser import ParsedResult
from jmespath.visitor import TreeInterpreter

from prober.formatting import one_line
from prober.models import Expectations

_SHOWN_CHARACTERS = 200
# It holds nothing of what it visits, and is dear to make.
_INTERPRETER = TreeInterpreter()
_TYPE_WORDS = {dict: "an object", list: "a list", str: "a string", type(None): "null"}


def first_unmet_expectation(
    expectations: Expectations, status: int, document: object, server_seconds: float | None
) -> str | None:
    """Return None when all expectations hold, else a sentence on the first that does not.

    `max_server_seconds` is not judged when the server's time is unknown: nobody measured that the
    platform was slow, and the missing or odd header is counted as an anomaly of its own.
    """
    if expectations.status is not None and status != expectations.status:
        return f"HTTP {expectations.status} was expected"
    if expectations.jmespath is not None:
        sentence = _untrue(expectations.jmespath, document)
        if sentence is not None:
            return sentence
    limit_seconds = expectations.max_server_seconds
    if limit_seconds is not None and server_seconds is not None and server_seconds > limit_seconds:
        return f"the server took {server_seconds:.3f} s, more than the {limit_seconds:g} s expected"
    return None


def check_expression(expression: str) -> str | None:
    """Return None when `expression` can be used, else one line on what is wrong with it."""
    try:
        called = set(_functions(_compiled(expression).parsed))
    except Exception as error:  # noqa: BLE001 -- whatever its parser raises, it cannot be used
        return one_line(str(error), _SHOWN_CHARACTERS)
    unknown = sorted(called - set(Functions.FUNCTION_TABLE))
    if unknown:
        return f"there is no function {unknown[0]}() in JMESPath"
    return None


@lru_cache(maxsize=1024)
def _compiled(expression: str) -> ParsedResult:
    return jmespath.compile(expression)


def _untrue(expression: str, document: object) -> str | None:
    """Demand `true` itself: JMESPath takes 0 for true, so `length(results)` would always hold."""
    try:
        value = _INTERPRETER.visit(_compiled(expression).parsed, document)
    except JMESPathTypeError as error:
        return (
            f"the expectation {_shown(expression)} cannot be evaluated: "
            f"{error.function_name}() was given "
            f"a value of type {error.actual_type}"
        )
    except Exception as error:  # noqa: BLE001 -- whatever its parser raises, it cannot be used
        return f"the expectation {_shown(expression)} cannot be evaluated: {type(error).__name__}"
    if value is True:
        return None
    if value is False:
        return f"the expectation {_shown(expression)} does not hold"
    given = _TYPE_WORDS.get(type(value), "a number")
    return f"the expectation {_shown(expression)} gives {given}, where `true` is needed"


def _shown(expression: str) -> str:
    return one_line(expression, _SHOWN_CHARACTERS)


def _functions(node: object) -> Iterator[str]:
    """Yield the names of the functions that a parsed expression calls."""
    if isinstance(node, Mapping):
        if node["type"] == "function_expression":
            yield node["value"]
        for child in node["children"]:
            yield from _functions(child)
