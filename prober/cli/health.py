"""`prober health`: checks a running daemon, for container and service health checks."""

import asyncio
import os
import re
import ssl
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

import click

from prober.cli.daemon_address import urls_to_ask
from prober.cli.exit_codes import OTHER_ERROR
from prober.config.addresses import is_loopback

_REFUSED = re.compile(rb"HTTP/1\.[01] 503\b")
_SHORT_LENGTH = re.compile(rb"content-length: *([0-9]{1,3})\r?\n", re.IGNORECASE)
_MAX_REASON_CHARACTERS = 200
_PORTS = MappingProxyType({"http": 80, "https": 443})


@click.command()
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="The daemon's configuration file. The address is the one that the daemon has saved in its"
    " state directory, else web.listen. Default: $PROBER_CONFIG, then prober.yaml, then"
    " /etc/prober/prober.yaml.",
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

    Unhealthy is a daemon that is stuck: no probe has run for longer than is possible. A rejected
    token, a full disk or a configuration file that was refused are no reason to restart it.

    The server certificate is verified, except on this machine's own addresses: no secret is sent,
    and the certificate is for another name.

    Exit status: 0 if it is healthy; 1 if it is not, or cannot be reached; 2 for an invalid command
    line or configuration.
    """
    try:
        asked = urls_to_ask(config_file, url, os.environ)
        url, why = asyncio.run(_first_healthy(asked, timeout_seconds))
    except ValueError as error:
        raise click.BadParameter(f"'{url}': {error}", param_hint="--url") from None
    click.echo(f"{url}: {why or 'healthy'}", err=why is not None)
    if why is not None:
        raise click.exceptions.Exit(OTHER_ERROR)


async def _first_healthy(urls: Sequence[str], limit_seconds: float) -> tuple[str, str | None]:
    """Return the first address that is healthy, else the first one and why it is not."""
    problems: dict[str, str] = {}
    for url in urls:
        why = await why_unhealthy(url, limit_seconds)
        if why is None:
            return url, None
        problems[url] = why
    return next(iter(problems.items()))


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
            first_line, reason = await _request(place.hostname, port, place.netloc, context)
    except TimeoutError:
        return f"no response within {limit_seconds:g} s"
    except OSError as error:
        return f"cannot be reached: {_describe_error(error)}"
    except ValueError:
        return "the response is not HTTP: the status line is too long"
    status = re.match(rb"HTTP/1\.[01] ([0-9]{3})\b", first_line)
    if status is None:
        return "the response is not HTTP"
    if status[1] == b"200":
        return None
    return f"HTTP {status[1].decode()}{reason and f': {reason}'}"


async def _request(
    host: str, port: int, name: str, context: ssl.SSLContext | None
) -> tuple[bytes, str]:
    """Return the status line, and the text of a refusal if it is a short one."""
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        question = f"GET /-/healthy HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"
        writer.write(question.encode("ascii", "replace"))
        first_line = await reader.readline()
        return first_line, await _short_text(reader) if _REFUSED.match(first_line) else ""
    finally:
        writer.transport.abort()


async def _short_text(reader: asyncio.StreamReader) -> str:
    """Return the body of a response on one line, empty if it is long or its length unknown."""
    length = 0
    try:
        while (line := await reader.readline()).strip():
            found = _SHORT_LENGTH.match(line)
            length = int(found[1]) if found else length
        body = await reader.readexactly(length)
    except (ValueError, asyncio.IncompleteReadError):  # a line that is too long, or cut off
        return ""
    # Late: pydantic comes with it, and a healthy daemon is the usual case, every half minute.
    from prober.formatting import one_line  # noqa: PLC0415

    return one_line(body.decode("utf-8", "replace"), _MAX_REASON_CHARACTERS) if body else ""


def _describe_error(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if error.errno is not None and error.errno > 0 and not isinstance(error, ssl.SSLError):
        return os.strerror(error.errno).lower()
    return (error.strerror or type(error).__name__).lower()


def _context(host: str) -> ssl.SSLContext:
    if not is_loopback(host):
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
