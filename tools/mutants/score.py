"""What the results of mutmut amount to. Pure."""

import fnmatch
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

LEAST_RATIO = 0.95
"""The share of mutants that the tests must kill, apart from equivalent ones."""
_NOT_KILLED = frozenset({"survived", "no tests", "suspicious", "not checked", "skipped"})


@dataclass(frozen=True, slots=True)
class Equivalent:
    """Mutants that no test can kill, and why.

    `of` is a pattern of their names (fnmatch), `becomes` one of the changed line (a regular
    expression that is searched in it).
    """

    of: str
    becomes: str
    reason: str

    def matches(self, name: str, added: str) -> bool:
        """Return whether a mutant is one of these; `added` is its changed line."""
        return fnmatch.fnmatch(name, self.of) and re.search(self.becomes, added) is not None


def sample(names: Iterable[str], size: int | None, seed: int) -> list[str]:
    """Return a random sample of mutants, all of them if `size` is None or too large."""
    ordered = sorted(names)
    if size is None or size >= len(ordered):
        return ordered
    return sorted(random.Random(seed).sample(ordered, size))  # noqa: S311 -- no secret


def own_tests(function: str) -> str:
    """Return what the paths of the tests of a function's package, or of its module, begin with."""
    _, package, *rest = function.split(".")
    return f"tests/unit/{package}/" if len(rest) > 1 else f"tests/unit/test_{package}"


def survivors(statuses: Mapping[str, str]) -> list[str]:
    """Return the mutants that no test killed; one that ends in a time-out is killed."""
    return sorted(name for name, status in statuses.items() if status in _NOT_KILLED)


def added_lines(diff: str) -> str:
    """Return the lines that a unified diff adds."""
    lines = diff.splitlines()
    return "\n".join(
        line[1:] for line in lines if line.startswith("+") and not line.startswith("+++")
    )


def equivalent_to(name: str, added: str, known: Sequence[Equivalent]) -> Equivalent | None:
    """Return why a mutant cannot be killed, None if it should be."""
    return next((each for each in known if each.matches(name, added)), None)


def killed_ratio(mutants: int, surviving: int, equivalent: int) -> float:
    """Return the share of killed mutants among those that are not equivalent."""
    counted = mutants - equivalent
    return 1.0 if counted <= 0 else (counted - (surviving - equivalent)) / counted
