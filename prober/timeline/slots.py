"""A tenant's time in slots of a quarter of an hour: what strips and budgets are made of."""

from collections.abc import Iterable
from dataclasses import dataclass
from operator import add, attrgetter
from typing import Any

from prober.outcomes import Culprit
from prober.timeline.tally import Run

SLOT_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Slot:
    """Runs by culprit (`none`: good), runs held back by a dead token, and the time they took.

    `server_seconds` and `network_seconds` are sums over the `splits` answers that could be split.
    """

    none: int = 0
    credential: int = 0
    request: int = 0
    platform: int = 0
    network: int = 0
    undecided: int = 0
    prober: int = 0
    held_back: int = 0
    in_maintenance: int = 0
    splits: int = 0
    server_seconds: float = 0.0
    network_seconds: float = 0.0

    def __add__(self, other: "Slot") -> "Slot":
        return Slot(*map(add, values(self), values(other)))

    @property
    def runs(self) -> int:
        """How many runs there were outside maintenance."""
        return sum(self.of(culprit) for culprit in Culprit)

    @property
    def failures(self) -> int:
        """How many of them failed."""
        return self.runs - self.none

    def of(self, culprit: Culprit) -> int:
        """Return how many runs were whose."""
        number: int = getattr(self, culprit.value)
        return number


FIELDS = tuple(Slot.__dataclass_fields__)
_all_of = attrgetter(*FIELDS)


def values(slot: Slot) -> tuple[Any, ...]:
    """Return all numbers of a slot, in the order of its fields."""
    numbers: tuple[Any, ...] = _all_of(slot)
    return numbers


def slot_at(moment: float) -> int:
    """Return the beginning (epoch seconds) of the slot that a moment lies in."""
    return int(moment // SLOT_SECONDS) * SLOT_SECONDS


def slot_of(run: Run) -> Slot:
    """Return the slot that holds one run."""
    if run.in_maintenance:
        return Slot(in_maintenance=1)
    counted = {run.culprit.value: 1}
    if run.server_seconds is None or run.network_seconds is None:
        return Slot(**counted)
    return Slot(
        **counted,
        splits=1,
        server_seconds=run.server_seconds,
        network_seconds=run.network_seconds,
    )


def total(slots: Iterable[Slot]) -> Slot:
    """Return all of these in one."""
    return Slot(*map(sum, zip(*map(values, (Slot(), *slots)), strict=True)))
