"""URLs and network addresses in settings. Pure."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

BASE_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*[^\s?#/])?")
_LAST_PORT = 65_535


def is_url(text: str, pattern: re.Pattern[str]) -> bool:
    """Return whether a text is a URL that matches `pattern` and has a possible port."""
    try:
        return bool(pattern.fullmatch(text)) and urlsplit(text).port != 0
    except ValueError:  # a port above 65535, or an unclosed IPv6 address
        return False


def is_remote_plaintext(url: str) -> bool:
    """Return whether requests to a URL cross a network unencrypted."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def is_loopback(host: str) -> bool:
    """Return whether a host name or an address can be reached from this machine only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen_address(text: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT`, `[HOST]:PORT` or `:PORT`; raises ValueError.

    An empty host means all addresses of IPv4 and IPv6.
    """
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s:\[\]]*)):([0-9]{1,5})", text)
    if found is None or int(found[3]) > _LAST_PORT:
        raise ValueError(
            "write ADDRESS:PORT, such as 127.0.0.1:9824 or [::1]:9824, or :9824 for every address"
        )
    return found[1] or found[2], int(found[3])


def is_ip_address(host: str) -> bool:
    """Return whether a host is an IP address, which needs no DNS lookup."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
