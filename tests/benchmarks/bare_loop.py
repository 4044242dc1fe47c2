"""The least that aiohttp can do: the same requests at the same pace, and nothing else.

A program of its own; prints the CPU seconds that each request cost.
"""

import argparse
import asyncio
import resource
import ssl
from pathlib import Path

import aiohttp

_WARM_UP = 50
_HEADERS = {
    "User-Agent": "prober/0",
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "Authorization": "Bearer a-token-of-the-benchmark",
}


def main() -> None:
    """Read the command line and run."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("url")
    arguments.add_argument("--rate", type=float, required=True)
    arguments.add_argument("--number", type=int, required=True)
    arguments.add_argument("--reuse", action="store_true")
    arguments.add_argument("--ca-file", type=Path)
    options = arguments.parse_args()
    print(asyncio.run(_measured(options)))  # noqa: T201 -- its output is its result


async def _measured(options: argparse.Namespace) -> float:
    context: ssl.SSLContext | bool = True
    if options.ca_file is not None:
        context = ssl.create_default_context(cafile=options.ca_file)
    connector = aiohttp.TCPConnector(force_close=not options.reuse, ssl=context, limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        await _ask(session, options.url, options.rate, _WARM_UP)
        before = _cpu_seconds()
        await _ask(session, options.url, options.rate, options.number)
        cpu_seconds: float = (_cpu_seconds() - before) / options.number
        return cpu_seconds


async def _ask(session: aiohttp.ClientSession, url: str, rate: float, number: int) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    for count in range(number):
        await asyncio.sleep(began + count / rate - loop.time())
        async with session.get(url, headers=_HEADERS, allow_redirects=False) as answer:
            await answer.read()


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
