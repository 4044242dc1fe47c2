"""Asks a blackbox_exporter at an even pace and prints what it measured.

A program of its own: `python -m tests.benchmarks.blackbox_load URL TARGET RATE SECONDS`. Each probe
gets a path of its own under TARGET. Prints a JSON object: path to
[seconds of phase `processing`, epoch seconds of the start].
"""

import argparse
import asyncio
import json
import re
import time

import aiohttp

_PROCESSING = re.compile(r'^probe_http_duration_seconds\{phase="processing"\} (\S+)$', re.MULTILINE)


async def _measure(url: str, target: str, rate: float, seconds: float) -> dict[str, list[float]]:
    measured: dict[str, list[float]] = {}
    loop = asyncio.get_running_loop()

    async def ask(session: aiohttp.ClientSession, number: int) -> None:
        path = f"/blackbox/{number}"
        started_at = time.time()
        query = {"module": "api", "target": target + path}
        async with session.get(f"{url}/probe", params=query) as response:
            found = _PROCESSING.search(await response.text())
        if found is not None:
            measured[path] = [float(found[1]), started_at]

    began = loop.time()
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        for number in range(round(rate * seconds)):
            await asyncio.sleep(began + number / rate - loop.time())
            group.create_task(ask(session, number))
    return measured


def main() -> None:
    """Ask, and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("url")
    arguments.add_argument("target")
    arguments.add_argument("rate", type=float)
    arguments.add_argument("seconds", type=float)
    options = arguments.parse_args()
    measured = asyncio.run(_measure(options.url, options.target, options.rate, options.seconds))
    print(json.dumps(measured))  # noqa: T201


if __name__ == "__main__":
    main()
