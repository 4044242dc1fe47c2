"""Values as rows of the file, and rows as values. Pure.

Tallies as bytes: a tenth of a kilobyte for an hour of runs by the minute.

JSON of numbers in columns, deflated: what is alike in an hour stands together. An hour's minutes
are numbered 0 to 59. Where every minute had one answer, which is the rule, a column is a text with
a character for each: its distance from the least of them.
"""

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, TypeVar

from prober.models import ProbeResult
from prober.outcomes import CLASSIFICATION, Reason
from prober.render.documents import result_document
from prober.stats.aggregates import Aggregate, DurationHistogram
from prober.stats.incidents import FailureStreak

MAX_HEADERS = 40
MAX_TEXT_CHARACTERS = 512
_LEVEL = 6
UNREADABLE: tuple[type[Exception], ...] = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
    *(RecursionError, zlib.error),
)
"""What decoding raises when a row holds something else than it should."""
_R = TypeVar("_R")
_T = TypeVar("_T")

StreakRow = tuple[str, str, str, str, str, float, float, float | None, int, int]
"""tenant, probe, reason, rule, evidence, started, last failed, ended, failures, in maintenance."""


def pack_document(result: ProbeResult) -> bytes:
    """Return a failure's document as bytes: bounded, whatever the other side sent."""
    text = json.dumps(_bounded(result_document(result)), separators=(",", ":"))
    return zlib.compress(text.encode(), _LEVEL)


def unpack_document(content: bytes) -> dict[str, Any]:
    """Return what `pack_document` packed."""
    document: dict[str, Any] = json.loads(zlib.decompress(content))
    return document


def streak_from_row(row: StreakRow) -> FailureStreak:
    """Return a row as a spell."""
    tenant, probe, reason, rule, evidence, started, last_failed, ended, failures, planned = row
    return FailureStreak(
        tenant,
        probe,
        CLASSIFICATION[Reason(reason)].culprit,
        Reason(reason),
        str(rule),
        str(evidence),
        float(started),
        float(last_failed),
        None if ended is None else float(ended),
        int(failures),
        bool(planned),
    )


def decode_rows(rows: Iterable[_R], decode: Callable[[_R], _T]) -> Iterator[_T]:
    """Yield what rows say; what cannot be read is passed over.

    A later prober may have written reasons that this one does not know, and a disk may have damaged
    what a row holds: the rest of the past is shown all the same.
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


_FIRST_CHARACTER = 35  # past the quotation mark, which JSON would escape
_MOST_CHARACTERS = 1000
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
# A window of 4 KiB and 10 KiB of memory, all that an hour needs: to get hold of the usual quarter
# of a megabyte takes twenty times as long as to deflate a minute.
_SMALL = (-12, 4)

_Packed = int | list[int] | None
_Column = list[_Packed] | tuple[int, str]


def pack_tally(tally: Aggregate) -> bytes:
    """Return a tally as bytes."""
    return _deflated([dict(tally.counts), _packed(tally.server), _packed(tally.network)])


def unpack_tally(content: bytes) -> Aggregate:
    """Return what `pack_tally` packed; raises ValueError if it was something else."""
    counts, server, network = _inflated(content, 3)
    return Aggregate(counts, _sketch(server), _sketch(network))


def pack_minutes(minutes: Mapping[int, Aggregate]) -> bytes:
    """Return an hour's tallies as bytes; a minute in which nothing was to happen is left out."""
    numbers = sorted(minutes)
    kinds: list[list[object]] = []
    for number in numbers:
        counts = dict(minutes[number].counts)
        if kinds and kinds[-1][1] == counts:
            kinds[-1][0] += 1  # type: ignore[operator]
        else:
            kinds.append([1, counts])
    server = _column([minutes[number].server for number in numbers])
    network = _column([minutes[number].network for number in numbers])
    whole = numbers == list(range(numbers[0], numbers[-1] + 1)) if numbers else True
    columns = [numbers[:1] if whole else numbers, len(numbers), kinds, server, network]
    return _deflated(columns)


def unpack_minutes(content: bytes) -> dict[int, Aggregate]:
    """Return what `pack_minutes` packed; raises ValueError if it was something else."""
    numbers, length, kinds, server, network = _inflated(content, 5)
    if len(numbers) != length:
        numbers = range(numbers[0], numbers[0] + length)
    counts = [counts for times, counts in kinds for _ in range(times)]
    rows = zip(numbers, counts, _sketches(server), _sketches(network), strict=True)
    return {number: Aggregate(*columns) for number, *columns in rows}


def _column(sketches: Sequence[DurationHistogram]) -> _Column:
    packed = [_packed(sketch) for sketch in sketches]
    single = [each for each in packed if isinstance(each, int)]
    if not single or len(single) < len(packed) or max(single) - min(single) > _MOST_CHARACTERS:
        return packed
    least = min(single)
    return least, "".join(chr(_FIRST_CHARACTER + each - least) for each in single)


def _sketches(column: _Column) -> Sequence[DurationHistogram]:
    match column:
        case [int(least), str(text)]:
            return [DurationHistogram({least + ord(each) - _FIRST_CHARACTER: 1}) for each in text]
    return [_sketch(packed) for packed in column]


def _packed(sketch: DurationHistogram) -> _Packed:
    """Return nothing, the one bucket of a single duration, or buckets and counts by turns.

    Of several buckets each but the first is told by its distance from the one before.
    """
    if not sketch.buckets:
        return None
    pairs = sorted(sketch.buckets.items())
    if len(pairs) == 1 and pairs[0][1] == 1:
        return pairs[0][0]
    packed, last = [], 0
    for bucket, count in pairs:
        packed += [bucket - last, count]
        last = bucket
    return packed


def _sketch(packed: _Packed) -> DurationHistogram:
    if packed is None:
        return DurationHistogram()
    if isinstance(packed, int):
        return DurationHistogram({packed: 1})
    return DurationHistogram(dict(zip(accumulate(packed[::2]), packed[1::2], strict=True)))


def _deflated(content: object) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, *_SMALL)
    return compressor.compress(_ENCODER.encode(content).encode()) + compressor.flush()


def _inflated(content: bytes, columns: int) -> list:  # type: ignore[type-arg]
    try:
        found = json.loads(zlib.decompress(content, -zlib.MAX_WBITS))
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not isinstance(found, list) or len(found) != columns:
        raise ValueError("not a tally")
    return found
