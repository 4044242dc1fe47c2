"""How values are stored in the history: rows and compressed JSON. Pure.

Aggregates are the bulk of a history, so they are packed: numbers as JSON arrays, column by column
and deflated, so that similar values are side by side and compress well. An hour of one run a
minute takes about a tenth of a kilobyte. The minutes of an hour are numbered 0 to 59.
"""

import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, repeat
from types import MappingProxyType
from typing import Any, TypeVar

from prober.models import ProbeResult
from prober.outcomes import CLASSIFICATION, Culprit, Reason
from prober.render.documents import result_document
from prober.stats.aggregates import Aggregate, DurationHistogram, run_kind
from prober.stats.incidents import FailureStreak

MAX_HEADERS = 40
MAX_TEXT_CHARACTERS = 512
_DOCUMENT_COMPRESSION_LEVEL = 6
UNREADABLE: tuple[type[Exception], ...] = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
    *(RecursionError, zlib.error),
)
"""What decoding raises for a row that has other contents than it should."""
_R = TypeVar("_R")
_T = TypeVar("_T")

StreakRow = tuple[str, str, str, str | None, str, str, float, float, float | None, int, int]
"""tenant, probe, reason, culprit, rule, evidence, started, last failed, ended, failures, in
maintenance."""
# Earlier versions stored no culprit, since every reason had a fixed one.
_EARLIER_CULPRITS = MappingProxyType({Reason.EXPECTATION_FAILED: Culprit.PLATFORM})
_EARLIER_KINDS = MappingProxyType(
    {reason.value: run_kind(reason, culprit) for reason, culprit in _EARLIER_CULPRITS.items()}
)


def culprit_of(reason: Reason, stored: str | None) -> Culprit:
    """Return the culprit of a row: the stored one, else the one that its reason used to have."""
    if stored is not None:
        return Culprit(stored)
    return _EARLIER_CULPRITS.get(reason, CLASSIFICATION[reason].culprit)


def pack_document(result: ProbeResult) -> bytes:
    """Return the JSON document of a failure as bytes, bounded whatever the server sent."""
    text = json.dumps(_bounded(result_document(result)), separators=(",", ":"))
    return zlib.compress(text.encode(), _DOCUMENT_COMPRESSION_LEVEL)


def unpack_document(content: bytes) -> dict[str, Any]:
    """Return what `pack_document` packed."""
    document: dict[str, Any] = json.loads(zlib.decompress(content))
    return document


def streak_from_row(row: StreakRow) -> FailureStreak:
    """Return the failure streak that a row holds."""
    (
        tenant,
        probe,
        reason,
        culprit,
        rule,
        evidence,
        started_at,
        last_failed_at,
        ended_at,
        failures,
        in_maintenance,
    ) = row
    return FailureStreak(
        tenant,
        probe,
        culprit_of(Reason(reason), culprit),
        Reason(reason),
        str(rule),
        str(evidence),
        float(started_at),
        float(last_failed_at),
        None if ended_at is None else float(ended_at),
        int(failures),
        bool(in_maintenance),
    )


def decode_rows(rows: Iterable[_R], decode: Callable[[_R], _T]) -> Iterator[_T]:
    """Yield the values of rows; rows that cannot be decoded are left out.

    A later version may have written reasons that this one does not know, and a disk may have
    damaged a row: the rest of the history is shown all the same.
    """
    for row in rows:
        try:
            value = decode(row)
        except UNREADABLE:
            continue
        yield value


def _bounded(value: object) -> object:
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT_CHARACTERS else f"{value[:MAX_TEXT_CHARACTERS]}…"
    if isinstance(value, Mapping):
        return {name: _bounded(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_bounded(inner) for inner in value[:MAX_HEADERS]]
    return value


# Where every minute had one response, which is the rule, a column is a text with one character for
# each minute: the distance of its bucket from the lowest one. Characters begin after the quotation
# mark (34), which JSON would escape; the largest distance keeps them within two bytes of UTF-8.
_FIRST_CHARACTER = 35
_MAX_DISTANCE = 1000
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
# A window of 4 KiB, and 10 KiB of memory, is enough for an hour. Allocating zlib's default of a
# quarter of a megabyte takes twenty times as long as deflating a minute.
_WINDOW_BITS, _MEMORY_LEVEL = -12, 4  # negative: a raw stream, without header and checksum

_HISTOGRAMS = 3

_PackedHistogram = int | list[int] | None
_Column = list[_PackedHistogram] | tuple[int, str]


def pack_aggregate(aggregate: Aggregate) -> bytes:
    """Return an aggregate as bytes."""
    return _deflate(
        [
            dict(aggregate.counts),
            _pack_histogram(aggregate.server),
            _pack_histogram(aggregate.network),
            _pack_histogram(aggregate.own),
        ]
    )


def unpack_aggregate(content: bytes) -> Aggregate:
    """Return what `pack_aggregate` packed; raises ValueError for anything else."""
    counts, *histograms = _inflate(content, 4)
    return Aggregate(_current_kinds(counts), *map(_unpack_histogram, histograms))


def pack_minutes(minutes: Mapping[int, Aggregate]) -> bytes:
    """Return the aggregates of an hour as bytes; minutes without any run are left out."""
    numbers = sorted(minutes)
    # Run-length encoding: most minutes have the same counts as the one before.
    counts_runs: list[list[object]] = []
    for number in numbers:
        counts = dict(minutes[number].counts)
        if counts_runs and counts_runs[-1][1] == counts:
            counts_runs[-1][0] += 1  # type: ignore[operator]
        else:
            counts_runs.append([1, counts])
    server = _pack_column([minutes[number].server for number in numbers])
    network = _pack_column([minutes[number].network for number in numbers])
    own = _pack_column([minutes[number].own for number in numbers])
    # Of an unbroken range the first number is enough.
    is_range = numbers == list(range(numbers[0], numbers[-1] + 1)) if numbers else True
    return _deflate(
        [numbers[:1] if is_range else numbers, len(numbers), counts_runs, server, network, own]
    )


def unpack_minutes(content: bytes) -> dict[int, Aggregate]:
    """Return what `pack_minutes` packed; raises ValueError for anything else."""
    numbers, length, counts_runs, *columns = _inflate(content, 6)
    if len(numbers) != length:
        numbers = range(numbers[0], numbers[0] + length)
    counts = [
        counts for times, stored in counts_runs for counts in repeat(_current_kinds(stored), times)
    ]
    columns += [[]] * (_HISTOGRAMS - len(columns))
    histograms = (_unpack_column(column or [None] * length) for column in columns)
    rows = zip(numbers, counts, *histograms, strict=True)
    return {number: Aggregate(kinds, *parts) for number, kinds, *parts in rows}


def _current_kinds(counts: Mapping[str, int]) -> Mapping[str, int]:
    if not any(kind in counts for kind in _EARLIER_KINDS):
        return counts
    found: Counter[str] = Counter()
    for kind, count in counts.items():
        found[_EARLIER_KINDS.get(kind, kind)] += count
    return dict(found)


def _pack_column(histograms: Sequence[DurationHistogram]) -> _Column:
    """Return the histograms of an hour; an empty list if all of them are empty."""
    packed = [_pack_histogram(histogram) for histogram in histograms]
    if all(each is None for each in packed):
        return []
    single = [each for each in packed if isinstance(each, int)]
    if not single or len(single) < len(packed) or max(single) - min(single) > _MAX_DISTANCE:
        return packed
    lowest = min(single)
    return lowest, "".join(chr(_FIRST_CHARACTER + each - lowest) for each in single)


def _unpack_column(column: _Column) -> Sequence[DurationHistogram]:
    match column:
        case [int(lowest), str(text)]:
            return [DurationHistogram({lowest + ord(each) - _FIRST_CHARACTER: 1}) for each in text]
    return [_unpack_histogram(packed) for packed in column]


def _pack_histogram(histogram: DurationHistogram) -> _PackedHistogram:
    """Return None if it is empty, the bucket of a single duration, else a list.

    The list has each bucket and its count by turns; a bucket is given by its distance from the one
    before, since small numbers take fewer bytes.
    """
    if not histogram.buckets:
        return None
    pairs = sorted(histogram.buckets.items())
    if len(pairs) == 1 and pairs[0][1] == 1:
        return pairs[0][0]
    packed, last = [], 0
    for bucket, count in pairs:
        packed += [bucket - last, count]
        last = bucket
    return packed


def _unpack_histogram(packed: _PackedHistogram) -> DurationHistogram:
    if packed is None:
        return DurationHistogram()
    if isinstance(packed, int):
        return DurationHistogram({packed: 1})
    return DurationHistogram(dict(zip(accumulate(packed[::2]), packed[1::2], strict=True)))


def _deflate(content: object) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL)
    return compressor.compress(_ENCODER.encode(content).encode()) + compressor.flush()


def _inflate(content: bytes, columns: int) -> list:  # type: ignore[type-arg]
    """Return the packed columns; data from before own time was kept has one column fewer."""
    try:
        found = json.loads(zlib.decompress(content, -zlib.MAX_WBITS))
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not isinstance(found, list) or len(found) not in {columns - 1, columns}:
        raise ValueError("not a packed aggregate")
    return found
