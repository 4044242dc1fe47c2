"""Which proxy the environment names for a URL: HTTP_PROXY, HTTPS_PROXY and NO_PROXY. Pure.

There is no standard. Taken is every form that curl or Go's `httpproxy` takes, since a form that is
overlooked sends bearer tokens through a proxy that was meant to be left out.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_HOST_NAME = re.compile(r"[^\s/?#@\[\]:*<>\"\\^`{|}]+")
_SEPARATORS = re.compile(r"[\s,]+")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_GREATEST_PORT, _PORT_DIGITS = 65_535, 5

_Host = str | IPv4Address | IPv6Address
_Matches = Callable[[_Host, int], bool]


@dataclass(frozen=True, slots=True)
class EnvironmentProblem:
    """What is wrong with a variable; `message` holds no password."""

    variable: str
    message: str


@dataclass(frozen=True, slots=True)
class ProxyEnvironment:
    """The proxies that the environment names, and the hosts that it excepts.

    `proxies` maps `http` and `https` to a proxy's URL; `variables` to the variable it is from.
    """

    proxies: Mapping[str, str]
    variables: Mapping[str, str]
    exceptions: tuple[_Matches, ...] = ()

    def proxy_for(self, url: str) -> str | None:
        """Return the URL of the proxy to use for `url`, None to connect directly."""
        parts = urlsplit(url)
        proxy = self.proxies.get(parts.scheme)
        if proxy is None or not parts.hostname:
            return None
        host, port = _host(parts.hostname), parts.port or _DEFAULT_PORTS[parts.scheme]
        return None if any(matches(host, port) for matches in self.exceptions) else proxy


def proxy_environment(
    environment: Mapping[str, str],
) -> tuple[ProxyEnvironment, tuple[EnvironmentProblem, ...]]:
    """Return the proxies of an environment, and what is wrong with its variables.

    A variable in lower case comes before one in upper case, also when it is empty. HTTP_PROXY in
    upper case is ignored in CGI programs, where a client can set it (CVE-2016-5385).
    """
    problems: list[EnvironmentProblem] = []
    proxies: dict[str, str] = {}
    variables: dict[str, str] = {}
    for scheme in _DEFAULT_PORTS:
        name, value = _variable(environment, f"{scheme}_proxy")
        if not value or (name == "HTTP_PROXY" and "REQUEST_METHOD" in environment):
            continue
        try:
            proxies[scheme] = _proxy_url(value)
            variables[scheme] = name
        except ValueError as error:
            problems.append(EnvironmentProblem(name, str(error)))
    name, value = _variable(environment, "no_proxy")
    exceptions: list[_Matches] = []
    for entry in filter(None, _SEPARATORS.split(value)):
        try:
            exceptions.append(_exception(entry))
        except ValueError as error:
            message = f"'{entry}' {error}: its requests would use the proxy"
            problems.append(EnvironmentProblem(name, message))
    return ProxyEnvironment(proxies, variables, tuple(exceptions)), tuple(problems)


def _variable(environment: Mapping[str, str], lower: str) -> tuple[str, str]:
    name = lower if lower in environment else lower.upper()
    return name, environment.get(name, "").strip()


def _proxy_url(text: str) -> str:
    """Return the URL of a proxy; without a scheme it is `http`. Raises ValueError."""
    form = "write http://HOST:PORT"
    scheme = _SCHEME.match(text)
    if scheme is None:
        text = f"http://{text}"
    elif scheme[1].lower() not in _DEFAULT_PORTS:
        raise ValueError(f"names a proxy of the kind '{scheme[1]}', which is not known: {form}")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError(f"has an invalid port or brackets: {form}") from None
    _check_host(host, parts, form)
    if port == 0 or parts.netloc.endswith(":"):
        raise ValueError(f"has an invalid port or brackets: {form}")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError(f"is more than the address of a proxy: {form}")
    return f"{parts.scheme}://{parts.netloc}"


def _check_host(host: str, parts: SplitResult, form: str) -> None:
    """Raise ValueError unless a URL's host can be a name or an address."""
    if parts.netloc.rpartition("@")[2].startswith("["):
        try:
            ip_address(host)
        except ValueError:
            raise ValueError(f"has brackets around what is no IPv6 address: {form}") from None
    elif not _HOST_NAME.fullmatch(host):
        raise ValueError(f"names no host: {form}")


def _exception(entry: str) -> _Matches:
    """Return what one entry of NO_PROXY matches; raises ValueError when that is nothing."""
    if entry == "*":
        return lambda _host, _port: True
    if "/" in entry:
        return _network(entry)
    text, port = _without_port(entry)
    host = _host(text)
    if not isinstance(host, str):
        return lambda other, on: other == host and port in {None, on}
    only_below = host.startswith("*.")
    name = host.removeprefix("*").strip(".")
    if not _HOST_NAME.fullmatch(name):
        raise ValueError("is neither a host, a domain, an address nor a network")
    below = f".{name}"

    def matches(other: _Host, on: int) -> bool:
        named = isinstance(other, str) and (
            other.endswith(below) or (other == name and not only_below)
        )
        return named and port in {None, on}

    return matches


def _network(entry: str) -> _Matches:
    try:
        network = ip_network(entry.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        raise ValueError("is not a network, such as 10.0.0.0/8 or fd00::/8") from None
    return lambda host, _: not isinstance(host, str) and host in network


def _without_port(entry: str) -> tuple[str, int | None]:
    """Split `host:port`; an IPv6 address has a port only behind brackets."""
    if entry.startswith("["):
        host, bracket, rest = entry[1:].partition("]")
        if not bracket or isinstance(_host(host), str) or (rest and not rest.startswith(":")):
            raise ValueError("has brackets around what is no IPv6 address")
        return host, _port(rest[1:]) if rest else None
    if entry.count(":") == 1:
        host, _, port = entry.partition(":")
        return host, _port(port)
    return entry, None


def _port(text: str) -> int:
    is_number = text.isascii() and text.isdecimal() and len(text) <= _PORT_DIGITS
    if not is_number or not 0 < int(text) <= _GREATEST_PORT:
        raise ValueError("has an invalid port")
    return int(text)


def _host(text: str) -> _Host:
    """Return an address as such, and a name in the form in which names are compared."""
    try:
        address = ip_address(text)
    except ValueError:
        return _ascii(text.lower().removesuffix("."))
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _ascii(name: str) -> str:
    """Return a name as it stands in the DNS, if it can."""
    if name.isascii():
        return name
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError:
        return name
