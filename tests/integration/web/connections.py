"""A site behind a web.yml, with certificates to show, on a real socket."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import bcrypt
import trustme
from aiohttp import encode_basic_auth

from prober.config.web_config import read_web_config
from prober.web.app import create_app
from prober.web.server import ConnectionLimits, ConnectionManager, WebServer, listen
from prober.web.tls import WebConfigReloader
from tests.integration.web.app_factory import Installation

ALICE = encode_basic_auth("alice", "correct horse")
USERS = (
    "basic_auth_users:\n"
    f"  alice: {bcrypt.hashpw(b'correct horse', bcrypt.gensalt(4)).decode()}\n"
    f"  bob: {bcrypt.hashpw(b'battery staple', bcrypt.gensalt(4)).decode()}\n"
)
TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
DEMANDED = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n"
IF_GIVEN = DEMANDED.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven")
PATIENT_SECONDS = 60
SERVERS, CLIENTS = trustme.CA(), trustme.CA()


def write_files(directory: Path, web_yml: str) -> Path:
    """Write web.yml, and beside it a fresh certificate and the authority of clients."""
    write_certificate(directory)
    CLIENTS.cert_pem.write_to_path(directory / "ca.crt")
    file = directory / "web.yml"
    file.write_text(web_yml)
    return file


def write_certificate(directory: Path) -> None:
    server = SERVERS.issue_cert("localhost", "127.0.0.1")
    server.private_key_pem.write_to_path(directory / "server.key")
    (directory / "server.crt").write_bytes(b"".join(p.bytes() for p in server.cert_chain_pems))


def client_tls(of: trustme.CA | None = None, *names: str) -> ssl.SSLContext:
    """Return what trusts the server, and shows a certificate that `of` has issued."""
    context = ssl.create_default_context()
    SERVERS.configure_trust(context)
    if of is not None:
        of.issue_cert(*names or ("client@example.org",)).configure_cert(context)
    return context


@asynccontextmanager
async def behind(
    file: Path,
    installation: Installation | None = None,
    bounds: ConnectionLimits | None = None,
    *,
    ad_hoc: bool = False,
) -> AsyncIterator[WebServer]:
    """Serve a site behind a web.yml."""
    site = (installation or Installation(None)).site(ad_hoc=ad_hoc)
    web_config = WebConfigReloader(
        read_web_config(file).access, lambda: read_web_config(file).access, period_seconds=0.05
    )
    listening = await listen(
        create_app(site, web_config), "127.0.0.1", 0, ConnectionManager(web_config, bounds)
    )
    web_config.start()
    try:
        yield listening
    finally:
        await web_config.close()
        await listening.close()


async def ask(
    url: str,
    method: str = "GET",
    auth: str | None = None,
    tls: ssl.SSLContext | None = None,
    **options: object,
) -> tuple[int, Mapping[str, str], str]:
    """Ask over a connection of its own; return status, headers and text."""
    headers = {} if auth is None else {"Authorization": auth}
    connector = aiohttp.TCPConnector(ssl=tls or True, force_close=True)
    async with (
        aiohttp.ClientSession(connector=connector, headers=headers) as client,
        client.request(method, url, **options) as response,  # type: ignore[arg-type]
    ):
        text = await response.text() if response.content_type != "text/event-stream" else ""
        return response.status, response.headers, text


async def eventually(condition: Callable[[], Awaitable[bool] | bool]) -> None:
    """Wait until something is so, as long as a loaded machine may need."""
    async with asyncio.timeout(PATIENT_SECONDS):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.02)
