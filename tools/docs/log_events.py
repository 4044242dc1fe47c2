"""The reference of log events: every event that the code logs, with its level and fields."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from prober.outcomes import TokenEventKind

_PACKAGE = Path(__file__).parents[2] / "prober"
_LEVELS = ("debug", "info", "warning", "error", "exception", "critical")
_NAME = re.compile(r"[a-z_]+\.[a-z_]+")
_RESERVED = ("exc_info", "stack_info")


@dataclass(slots=True)
class _Event:
    levels: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)
    modules: set[str] = field(default_factory=set)


def log_event_table() -> str:
    """Return a table of events, by name."""
    events: dict[str, _Event] = defaultdict(_Event)
    for kind in TokenEventKind:  # logged by a name that is put together
        events[f"token.{kind.name.lower()}"] = _Event(
            {"info", "warning"}, {"tenant"}, {"prober/logs.py"}
        )
    for path in sorted(_PACKAGE.rglob("*.py")):
        for name, levels, fields in _calls(ast.parse(path.read_text())):
            events[name].levels.update(levels)
            events[name].fields.update(fields)
            events[name].modules.add(str(path.relative_to(_PACKAGE.parent)))
    lines = ["| event | level | fields | logged by |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{name}` | {_joined(each.levels)} | {_joined(each.fields)} | {_joined(each.modules)} |"
        for name, each in sorted(events.items())
    ]
    return "\n".join(lines)


def _calls(tree: ast.AST) -> Iterator[tuple[str, set[str], list[str]]]:
    """Yield event, levels and fields of each call such as `logger.info("config.reloaded", ...)`."""
    for node in ast.walk(tree):
        first = node.args[0] if isinstance(node, ast.Call) and node.args else None
        if not (isinstance(first, ast.Constant) and _NAME.fullmatch(str(first.value))):
            continue
        assert isinstance(node, ast.Call)  # noqa: S101 -- it has arguments
        if (levels := _levels(node.func)) is not None:
            fields = [word.arg for word in node.keywords if word.arg and word.arg not in _RESERVED]
            yield str(first.value), levels, fields


def _levels(called: ast.expr) -> set[str] | None:
    """Return the levels at which a call logs, None if it is no call of a logger."""
    if isinstance(called, ast.Name) and called.id == "log":
        return {"info", "warning"}  # a bound method that was chosen before
    if isinstance(called, ast.Attribute) and called.attr in _LEVELS:
        return {"error" if called.attr == "exception" else called.attr}
    return None


def _joined(texts: set[str]) -> str:
    return ", ".join(f"`{text}`" for text in sorted(texts))
