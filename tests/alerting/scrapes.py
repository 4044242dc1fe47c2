"""When samples are scraped: between two evaluations of the rules, as in life.

promtool puts the first sample of every series at 0 and evaluates the rules at 0, too. So a sample
and the beginning of a rule's range may be at the very same time. Prometheus 2 counts that sample
and Prometheus 3 does not, while in life scrapes and evaluations hardly ever coincide.
"""

import re
from collections.abc import Iterator
from itertools import chain, islice

EVALUATION_SECONDS, SCRAPE_SECONDS = 30, 10
NOTHING = "_"
_REPEATED = re.compile(r"(?P<first>-?[\d.e]+|_|stale)(?P<step>[+-][\d.e]+)?(?:x(?P<more>\d+))?")


def scraped(values: str, seconds: int) -> str:
    """Return the same samples, each but the first ten seconds before the evaluation that it was at.

    `values` has a sample every 30 s, the result one place every 10 s, up to `seconds`.
    """
    first, *rest = islice(_samples(values), 1 + seconds // EVALUATION_SECONDS)
    between = ((each, NOTHING, NOTHING) for each in rest)
    return " ".join(chain((first, NOTHING), *between))


def _samples(values: str) -> Iterator[str]:
    """Yield the samples in promtool's notation: `1`, `0+2x3`, `_x9`, `stale`."""
    for each in values.split():
        found = _REPEATED.fullmatch(each)
        assert found is not None, each
        # `axn` is one sample and n more; `_xn` is n of nothing.
        number = int(found["more"] or 0) + (found["first"] != NOTHING or not found["more"])
        if found["step"] is None:
            yield from [found["first"]] * number
        else:
            first, step = float(found["first"]), float(found["step"])
            yield from (repr(first + step * place) for place in range(number))
