"""`prober health`: checks a running daemon, for container and service health checks."""

import asyncio
import os
import re
import ssl
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

import click

from prober.cli.options import OTHER_ERROR, configuration_file
from prober.config.addresses import is_loopback
from prober.config.loader import load

_PORTS = MappingProxyType({"http": 80, "https": 443})


@click.command()
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="The daemon's configuration file, whose web.listen is used. Default: $PROBER_CONFIG, then"
    " prober.yaml, then /etc/prober/prober.yaml.",
)
@click.option("--url", help="The daemon's address, such as https://prober.example.com:9824.")
@click.option(
    "--timeout",
    "timeout_seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=3.0,
    show_default=True,
    help="Timeout in seconds, for everything.",
)
def health(config_file: Path | None, url: str | None, timeout_seconds: float) -> None:
    """Check whether a running daemon is healthy, for example in Docker's HEALTHCHECK.

    \b
    Examples:
      prober health --config /etc/prober/prober.yaml
      prober health --url https://prober.example.com:9824

    The server certificate is verified, except on this machine's own addresses: no secret is sent,
    and the certificate is for another name.

    Exit status: 0 if it is healthy; 1 if it is not, or cannot be reached; 2 for an invalid command
    line or configuration.
    """
    if url is not None and config_file is not None:
        raise click.UsageError("give either --config or --url")
    if url is None:
        configuration = load(configuration_file(config_file))
        web, tls = configuration.web, configuration.access.tls
        if web.port == 0:
            raise click.UsageError("web.listen has port 0 (any free port): give --url")
        url = local_url(web.host, web.port, is_tls=tls is not None)
    try:
        why = asyncio.run(why_unhealthy(url, timeout_seconds))
    except ValueError as error:
        raise click.BadParameter(f"'{url}': {error}", param_hint="--url") from None
    click.echo(f"{url}: {why or 'healthy'}", err=why is not None)
    if why is not None:
        raise click.exceptions.Exit(OTHER_ERROR)


def local_url(host: str, port: int, *, is_tls: bool = False) -> str:
    """Return the URL of a daemon that listens on `host`, from the same machine."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 -- as configured
    scheme = "https" if is_tls else "http"
    return f"{scheme}://{f'[{reached}]' if ':' in reached else reached}:{port}"


async def why_unhealthy(url: str, limit_seconds: float) -> str | None:
    """Return why the daemon is not healthy, None if it is. Redirects are not followed.

    Raises ValueError for an invalid address.
    """
    place = urlsplit(url)
    if place.scheme not in _PORTS or place.hostname is None:
        raise ValueError("write http://HOST:PORT or https://HOST:PORT")
    port = place.port or _PORTS[place.scheme]
    context = _context(place.hostname) if place.scheme == "https" else None
    try:
        async with asyncio.timeout(limit_seconds):
            first_line = await _request(place.hostname, port, place.netloc, context)
    except TimeoutError:
        return f"no response within {limit_seconds:g} s"
    except OSError as error:
        return f"cannot be reached: {_describe_error(error)}"
    except ValueError:
        return "the response is not HTTP: the status line is too long"
    status = re.match(rb"HTTP/1\.[01] ([0-9]{3})\b", first_line)
    if status is None:
        return "the response is not HTTP"
    return None if status[1] == b"200" else f"HTTP {status[1].decode()}"


async def _request(host: str, port: int, name: str, context: ssl.SSLContext | None) -> bytes:
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        question = f"GET /-/healthy HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"
        writer.write(question.encode("ascii", "replace"))
        return await reader.readline()
    finally:
        writer.transport.abort()


def _describe_error(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if error.errno is not None and error.errno > 0 and not isinstance(error, ssl.SSLError):
        return os.strerror(error.errno).lower()
    return (error.strerror or type(error).__name__).lower()


def _context(host: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if is_loopback(host):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
