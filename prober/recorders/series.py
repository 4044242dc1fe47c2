"""Numbers and their text, kept together: of what has changed the lines are made anew, once.

A `Shelf` holds one family. On it stands one block for each owner (a probe, a tenant, a host, or
the daemon itself), and for each block one text. A change makes the text stale, and no more: it is
made anew before the next scrape, however many changes there were until then.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping

from prometheus_client.utils import floatToGoString

from prober.recorders.families import Family

Labels = tuple[str, ...]

ONLY = ""
"""The key of a series that is its owner's only one."""

Stale = dict[Labels, list["Block | Histogram"]]
"""Whose texts are to be made anew, by their owners."""

_EXPONENT_FROM = 1e6  # where the client begins to write exponents


class Shelf:
    """One family: its blocks by owner, and the text of each, in the same order.

    `labels` may name more labels than the family does (a tenant's own). `stale` may be shared by
    many shelves.
    """

    __slots__ = ("blocks", "family", "labels", "stale", "texts")

    def __init__(self, family: Family, stale: Stale) -> None:
        self.family = family
        self.stale = stale
        self.labels = family.labels
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

    def put(self, block: "Block | Histogram", text: str) -> None:
        """Take the text of a block, unless that has gone in the meantime."""
        if self.blocks.get(block.owner) is block:
            self.texts[block.owner] = text

    def drop(self, owner: Labels) -> None:
        """Forget an owner's series."""
        self.blocks.pop(owner, None)
        self.texts.pop(owner, None)


class Block:
    """One owner's series of a counter or a gauge.

    A series is known by a key; `tails` says for each key which label values follow the owner's.
    All begin at `value`, or are absent if it is None.
    """

    __slots__ = ("_is_stale", "_lines", "_prefixes", "_shelf", "owner", "tails", "values")

    def __init__(
        self,
        shelf: Shelf,
        owner: Labels,
        tails: Mapping[str, Labels],
        value: float | None,
    ) -> None:
        self.owner = owner
        self.tails: dict[str, Labels] = {}
        self.values: dict[str, float] = {}
        self._shelf = shelf
        self._prefixes: dict[str, str] = {}
        self._lines: dict[str, str] = {}
        self._is_stale = False
        shelf.texts[owner] = ""  # its place among the others
        self.redefine(tails, value)

    @property
    def series_count(self) -> int:
        """How many series have a value."""
        return len(self.values)

    def redefine(self, tails: Mapping[str, Labels], value: float | None) -> None:
        """Forget all series and begin anew with these."""
        self.tails.clear()
        self._prefixes.clear()
        for key, tail in tails.items():
            self.declare(key, tail)
        self._fill({} if value is None else dict.fromkeys(tails, value))

    def declare(self, key: str, tail: Labels) -> None:
        """Make a series known; it is absent until it has a value."""
        self.tails[key] = tail
        pairs = zip(self._shelf.labels, self.owner + tail, strict=True)
        self._prefixes[key] = f"{self._shelf.family.name}{labels_text(pairs)} "

    def set(self, value: float, key: str = ONLY) -> None:
        """Give a series a value."""
        if self.values.get(key) == value:
            return
        self.values[key] = value
        self._lines[key] = ""
        if not self._is_stale:
            self._become_stale()

    def add(self, amount: float = 1.0, key: str = ONLY) -> None:
        """Add to a series that has a value."""
        self.set(self.values[key] + amount, key)

    def replace(self, values: Mapping[str, float]) -> None:
        """Give the series of `values` these values, and make all others absent."""
        if values != self.values:
            self._fill(values)

    def _fill(self, values: Mapping[str, float]) -> None:
        self.values = dict(values)
        self._lines = dict.fromkeys(values, "")
        if not self._is_stale:
            self._become_stale()

    def _become_stale(self) -> None:
        self._is_stale = True
        self._shelf.stale.setdefault(self.owner, []).append(self)

    def refresh(self) -> None:
        """Make the text anew."""
        self._is_stale = False
        lines = self._lines
        for key, value in self.values.items():
            if not lines[key]:
                lines[key] = f"{self._prefixes[key]}{number(value)}\n"
        self._shelf.put(self, "".join(lines.values()))


class Histogram:
    """One owner's histogram; `counts` are cumulative, the last one (+Inf) counts all."""

    __slots__ = (
        "_is_stale",
        "_lines",
        "_prefixes",
        "_shelf",
        "_written",
        "counts",
        "owner",
        "total",
    )

    def __init__(self, shelf: Shelf, owner: Labels) -> None:
        self.owner = owner
        self.counts = [0] * (len(shelf.family.buckets) + 1)
        self.total = 0.0
        self._shelf = shelf
        name, pairs = shelf.family.name, tuple(zip(shelf.labels, owner, strict=True))
        plain = labels_text(pairs)
        self._prefixes = [
            *(f"{name}_bucket{labels_text((*pairs, ('le', le)))} " for le in bounds(shelf.family)),
            f"{name}_count{plain} ",
            f"{name}_sum{plain} ",
        ]
        self._lines = [f"{prefix}0.0\n" for prefix in self._prefixes]
        self._written = list(self.counts)
        self._is_stale = False
        shelf.texts[owner] = "".join(self._lines)

    @property
    def buckets(self) -> tuple[float, ...]:
        """The upper bounds of all buckets but the last."""
        return self._shelf.family.buckets

    @property
    def series_count(self) -> int:
        """How many series this is: the buckets, the count and the sum."""
        return len(self._prefixes)

    def observe(self, value: float) -> None:
        """Count one measurement."""
        counts = self.counts
        self.total += value
        for index in range(bisect_left(self._shelf.family.buckets, value), len(counts)):
            counts[index] += 1
        if not self._is_stale:
            self._is_stale = True
            self._shelf.stale.setdefault(self.owner, []).append(self)

    def refresh(self) -> None:
        """Make the text anew."""
        self._is_stale = False
        lines, prefixes, written = self._lines, self._prefixes, self._written
        last, text = -1, ""
        for index, count in enumerate(self.counts):
            if count != written[index]:
                if count != last:  # most buckets above the usual latency hold the same count
                    last, text = count, f"{number(count)}\n"
                lines[index] = prefixes[index] + text
                written[index] = count
        lines[-2] = f"{prefixes[-2]}{number(self.counts[-1])}\n"
        lines[-1] = f"{prefixes[-1]}{number(self.total)}\n"
        self._shelf.put(self, "".join(lines))


def bounds(family: Family) -> tuple[str, ...]:
    """Return the values of `le`, +Inf last."""
    return (*map(floatToGoString, family.buckets), "+Inf")


def number(value: float) -> str:
    """Return a finite number as the client writes it."""
    if 0.0 <= value < _EXPONENT_FROM:
        return repr(float(value))
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call]
    return text


def labels_text(pairs: Iterable[tuple[str, str]]) -> str:
    """Return `{a="1",b="2"}`, sorted by name as the client does, or nothing."""
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in sorted(pairs))
    return f"{{{inside}}}" if inside else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
