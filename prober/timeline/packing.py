"""Tallies as bytes: a tenth of a kilobyte for an hour of runs by the minute.

JSON of numbers in columns, deflated: what is alike in an hour stands together. An hour's minutes
are numbered 0 to 59.
"""

import json
import zlib
from collections.abc import Mapping

from prober.timeline.sketch import Sketch
from prober.timeline.tally import Tally

_Packed = int | list[int] | None


def pack_tally(tally: Tally) -> bytes:
    """Return a tally as bytes."""
    return _deflated([dict(tally.counts), _packed(tally.server), _packed(tally.network)])


def unpack_tally(content: bytes) -> Tally:
    """Return what `pack_tally` packed; raises ValueError if it was something else."""
    counts, server, network = _inflated(content, 3)
    return Tally(counts, _sketch(server), _sketch(network))


def pack_minutes(minutes: Mapping[int, Tally]) -> bytes:
    """Return an hour's tallies as bytes; a minute in which nothing was to happen is left out."""
    numbers = sorted(minutes)
    kinds: list[list[object]] = []
    for number in numbers:
        counts = dict(minutes[number].counts)
        if kinds and kinds[-1][1] == counts:
            kinds[-1][0] += 1  # type: ignore[operator]
        else:
            kinds.append([1, counts])
    server = [_packed(minutes[number].server) for number in numbers]
    network = [_packed(minutes[number].network) for number in numbers]
    whole = numbers == list(range(numbers[0], numbers[-1] + 1)) if numbers else True
    columns = [numbers[:1] if whole else numbers, len(numbers), kinds, server, network]
    return _deflated(columns)


def unpack_minutes(content: bytes) -> dict[int, Tally]:
    """Return what `pack_minutes` packed; raises ValueError if it was something else."""
    numbers, length, kinds, server, network = _inflated(content, 5)
    if len(numbers) != length:
        numbers = range(numbers[0], numbers[0] + length)
    counts = [counts for times, counts in kinds for _ in range(times)]
    rows = zip(numbers, counts, server, network, strict=True)
    return {n: Tally(kinds, _sketch(s), _sketch(t)) for n, kinds, s, t in rows}


def _packed(sketch: Sketch) -> _Packed:
    """Return nothing, the one bucket of a single duration, or buckets and counts by turns."""
    if not sketch.buckets:
        return None
    pairs = sorted(sketch.buckets.items())
    if len(pairs) == 1 and pairs[0][1] == 1:
        return pairs[0][0]
    return [number for pair in pairs for number in pair]


def _sketch(packed: _Packed) -> Sketch:
    if packed is None:
        return Sketch()
    if isinstance(packed, int):
        return Sketch({packed: 1})
    return Sketch(dict(zip(packed[::2], packed[1::2], strict=True)))


def _deflated(content: object) -> bytes:
    return zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 9, -15)


def _inflated(content: bytes, columns: int) -> list:  # type: ignore[type-arg]
    try:
        found = json.loads(zlib.decompress(content, -15))
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not isinstance(found, list) or len(found) != columns:
        raise ValueError("not a tally")
    return found
