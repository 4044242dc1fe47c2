"""The reference of built-in probes and their checks, made from the catalogue."""

from collections.abc import Iterator

from prober.classifier.checks import limit_text
from prober.config.builtin_probes import CATALOGUE, BuiltinProbe

Row = tuple[str, ...]
PROBE_COLUMNS = ("probe", "request", "parameters", "notes")
CHECK_COLUMNS = ("probe", "check", "value", "limit", "culprit")


def probe_rows() -> Iterator[Row]:
    """Yield a row for each built-in probe."""
    for probe in CATALOGUE.values():
        yield (
            f"`{probe.name}`",
            f"`{probe.method} {probe.path}`",
            ", ".join(f"`{each}`" for each in probe.parameters),
            _notes(probe),
        )


def check_rows() -> Iterator[Row]:
    """Yield a row for each built-in check."""
    for probe in CATALOGUE.values():
        for check in probe.checks:
            each = f", for each of `{_code(check.each)}`" if check.each else ""
            ratio = f" / `{_code(check.divided_by)}`" if check.divided_by else ""
            yield (
                f"`{probe.name}`",
                f"`{check.name}`",
                f"`{_code(check.value)}`{ratio} ({check.kind}){each}",
                limit_text(check) or "none",
                check.culprit.value if check.has_limits else "",
            )


def _notes(probe: BuiltinProbe) -> str:
    notes = (
        ("unofficial route", not probe.is_official),
        ("billed", probe.is_billable),
        ("writes", probe.is_write),
    )
    return ", ".join(text for text, holds in notes if holds)


def _code(expression: str) -> str:
    """Return an expression that does not end a cell of a Markdown table."""
    return expression.replace("|", "\\|")
