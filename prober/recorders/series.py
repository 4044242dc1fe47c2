"""Numbers and their text, kept together: of what has changed the lines are made anew, once.

A `Shelf` holds one family. On it stands one block for each owner (a probe, a tenant, a host, or
the daemon itself), and for each block one text. A change makes the text stale, and no more: it is
made anew before the next scrape, however many changes there were until then.
"""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import accumulate

from prometheus_client.utils import floatToGoString

from prober.recorders.families import Family, Kind

Labels = tuple[str, ...]

ONLY = ""
"""The key of a series that is its owner's only one."""

Stale = OrderedDict[Labels, list["Block | Histogram"]]
"""Whose texts are to be made anew, by their owners."""

_COUNT, _SUM = ("_count",), ("_sum",)
_MOST_TEMPLATES = 64
_EXPONENT_FROM = 1e6  # where the client begins to write exponents


class Shelf:
    """One family: its blocks by owner, and the text of each, in the same order.

    `labels` may name more labels than the family does (a tenant's own). `tails` are those of a
    histogram's lines. `stale` may be shared by many shelves.
    """

    __slots__ = (
        "_beginnings",
        "_templates",
        "blocks",
        "family",
        "labels",
        "stale",
        "tails",
        "texts",
    )

    def __init__(self, family: Family, stale: Stale) -> None:
        self.family = family
        self.stale = stale
        self._templates: dict[tuple[Labels, tuple[Labels, ...], str], str] = {}
        self._beginnings: dict[tuple[tuple[str, ...], float], dict[str, float]] = {}
        self.labels = family.labels
        self.tails = (*((le,) for le in bounds(family)), _COUNT, _SUM)
        self.blocks: dict[Labels, Block | Histogram] = {}
        self.texts: dict[Labels, str] = {}

    def block(
        self,
        owner: Labels,
        tails: Mapping[str, Labels],
        value: float | None = 0.0,
    ) -> "Block":
        """Return the block of `owner`, made if it is new; see `Block` for `tails` and `value`."""
        found = self.blocks.get(owner)
        if not isinstance(found, Block):
            found = self.blocks[owner] = Block(self, owner, tails, value)
        return found

    def histogram(self, owner: Labels) -> "Histogram":
        """Return the histogram of `owner`, made empty if it is new."""
        found = self.blocks.get(owner)
        if not isinstance(found, Histogram):
            found = self.blocks[owner] = Histogram(self, owner)
        return found

    @property
    def series_count(self) -> int:
        """How many series stand here now."""
        return sum(block.series_count for block in self.blocks.values())

    def beginning(self, keys: tuple[str, ...], value: float) -> dict[str, float]:
        """Return the values that blocks begin with; shared, since most never get others."""
        key = keys, value
        if key not in self._beginnings:
            self._beginnings[key] = dict.fromkeys(keys, value)
        return self._beginnings[key]

    def become_stale(self, block: "Block | Histogram") -> None:
        """Take note that a block has changed since its text was made."""
        self.texts.setdefault(block.owner, "")  # its place among the others
        self.stale.setdefault(block.owner, []).append(block)

    def refresh(
        self, block: "Block | Histogram", tails: tuple[Labels, ...], numbers: tuple[float, ...]
    ) -> None:
        """Make a block's text anew, unless it is gone: a line for each tail and number."""
        if self.blocks.get(block.owner) is not block:
            return
        owner = _in_order(self.labels[: len(block.owner)], block.owner)
        if numbers and numbers.count(numbers[0]) == len(numbers):  # as most are for ever
            template = self._template(len(owner), tails, number(numbers[0]))
            self.texts[block.owner] = template % (owner * len(numbers))
            return
        filling: list[str] = []
        for each in numbers:
            filling += owner
            filling.append(number(each))
        self.texts[block.owner] = self._template(len(owner), tails) % tuple(filling)

    def drop(self, owner: Labels) -> None:
        """Forget an owner's series."""
        block = self.blocks.pop(owner, None)
        self.texts.pop(owner, None)
        left = [each for each in self.stale.pop(owner, ()) if each is not block]
        if left:  # an owner of the same name on another shelf
            self.stale[owner] = left

    def _template(self, owner_labels: int, tails: tuple[Labels, ...], value: str = "%s") -> str:
        """Return lines that lack their owner's label values, and their numbers if not told."""
        key = self.labels, tails, value
        if key not in self._templates:
            if len(self._templates) >= _MOST_TEMPLATES:
                self._templates.clear()
            owner = self.labels[:owner_labels]
            self._templates[key] = "".join(self._line(owner, tail, value) for tail in tails)
        return self._templates[key]

    def _line(self, owner: Labels, tail: Labels, value: str) -> str:
        name, labels = self.family.name, self.labels[len(owner) :]
        if self.family.kind is Kind.HISTOGRAM:
            if tail in {_COUNT, _SUM}:
                name, tail = name + tail[0], ()
            else:
                name, labels = f"{name}_bucket", ("le",)
        known = zip(labels, (each.replace("%", "%%") for each in tail), strict=True)
        return f"{name}{labels_text(known, owner)} {value}\n"


class Block:
    """One owner's series of a counter or a gauge.

    A series is known by a key; `tails` says for each key which label values follow the owner's.
    All begin at `value`, or are absent if it is None.
    """

    __slots__ = ("_is_stale", "_owns_values", "_shelf", "owner", "tails", "values")

    def __init__(
        self,
        shelf: Shelf,
        owner: Labels,
        tails: Mapping[str, Labels],
        value: float | None,
    ) -> None:
        self.owner = owner
        self.tails = tails
        self.values: dict[str, float] = {}
        self._owns_values = True
        self._shelf = shelf
        self._is_stale = False
        self.redefine(tails, value)

    @property
    def series_count(self) -> int:
        """How many series have a value."""
        return len(self.values)

    def redefine(self, tails: Mapping[str, Labels], value: float | None) -> None:
        """Forget all series and begin anew with these."""
        self.tails = tails
        self._fill({} if value is None else self._shelf.beginning(tuple(tails), value))
        self._owns_values = False

    def declare(self, key: str, tail: Labels) -> None:
        """Make a series known; it is absent until it has a value."""
        self.tails = {**self.tails, key: tail}

    def set(self, value: float, key: str = ONLY) -> None:
        """Give a series a value."""
        if self.values.get(key) != value:
            if not self._owns_values:
                self.values, self._owns_values = dict(self.values), True
            self.values[key] = value
            if not self._is_stale:
                self._is_stale = True
                self._shelf.become_stale(self)

    def add(self, amount: float = 1.0, key: str = ONLY) -> None:
        """Add to a series that has a value."""
        self.set(self.values[key] + amount, key)

    def replace(self, values: Mapping[str, float]) -> None:
        """Give the series of `values` these values, and make all others absent."""
        if values != self.values:
            self._fill(dict(values))

    def refresh(self) -> None:
        """Make the text anew."""
        self._is_stale = False
        tails = tuple([self.tails[key] for key in self.values])
        self._shelf.refresh(self, tails, tuple(self.values.values()))

    def _fill(self, values: dict[str, float]) -> None:
        self.values, self._owns_values = values, True
        if not self._is_stale:
            self._is_stale = True
            self._shelf.become_stale(self)


class Histogram:
    """One owner's histogram."""

    __slots__ = ("_in_buckets", "_is_stale", "_shelf", "owner", "total")

    def __init__(self, shelf: Shelf, owner: Labels) -> None:
        self.owner = owner
        self._in_buckets = [0] * (len(shelf.family.buckets) + 1)
        self.total = 0.0
        self._shelf = shelf
        self._is_stale = True
        shelf.become_stale(self)

    @property
    def buckets(self) -> tuple[float, ...]:
        """The upper bounds of all buckets but the last."""
        return self._shelf.family.buckets

    @property
    def counts(self) -> tuple[int, ...]:
        """How many measurements do not exceed each upper bound; the last one (+Inf) counts all."""
        return tuple(accumulate(self._in_buckets))

    @property
    def series_count(self) -> int:
        """How many series this is: the buckets, the count and the sum."""
        return len(self._in_buckets) + 2

    def observe(self, value: float) -> None:
        """Count one measurement."""
        self.total += value
        self._in_buckets[bisect_left(self._shelf.family.buckets, value)] += 1
        if not self._is_stale:
            self._is_stale = True
            self._shelf.become_stale(self)

    def refresh(self) -> None:
        """Make the text anew."""
        self._is_stale = False
        counts = self.counts
        self._shelf.refresh(self, self._shelf.tails, (*counts, counts[-1], self.total))


@lru_cache(maxsize=64)
def bounds(family: Family) -> tuple[str, ...]:
    """Return the values of `le`, +Inf last."""
    return (*map(floatToGoString, family.buckets), "+Inf")


def number(value: float) -> str:
    """Return a finite number as the client writes it."""
    if 0.0 <= value < _EXPONENT_FROM:
        return repr(float(value))
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call]
    return text


def labels_text(pairs: Iterable[tuple[str, str]], left_open: Labels = ()) -> str:
    """Return `{a="1",b="2"}`, sorted by name as the client does, or nothing.

    Values of `left_open` are `%s`.
    """
    known = [(name, f'{name}="{_escaped(value)}"') for name, value in pairs]
    every = sorted(known + [(name, f'{name}="%s"') for name in left_open])
    return f"{{{','.join(text for _, text in every)}}}" if every else ""


@lru_cache(maxsize=64)  # an owner's blocks are made anew one after the other
def _in_order(names: Labels, values: Labels) -> Labels:
    """Return label values as text, in the order in which the client writes their names."""
    return tuple(_escaped(value) for _, value in sorted(zip(names, values, strict=True)))


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
