"""Makes the checks of a probe from the built-in ones and from those that are written. Pure.

Problems are collected and returned, so that the user sees all of them at once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from prober.config.check_schema import CheckConfig
from prober.config.yaml import Note
from prober.formatting import did_you_mean
from prober.models import Check, CheckKind
from prober.outcomes import Culprit

MAX_CHECKS = 20

_LIMITS: Mapping[CheckKind, tuple[str, ...]] = MappingProxyType(
    {
        CheckKind.NUMBER: ("min", "max", "below", "equals"),
        CheckKind.COUNT: ("min", "max", "below", "equals"),
        CheckKind.TIMESTAMP: ("max_age",),
        CheckKind.BOOLEAN: ("equals",),
        CheckKind.TEXT: ("equals", "one_of"),
    }
)
_ALL_LIMITS = tuple(dict.fromkeys(key for keys in _LIMITS.values() for key in keys))
_EQUALS_TYPES: Mapping[CheckKind, tuple[type, str]] = MappingProxyType(
    {
        CheckKind.NUMBER: (float, "a number"),
        CheckKind.COUNT: (float, "a number"),
        CheckKind.BOOLEAN: (bool, "true or false"),
        CheckKind.TEXT: (str, "a text in quotes"),
    }
)
# The key in the file and the field of `Check`, where they differ.
_FIELDS = MappingProxyType({"max_age": "max_age_seconds", "optional": "is_optional"})


def resolve_checks(
    base: Sequence[Check], written: Sequence[CheckConfig]
) -> tuple[tuple[Check, ...], list[Note]]:
    """Return `base` with the written checks: each changes one of the same name, or is a new one.

    The paths of problems begin with the position in `written`.
    """
    checks = {check.name: check for check in base}
    seen: set[str] = set()
    problems: list[Note] = []
    for position, each in enumerate(written):
        if each.name in seen:
            message = f"there are two checks '{each.name}': give one of them another name"
            problems.append(((position, "name"), message))
            continue
        seen.add(each.name)
        known = checks.get(each.name)
        if not each.enabled:
            problems += _off_problems(each, known, position, checks)
            checks.pop(each.name, None)
            continue
        check, found = _check(each, known, checks)
        problems += [((position, *path), message) for path, message in found]
        if check is not None:
            checks[each.name] = check
    if len(checks) > MAX_CHECKS:
        problems.append(((), f"has {len(checks)} checks: write at most {MAX_CHECKS}"))
    return tuple(checks.values()), problems


def _off_problems(
    each: CheckConfig, known: Check | None, position: int, checks: Iterable[str]
) -> list[Note]:
    if known is not None:
        return []
    return [
        (
            (position, "name"),
            f"there is no check '{each.name}' to turn off{_hint(each.name, checks)}",
        )
    ]


def _hint(name: str, checks: Iterable[str]) -> str:
    names = ", ".join(sorted(checks))
    return did_you_mean(name, checks) or (f"; there are {names}" if names else "")


def _check(
    each: CheckConfig, known: Check | None, checks: Iterable[str]
) -> tuple[Check | None, list[Note]]:
    """Return the check that is written, or `known` with what is written of it."""
    if known is None:
        missing = [key for key in ("value", "kind") if getattr(each, key) is None]
        if missing:
            message = f"is missing: a new check needs it{_hint(each.name, checks)}"
            return None, [((key,), message) for key in missing]
        assert each.value is not None  # noqa: S101 -- see `missing`
        assert each.kind is not None  # noqa: S101
        known = Check(each.name, each.kind, each.value)
    given: dict[str, Any] = {
        _FIELDS.get(key, key): tuple(value) if isinstance(value, list) else value
        for key in CheckConfig.model_fields
        if key not in {"name", "enabled"} and (value := getattr(each, key)) is not None
    }
    if each.culprit is not None:
        given["culprit"] = Culprit(each.culprit)
    if "value" in given and given["value"] != known.value:
        # Another value is described by other words.
        given = {"phrase": "", "item_words": (), "known_texts": (), **given}
    check = replace(known, **given)
    problems = check_problems(check)
    return (None if problems else check), problems


def check_problems(check: Check) -> list[Note]:
    """Return what is wrong with a check, by the keys of the file."""
    problems: list[Note] = []
    allowed = _LIMITS[check.kind]
    given = [key for key in _ALL_LIMITS if _limit(check, key) not in (None, ())]
    for key in given:
        if key not in allowed:
            message = f"is not a limit of a {check.kind}: write {' or '.join(allowed)}"
            problems.append(((key,), message))
    if check.equals is not None and "equals" in allowed:
        wanted, words = _EQUALS_TYPES[check.kind]
        if not isinstance(check.equals, wanted):
            problems.append((("equals",), f"must be {words}, since the kind is {check.kind}"))
    if check.min is not None and check.max is not None and check.min > check.max:
        problems.append((("min",), "is greater than 'max'"))
    if check.item is not None and check.each is None:
        problems.append((("item",), "needs 'each': the list of items"))
    if check.divided_by is not None and check.kind is not CheckKind.NUMBER:
        problems.append((("divided_by",), "needs the kind number"))
    if check.for_runs > 1 and not given:
        problems.append((("for",), f"needs a limit: {' or '.join(allowed)}"))
    return problems


def _limit(check: Check, key: str) -> object:
    value: object = getattr(check, _FIELDS.get(key, key))
    return value
