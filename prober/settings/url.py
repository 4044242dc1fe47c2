"""What addresses may look like in the settings. Pure."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

BASE_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*[^\s?#/])?")


def is_url(text: str, pattern: re.Pattern[str]) -> bool:
    """Tell whether a text is a URL that follows `pattern` and has a port that can be."""
    try:
        return bool(pattern.fullmatch(text)) and urlsplit(text).port != 0
    except ValueError:  # a port that no port can be, or half an IPv6 address
        return False


def is_readable_on_the_way(url: str) -> bool:
    """Tell whether what is sent there travels in the clear, and over a network."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def is_loopback(host: str) -> bool:
    """Tell whether a name or an address is of this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
