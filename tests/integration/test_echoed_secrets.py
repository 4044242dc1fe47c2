"""A hostile server echoes the token: on a real socket, through client, verdict and JSON."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from prober.cli.probe import run_probes
from prober.http_client.client import MAX_SHOWN_HEADER_CHARACTERS
from prober.models import Probe, TransportOptions
from prober.redaction import Redactor
from prober.render.documents import result_document
from tests.builders import a_probe, a_tenant, a_transport
from tests.unit.test_redaction import ENCODINGS

TOKEN = "Sk-A1b2/C3d4+E5f6g7H8i9j0"


@asynccontextmanager
async def server(answer: bytes) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        host, port = listening.sockets[0].getsockname()
        yield f"http://{host}:{port}"


@pytest.mark.parametrize("encoding", sorted(set(ENCODINGS) - {"a NUL after each", "split"}))
async def test_no_echo_of_the_token_is_shown(tmp_path: Path, encoding: str) -> None:
    echo = ENCODINGS[encoding](TOKEN, min)
    body = json.dumps({"status": "error", "message": f"you sent {echo}"}).encode()
    head = f"HTTP/1.1 400 Bad\r\nServer: {echo}\r\nX-Request-Id: {echo}\r\nX-{TOKEN[:7]}: 1\r\n"
    answer = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    async with server(answer) as url:
        probe = a_probe()
        tenant = a_tenant(base_url=url, probes=(probe,))
        [result] = [
            each
            async for each in run_probes(tenant, [probe], {tenant.token.location: TOKEN}, tmp_path)
        ]
    said = [result.verdict.evidence, *result.verdict.facts.values()]
    assert result.exchange.response is not None
    said += [text for header in result.exchange.response.headers for text in header]
    said += [json.dumps(result_document(result))]
    redactor = Redactor([SecretStr(TOKEN)])
    for text in said:
        assert redactor.text(text) == text
    assert "[redacted]" in said[0]


async def test_long_headers_are_cut(tmp_path: Path) -> None:
    fields = "".join(f"X-{n}: {'%41' * 4000}\r\n" for n in range(20))
    answer = f"HTTP/1.1 400 Bad\r\n{fields}X-Last: {TOKEN}\r\nContent-Length: 0\r\n\r\n".encode()
    async with server(answer) as url:
        probe = a_probe()
        tenant = a_tenant(base_url=url, probes=(probe,))
        environment = {tenant.token.location: TOKEN}
        [result] = [r async for r in run_probes(tenant, [probe], environment, tmp_path)]
    assert result.exchange.response is not None
    headers = result.exchange.response.headers
    assert sum(len(value) for _, value in headers) <= MAX_SHOWN_HEADER_CHARACTERS
    assert headers[-2][0] == "X-Last"
    assert TOKEN not in str(headers)


async def echoed(
    tmp_path: Path, probe: Probe, secrets: list[str], transport: TransportOptions | None = None
) -> None:
    """Let a server echo secrets in message, path and headers; look through all that is shown."""
    echo = " ".join(base64.b64encode(each.encode()).decode() + f" {each}" for each in secrets)
    body = json.dumps({"status": "error", "message": f"you sent {echo}", "path": echo}).encode()
    head = f"HTTP/1.1 400 Bad\r\nX-Request-Id: {echo}\r\nContent-Length: {len(body)}\r\n\r\n"
    async with server(head.encode() + body) as url:
        way = a_transport(proxy_url=url.replace("//", "//me:proxy-pass-word@"))
        tenant = a_tenant(
            base_url="http://platform.invalid" if transport else url,
            probes=(probe,),
            transport=way if transport else a_transport(),
        )
        environment = {tenant.token.location: TOKEN}
        [result] = [r async for r in run_probes(tenant, [probe], environment, tmp_path)]
    said = [result.verdict.evidence, *result.verdict.facts.values(), repr(result), repr(probe)]
    said += [json.dumps(result_document(result)), result.exchange.url]
    for text in said:
        for each in secrets:
            assert each not in text
            assert base64.b64encode(each.encode()).decode() not in text
    assert "[redacted]" in said[0]


async def test_no_secret_of_an_own_probe_is_shown(tmp_path: Path) -> None:
    secrets = ("a-header-secret", "a signature/of+it")
    probe = a_probe(
        sent_path="/api/v1/x?sig=a%20signature%2Fof%2Bit",
        sent_headers=(("X-Api-Key", secrets[0]),),
        secrets=tuple(map(SecretStr, secrets)),
    )
    await echoed(tmp_path, probe, list(secrets))


async def test_no_password_of_a_proxy_is_shown(tmp_path: Path) -> None:
    secrets = ["me:proxy-pass-word", "proxy-pass-word"]
    await echoed(tmp_path, a_probe(), secrets, a_transport())
