"""Far ends that fall silent in four ways, each in a network namespace at the end of a link.

Run as `unshare --net python -m tests.faults.cut_link DIRECTORY`: it lays the links, asks each far
end once with the prober's own client, and prints a JSON object: for each case the verdict's reason,
culprit, evidence and the TCP facts. `serve` is the far end's own program.
"""

import asyncio
import json
import ssl
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import trustme

from prober.classifier.rules import classify
from prober.http_client.client import ProbeHttpClient
from prober.http_client.timing import EventLoopLagMonitor
from prober.models import (
    ConnectionPolicy,
    Expectations,
    HttpExchange,
    Request,
    TransportOptions,
)
from tests.builders import a_probe

WAYS = ("silent", "half", "cut", "dropped", "lost")
CASES = tuple(f"{way}-{scheme}" for way in WAYS for scheme in ("http", "https"))
TIMEOUT_SECONDS = 8.0  # also for a far end that is slow to fall silent
_PORT = 8080
_WAIT_SECONDS = 0.4
_RESPONSE = (
    b'HTTP/1.1 200 OK\r\nServer-Timing: total;dur=1\r\nContent-Length: 16\r\n\r\n{"status": "ok"}'
)
_LOST_BEFORE = "lost"


def _ip(*words: str) -> None:
    subprocess.run(("ip", *words), check=True)


def _near(number: int) -> str:
    return f"10.77.{number}.1"


def _far(number: int) -> str:
    return f"10.77.{number}.2"


async def serve(way: str, number: int, certificate: Path | None) -> None:
    """Be a far end, in a namespace of its own."""
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if way == _LOST_BEFORE:
            writer.write(_RESPONSE)
            await writer.drain()
        elif way == "half":
            writer.write(_RESPONSE[:-5])
        await asyncio.sleep(_WAIT_SECONDS)
        if way in {"cut", _LOST_BEFORE}:
            await asyncio.to_thread(_ip, "link", "set", "far", "down")
        elif way == "dropped":
            await asyncio.to_thread(_ip, "route", "add", "blackhole", f"{_near(number)}/32")
        print("DONE", flush=True)  # noqa: T201
        await asyncio.sleep(60)

    async with await asyncio.start_server(answer, _far(number), _PORT, ssl=context):
        print("READY", flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.read)


class FarEnd:
    """The process of one far end, and the link to it."""

    def __init__(self, case: str, number: int, certificate: Path) -> None:
        self.way, _, self.scheme = case.partition("-")
        self.number = number
        tls = str(certificate) if self.scheme == "https" else ""
        module = [sys.executable, "-m", "tests.faults.cut_link", "serve"]
        self._process = subprocess.Popen(
            ["unshare", "--net", *module, self.way, str(number), tls],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.wait_for("WAITING")
        self._lay_link()
        self.write("GO")
        self.wait_for("READY")

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{self.scheme}://{_far(self.number)}:{_PORT}/"

    def wait_for(self, word: str) -> None:
        """Wait until it says so."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == word

    def write(self, word: str) -> None:
        """Send it a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def _lay_link(self) -> None:
        near, pid = f"near{self.number}", str(self._process.pid)
        _ip("link", "add", near, "type", "veth", "peer", "name", "far", "netns", pid)
        _ip("addr", "add", f"{_near(self.number)}/30", "dev", near)
        _ip("link", "set", near, "up")


async def _ask(far_end: FarEnd, client: ProbeHttpClient, options: TransportOptions) -> HttpExchange:
    probe = a_probe(
        name="silence",
        sent_path="/",
        timeout_seconds=TIMEOUT_SECONDS,
        connection=ConnectionPolicy.REUSE,
    )
    request = Request("GET", far_end.url, (), None, None)
    if far_end.way == _LOST_BEFORE:
        await client.exchange(request, probe, options)
        await asyncio.to_thread(far_end.wait_for, "DONE")
    return await client.exchange(request, probe, options)


async def _ask_all(far_ends: Mapping[str, FarEnd], ca_file: Path) -> dict[str, HttpExchange]:
    options = TransportOptions(None, proxy_from_environment=False, ca_file=ca_file)
    async with ProbeHttpClient(EventLoopLagMonitor()) as client:
        exchanges = await asyncio.gather(
            *(_ask(far_end, client, options) for far_end in far_ends.values())
        )
    return dict(zip(far_ends, exchanges, strict=True))


def main(directory: Path) -> None:
    """Ask every far end."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.pem")
    certificate = directory / "far.pem"
    names = [_far(number) for number in range(len(CASES))]
    authority.issue_cert(*names).private_key_and_cert_chain_pem.write_to_path(certificate)
    _ip("link", "set", "lo", "up")
    far_ends: dict[str, FarEnd] = {}
    try:
        for number, case in enumerate(CASES):
            far_ends[case] = FarEnd(case, number, certificate)
        exchanges = asyncio.run(_ask_all(far_ends, directory / "ca.pem"))
    finally:
        for far_end in far_ends.values():
            far_end.end()
    verdicts = {case: classify(exchange, Expectations()) for case, exchange in exchanges.items()}
    reported = {
        case: [each.reason, each.culprit, each.rule, each.evidence, each.facts.get("tcp", "")]
        for case, each in verdicts.items()
    }
    print(json.dumps(reported))  # noqa: T201


def _serve_in_namespace(way: str, number: int, certificate: str) -> None:
    print("WAITING", flush=True)  # noqa: T201
    sys.stdin.readline()
    _ip("addr", "add", f"{_far(number)}/30", "dev", "far")
    _ip("link", "set", "far", "up")
    asyncio.run(serve(way, number, Path(certificate) if certificate else None))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _serve_in_namespace(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        main(Path(sys.argv[1]))
