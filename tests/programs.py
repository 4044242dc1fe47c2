"""The real program as a process: started, waited for, ended."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

PROBER = str(Path(sys.executable).with_name("prober"))
START_LIMIT_SECONDS = 90
END_LIMIT_SECONDS = 60
LIMIT_SECONDS = 120
ANSWER_LIMIT_SECONDS = 60


PORTS = (15_000, 30_000)
"""Below the ephemeral range, from which the kernel takes ports for connections and for port 0."""


def free_port() -> int:
    """Return a free port; the kernel assigns it to no other program before it is used."""
    while True:
        port = random.SystemRandom().randrange(*PORTS)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


@contextmanager
def started(
    *arguments: str, until: str, log: Path, **environ: str
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Start `prober ...`; yield it, with the first group of `until` as found in what it prints.

    `environ` goes over the environment.
    """
    process = launched(*arguments, log=log, **environ)
    try:
        yield process, wait_for_line(process, log, until)
    finally:
        end(process)


def launched(*arguments: str, log: Path, **environ: str) -> subprocess.Popen[bytes]:
    """Start `prober ...` and wait for nothing; `environ` goes over the environment."""
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", **environ}
    with log.open("wb") as out:
        return subprocess.Popen(
            [PROBER, *arguments], stdout=out, stderr=subprocess.STDOUT, env=environment
        )


def wait_for_line(process: subprocess.Popen[bytes], log: Path, pattern: str) -> str:
    until = time.monotonic() + START_LIMIT_SECONDS
    while time.monotonic() < until:
        found = re.search(pattern, log.read_text())
        if found:
            return found.group(1)
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise AssertionError(f"{process.args!r}: no {pattern!r} in\n{log.read_text()}")


def seconds_until(condition: Callable[[], bool], limit_seconds: float = LIMIT_SECONDS) -> float:
    """Wait for `condition` and return how long it took; it is asked ten times a second."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < limit_seconds, "it did not come true"
        time.sleep(0.1)
    return time.monotonic() - began


def end(process: subprocess.Popen[bytes]) -> int:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(END_LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def get(url: str, **headers: str) -> str:
    with urlopen(Request(url, headers=headers), timeout=ANSWER_LIMIT_SECONDS) as answer:
        text: str = answer.read().decode()
        return text


def call(method: str, url: str, content: object = None) -> dict[str, Any]:
    data = None if content is None else json.dumps(content).encode()
    with urlopen(Request(url, data=data, method=method), timeout=ANSWER_LIMIT_SECONDS) as answer:
        document: dict[str, Any] = json.loads(answer.read())
        return document
