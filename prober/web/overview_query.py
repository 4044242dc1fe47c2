"""The overview's filter and order in the query of its address. Pure.

`?q=WORDS&state=failing&culprit=platform&environment=production&label.team=payments&sort=-server`;
`state`, `culprit`, `environment` and labels may be repeated: one of them must match.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlencode

from prober.outcomes import Culprit
from prober.render.overview import OverviewFilter, SortKey, TenantState

LABEL_PREFIX = "label."
NAMES = ("q", "state", "culprit", "environment", "sort")
_MAX_CHARACTERS = 200
_MAX_WORDS = 100
_MAX_LABELS = 20
_Choice = TypeVar("_Choice", bound=StrEnum)


def parse_filter(pairs: Iterable[tuple[str, str]]) -> OverviewFilter:
    """Return the filter of a query; raises ValueError, with the parameter's name first.

    Parameters of other names are the caller's.
    """
    values: dict[str, list[str]] = {name: [] for name in NAMES}
    labels: list[tuple[str, str]] = []
    for name, value in pairs:
        if len(value) > _MAX_CHARACTERS:
            raise ValueError(f"{name}: write at most {_MAX_CHARACTERS} characters")
        if name.startswith(LABEL_PREFIX):
            labels.append((name.removeprefix(LABEL_PREFIX), value))
        elif name in values and value:
            values[name].append(value)
    sort = values["sort"][-1] if values["sort"] else SortKey.NAME.value
    words = [word for text in values["q"] for word in text.split()]
    if len(words) > _MAX_WORDS:
        raise ValueError(f"q: write at most {_MAX_WORDS} words")
    if len(labels) > _MAX_LABELS:
        raise ValueError(f"{LABEL_PREFIX}NAME: write at most {_MAX_LABELS} labels")
    return OverviewFilter(
        words=tuple(words),
        states=frozenset(_choices("state", values["state"], TenantState)),
        culprits=frozenset(_choices("culprit", values["culprit"], Culprit)),
        environments=frozenset(values["environment"]),
        labels=tuple(sorted(labels)),
        sort=next(iter(_choices("sort", [sort.removeprefix("-")], SortKey))),
        descending=sort.startswith("-"),
    )


def filter_query(wanted: OverviewFilter) -> str:
    """Return the query of a filter: the same one for equal filters, "" for everything."""
    pairs = [("q", " ".join(wanted.words))] if wanted.words else []
    pairs += [("state", each) for each in sorted(wanted.states)]
    pairs += [("culprit", each) for each in sorted(wanted.culprits)]
    pairs += [("environment", each) for each in sorted(wanted.environments)]
    pairs += [(f"{LABEL_PREFIX}{label}", value) for label, value in wanted.labels]
    if (wanted.sort, wanted.descending) != (SortKey.NAME, False):
        pairs.append(("sort", f"{'-' if wanted.descending else ''}{wanted.sort}"))
    return urlencode(pairs)


def link(wanted: OverviewFilter) -> str:
    """Return the address of a filter, relative to the overview."""
    query = filter_query(wanted)
    return f"?{query}" if query else "?"


def toggle_culprit(wanted: OverviewFilter, culprit: Culprit) -> OverviewFilter:
    """Return the filter with only this culprit, or without it if it is the only one."""
    only = frozenset({culprit})
    return replace(
        wanted, culprits=frozenset() if wanted.culprits == only else only, states=frozenset()
    )


def toggle_state(wanted: OverviewFilter, state: TenantState) -> OverviewFilter:
    """Return the filter with only this state, or without it if it is the only one."""
    only = frozenset({state})
    return replace(
        wanted, states=frozenset() if wanted.states == only else only, culprits=frozenset()
    )


def sorted_by(wanted: OverviewFilter, key: SortKey) -> OverviewFilter:
    """Return the filter sorted by a column; in the other direction if it is already."""
    return replace(wanted, sort=key, descending=wanted.sort is key and not wanted.descending)


def _choices(name: str, texts: Sequence[str], kind: type[_Choice]) -> list[_Choice]:
    try:
        return [kind(text) for text in texts]
    except ValueError:
        raise ValueError(f"{name}: must be one of {', '.join(kind)}") from None
