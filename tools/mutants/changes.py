"""What a mutant changes in the syntax tree, and whether that can have an effect. Pure."""

import ast
import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Change:
    """The smallest part of a function that differs.

    `parents` are the nodes around it, the outermost first. `before` or `after` may be a list of
    nodes or a plain value, such as the text of a constant's node.
    """

    before: object
    after: object
    parents: tuple[ast.AST, ...]


def find_change(before: Function, after: Function) -> Change:
    """Return what differs between two functions, apart from their names."""
    return _smallest([before.args, before.body], [after.args, after.body], ())


def _smallest(before: object, after: object, parents: tuple[ast.AST, ...]) -> Change:
    if isinstance(before, ast.AST) and type(before) is type(after):
        # A constant is the smallest part: its value says nothing without the node.
        if isinstance(before, ast.Constant):
            return Change(before, after, parents)
        pairs = [(value, getattr(after, name)) for name, value in ast.iter_fields(before)]
        inner = (*parents, before)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs, inner = list(zip(before, after, strict=True)), parents
    else:
        return Change(before, after, parents)
    differing = [pair for pair in pairs if not _equal(*pair)]
    if len(differing) != 1:
        return Change(before, after, parents)
    return _smallest(*differing[0], inner)


def _equal(before: object, after: object) -> bool:
    return list(_dumped(before)) == list(_dumped(after))


def _dumped(node: object) -> Iterator[object]:
    if isinstance(node, list):
        yield len(node)
        for each in node:
            yield from _dumped(each)
    else:
        yield ast.dump(node) if isinstance(node, ast.AST) else (type(node), node)


def reason_without_effect(change: Change) -> str | None:
    """Return why no test can notice a change, None if one can."""
    return next((reason for applies, reason in _WITHOUT_EFFECT if applies(change)), None)


def _is_strict_of_zip(change: Change) -> bool:
    """Return whether `zip(..., strict=True)` lost its `strict`."""
    call = _call(change)
    if call is None or _called(call) != "zip":
        return False
    inside = any(isinstance(each, ast.keyword) for each in change.parents)
    is_removed = isinstance(change.after, list) and isinstance(change.before, list)
    return inside or (is_removed and _lost_keyword(change) == "strict")


def _lost_keyword(change: Change) -> str | None:
    before = change.before if isinstance(change.before, list) else []
    after = change.after if isinstance(change.after, list) else []
    kept = {each.arg for each in after if isinstance(each, ast.keyword)}
    lost = [e.arg for e in before if isinstance(e, ast.keyword) and e.arg not in kept]
    return lost[0] if len(before) == len(after) + 1 and lost else None


def _is_case_of_codec(change: Change) -> bool:
    """Return whether only the spelling of a codec's name changes: it has no case."""
    before, after = _string(change.before), _string(change.after)
    call = _call(change)
    if before is None or after is None or call is None:
        return False
    if _called(call) not in {"encode", "decode", "read_text", "write_text", "open", "str"}:
        return False
    try:
        return codecs.lookup(before) == codecs.lookup(after)
    except LookupError:
        return False


def _is_type_of_cast(change: Change) -> bool:
    """Return whether it is the type in `typing.cast(type, value)`, which does nothing with it."""
    calls = [each for each in change.parents if isinstance(each, ast.Call)]
    for call in calls:
        if _called(call) == "cast" and call.args:
            first = call.args[0]
            if change.before is first or first in change.parents:
                return True
    return False


def _is_same_float(change: Change) -> bool:
    """Return whether a text is the same number to `float`, such as `inf` and `INF`."""
    before, after, call = _string(change.before), _string(change.after), _call(change)
    if before is None or after is None or call is None or _called(call) != "float":
        return False
    try:
        return float(before) == float(after)
    except ValueError:
        return False


def _is_case_of_sql(change: Change) -> bool:
    """Return whether only the case of an SQL statement without quoted text changes."""
    before, after, call = _string(change.before), _string(change.after), _call(change)
    if before is None or after is None or call is None:
        return False
    return (
        _called(call) in {"execute", "executemany", "executescript"}
        and before.lower() == after.lower()
        and "'" not in before
    )


def _call(change: Change) -> ast.Call | None:
    """Return the innermost call around a change."""
    calls = [each for each in change.parents if isinstance(each, ast.Call)]
    return calls[-1] if calls else None


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _string(node: object) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


_WITHOUT_EFFECT: tuple[tuple[Callable[[Change], bool], str], ...] = (
    (_is_strict_of_zip, "strict= of zip guards against mistakes of ours; lengths are equal"),
    (_is_case_of_codec, "names of codecs have no case"),
    (_is_type_of_cast, "typing.cast ignores its type"),
    (_is_same_float, "float reads names of numbers in any case"),
    (_is_case_of_sql, "SQL and its names have no case"),
)
