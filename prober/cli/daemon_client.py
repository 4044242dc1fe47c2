"""Asks a running daemon for its overview, for `prober status` and `prober tokens`."""

import base64
import http.client
import json
import os
import ssl
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from prober.config.addresses import is_loopback
from prober.errors import ProberError
from prober.formatting import one_line

OVERVIEW = "/api/v1/overview"
PASSWORD_VARIABLE = "PROBER_PASSWORD"  # noqa: S105 -- the name of a variable
_MAX_BYTES = 64 * 1024 * 1024
_MAX_REASON_CHARACTERS = 200
_OK, _UNAUTHORIZED = 200, 401


class DaemonUnreachableError(ProberError):
    """Nothing listens at the daemon's address, or it does not speak HTTP."""


class DaemonRefusedError(ProberError):
    """The daemon refused the request; the text says what to give."""


def fetch_overview(
    urls: Sequence[str], user: str | None, environ: Mapping[str, str], timeout_seconds: float
) -> Mapping[str, Any]:
    """Return the overview of the first address that responds.

    `user` is sent with the password in $PROBER_PASSWORD. Raises DaemonUnreachableError and
    DaemonRefusedError, and ValueError for an invalid address.
    """
    headers = {"Accept": "application/json"}
    if user is not None:
        password = environ.get(PASSWORD_VARIABLE, "")
        encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {encoded}"
    problems = []
    for url in urls:
        try:
            return _overview(url, headers, timeout_seconds)
        except DaemonUnreachableError as error:
            problems.append(error)
    raise problems[0]


def _overview(url: str, headers: Mapping[str, str], timeout_seconds: float) -> Mapping[str, Any]:
    connection = _connection(url, timeout_seconds)
    try:
        path = urlsplit(url).path.rstrip("/") + OVERVIEW
        connection.request("GET", path, headers=dict(headers))
        response = connection.getresponse()
        content = response.read(_MAX_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:
        raise DaemonUnreachableError(f"no daemon responds at {url}: {_reason(error)}") from error
    finally:
        connection.close()
    if response.status == _UNAUTHORIZED:
        raise DaemonRefusedError(
            f"{url} requires a user and a password: give --user, and the password in"
            f" {PASSWORD_VARIABLE}"
        )
    if response.status != _OK or len(content) > _MAX_BYTES:
        raise DaemonRefusedError(
            f"{url} responds with HTTP {response.status}, and not with an overview"
        )
    try:
        document = json.loads(content)
    except ValueError as error:
        raise DaemonRefusedError(f"{url} is not a prober: its response is not JSON") from error
    if not isinstance(document, dict) or not isinstance(document.get("tenants"), list):
        raise DaemonRefusedError(f"{url} is not a prober: its response is not an overview")
    return document


def _connection(url: str, timeout_seconds: float) -> http.client.HTTPConnection:
    place = urlsplit(url)
    if place.scheme not in {"http", "https"} or place.hostname is None:
        raise ValueError("write http://HOST:PORT or https://HOST:PORT")
    if place.scheme == "http":
        return http.client.HTTPConnection(place.hostname, place.port, timeout=timeout_seconds)
    context = ssl.create_default_context()
    if is_loopback(place.hostname):  # this machine: its certificate is for another name
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(
        place.hostname, place.port, timeout=timeout_seconds, context=context
    )


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError):
        return os.strerror(error.errno).lower()
    return one_line(str(error) or type(error).__name__, _MAX_REASON_CHARACTERS)
