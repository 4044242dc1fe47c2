"""Who looks on while the daemon probes: a scraper, and pages that are watched live."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from urllib.request import Request, urlopen

SCRAPE_SECONDS = 5.0
_CHUNK_BYTES = 64 * 1024


@dataclass(slots=True)
class Scrapes:
    """What scrapes took, and how much they brought; `spans` are in epoch seconds."""

    seconds: list[float] = field(default_factory=list)
    sent_bytes: int = 0
    spans: list[tuple[float, float]] = field(default_factory=list)


def scrape(url: str, into: Scrapes, limit_seconds: float = 30.0) -> None:
    """Ask for the metrics as Prometheus does, compressed."""
    began = time.time()
    request = Request(f"{url}/metrics", headers={"Accept-Encoding": "gzip"})
    with urlopen(request, timeout=limit_seconds) as answer:
        into.sent_bytes = len(answer.read())
    ended = time.time()
    into.seconds.append(ended - began)
    into.spans.append((began, ended))


@contextmanager
def onlookers(url: str, *, scraper: bool = False, viewers: int = 0) -> Iterator[Scrapes]:
    """Let the metrics be scraped every 5 s, and so many pages be watched."""
    over, scrapes = threading.Event(), Scrapes()

    def scrape_again_and_again() -> None:
        while not over.wait(SCRAPE_SECONDS):
            scrape(url, scrapes)

    def watch() -> None:
        with urlopen(f"{url}/live", timeout=30) as feed:
            while not over.is_set() and feed.read1(_CHUNK_BYTES):
                pass

    threads = [threading.Thread(target=watch, daemon=True) for _ in range(viewers)]
    if scraper:
        threads.append(threading.Thread(target=scrape_again_and_again, daemon=True))
    with ExitStack() as at_end:
        at_end.callback(over.set)
        for thread in threads:
            thread.start()
        yield scrapes
