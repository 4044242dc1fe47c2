"""What benchmarks yield: figures with their targets, as a table and as JSON. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number; `target` is the most that it may be, None where none was set.

    `remark` says what the number is made of, or why its target is not reached.
    """

    group: str
    name: str
    measured: float
    unit: str
    target: float | None = None
    remark: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        return None if self.target is None else self.measured <= self.target


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where and with what it was measured; `date` is an ISO date."""

    machine: str
    versions: str
    date: str


def document(surroundings: Surroundings, figures: Iterable[Figure]) -> dict[str, Any]:
    """Return everything as JSON values."""
    return {
        "surroundings": asdict(surroundings),
        "figures": [
            {**asdict(each), "measured": rounded(each.measured), "is_met": each.is_met}
            for each in figures
        ],
    }


def from_document(content: dict[str, Any]) -> tuple[Surroundings, list[Figure]]:
    """Return what `document` was made of."""
    rows = [{k: v for k, v in row.items() if k != "is_met"} for row in content["figures"]]
    return Surroundings(**content["surroundings"]), [Figure(**row) for row in rows]


def markdown(surroundings: Surroundings, figures: Iterable[Figure]) -> str:
    """Return the table for documents."""
    lines = [
        f"Measured {surroundings.date} on {surroundings.machine}; {surroundings.versions}.",
        "",
        "| question | figure | measured | target | |",
        "|---|---|---:|---:|---|",
    ]
    lines += [
        f"| {each.group} | {each.name} | {formatted(each.measured, each.unit)} | {_target(each)} |"
        f" {each.remark} |"
        for each in figures
    ]
    return "\n".join(lines)


def formatted(value: float, unit: str) -> str:
    """Return a number as people read it, such as `1.25 ms`; `x` stands for a ratio."""
    return f"{rounded(value):,g} {unit}".strip()


def rounded(value: float) -> float:
    """Return a number to three digits that count, and whole where it is large."""
    return float(round(value)) if abs(value) >= 1000 else float(f"{value:.3g}")


def quantile(values: Sequence[float], share: float) -> float:
    """Return the least value that a share of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def middle(values: Sequence[float]) -> float:
    """Return the median."""
    return float(median(values))


def _target(figure: Figure) -> str:
    if figure.target is None:
        return ""
    mark = "met" if figure.is_met else "**missed**"
    return f"≤ {formatted(figure.target, figure.unit)}, {mark}"
