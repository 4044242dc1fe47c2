"""Ninety simulated days: who is notified of what, and is it right? `make calm`.

Exit status 1 if a notification has no cause, a cause has none, or has more than one.
`make calm CALM="--days 5-12 --cache /tmp/calm"` looks at a few days alone.
"""

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console

from tests.alerting import fleet, histograms
from tests.calm import samples as samples_module
from tests.calm import world
from tests.calm.replay import Sent, incidents, play
from tests.calm.rules import Past, levels
from tests.calm.samples import START, Samples
from tests.calm.world import Cause

GRACE_MINUTES = 60
"""A notification belongs to a cause that ended no longer ago."""


def main() -> int:
    """Simulate, evaluate, replay, and print what came of it."""
    arguments = _arguments()
    first, last = arguments.days
    start, end = START + first * 86_400, START + (last + 1) * 86_400
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="prober-calm-") as name:
        directory = Path(name)
        past = Past(directory, start, end)
        _scrape(arguments.cache, past)
        _say(began, f"{world.DAYS} days are written")
        for place, level in enumerate(levels(), 1):
            past.evaluate(level)
            _say(began, f"level {place}: {len(level)} rules, {len(past.firing)} alerts so far")
        every = incidents(past.firing)
        sent = [each for each in play(every, directory) if each.receiver in {"pager", "tickets"}]
    _say(began, f"{len(every)} incidents are played to Alertmanager")
    causes = [
        cause
        for cause in world.CAUSES
        if start <= _time(cause.begins_at) and _time(cause.ends_at) <= end
    ]
    return report(sent, causes)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.calm", description=__doc__)
    parser.add_argument(
        "--days",
        type=_range,
        default=(0, world.DAYS - 1),
        metavar="FIRST-LAST",
        help="evaluate the rules over these days only; long windows need some days before a cause",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIRECTORY",
        help="keep the samples of the simulated world there, and read them from there next time",
    )
    return parser.parse_args()


def _range(text: str) -> tuple[int, int]:
    first, last = map(int, text.split("-"))
    if not 0 <= first <= last < world.DAYS:
        raise ValueError(text)
    return first, last


def _scrape(cache: Path | None, past: Past) -> None:
    """Write the samples of all days, or take them from the cache."""
    kept = None if cache is None else cache / _world_version()
    if kept is not None and kept.is_dir():
        shutil.copytree(kept, past.data, copy_function=os.link)
        return
    samples = Samples()
    with ThreadPoolExecutor(2) as pool:  # promtool is a process of its own
        jobs = []
        for day in range(world.DAYS):
            file = past.data.with_name(f"day{day}.om")
            samples.write(day, file)
            jobs.append(pool.submit(past.add, file))
        for job in jobs:
            job.result()
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        unfinished = kept.with_suffix(".unfinished")
        shutil.copytree(past.data, unfinished)
        unfinished.rename(kept)


def _world_version() -> str:
    """Return what changes with the code that the samples are made by."""
    sources = (world, samples_module, fleet, histograms)
    code = b"".join(Path(str(each.__file__)).read_bytes() for each in sources)
    return hashlib.sha256(code).hexdigest()[:16]


def report(sent: Sequence[Sent], causes: Sequence[Cause]) -> int:
    """Print notifications by cause; return the exit status.

    `causes` are those that must be notified; a notification may have another one that was there
    before or after these days.
    """
    say = Console(width=160, highlight=False).print
    by_cause: dict[Cause, list[Sent]] = {cause: [] for cause in causes}
    false: list[Sent] = []
    for each in sent:
        cause = _cause_of(each)
        if cause is None:
            false.append(each)
        elif cause in by_cause:
            by_cause[cause].append(each)
    say(f"{'cause':52} {'notifications':>13} {'delay':>9}  alerts")
    for cause, found in by_cause.items():
        delay = f"{(found[0].at - _time(cause.begins_at)) / 60:.0f} min" if found else "-"
        say(f"{cause.name:52} {len(found):13} {delay:>9}  {', '.join(map(_names, found))}")
    for each in false:
        say(f"false {each.receiver} on day {(each.at - START) / 86_400:.2f}: {_names(each)}")
    missed = [cause for cause, found in by_cause.items() if not found]
    twice = [cause for cause, found in by_cause.items() if len(found) > 1]
    pages = [each for each in false if each.receiver == "pager"]
    say(
        f"false pages {len(pages)}, false tickets {len(false) - len(pages)},"
        f" missed causes {len(missed)}, causes that were notified more than once {len(twice)}"
    )
    return int(bool(false or missed or twice))


def _cause_of(sent: Sent) -> Cause | None:
    names = {each["alertname"] for each in sent.alerts}
    return next(
        (
            cause
            for cause in world.CAUSES
            if names <= set(cause.alerts)
            and _time(cause.begins_at) <= sent.at <= _time(cause.ends_at + GRACE_MINUTES)
        ),
        None,
    )


def _time(minutes: int) -> float:
    return START + minutes * 60


def _names(sent: Sent) -> str:
    return "+".join(sorted({each["alertname"] for each in sent.alerts}))


def _say(began: float, text: str) -> None:
    sys.stderr.write(f"{time.monotonic() - began:6.0f} s  {text}\n")


if __name__ == "__main__":
    sys.exit(main())
