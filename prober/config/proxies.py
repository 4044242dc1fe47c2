"""Proxies in the settings: invalid variables, and tokens that a proxy can read. Pure."""

from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from prober.config.addresses import is_loopback
from prober.config.yaml import KeyPath, Note
from prober.errors import ConfigProblem
from prober.models import Tenant, TransportOptions
from prober.proxy_environment import EnvironmentProblem, ProxyEnvironment
from prober.redaction import secrets_of_url


def proxy_problems(
    tenants: Iterable[Tenant], found: Iterable[EnvironmentProblem]
) -> tuple[ConfigProblem, ...]:
    """Return invalid proxy variables, if any tenant takes its proxy from the environment."""
    if not any(tenant.transport.proxy_from_environment for tenant in tenants):
        return ()
    return tuple(
        ConfigProblem(
            each.variable,
            None,
            "",
            f"{each.message}; or set 'proxy: none' to use no proxy",
        )
        for each in found
    )


def proxy_warnings(
    numbers: Iterable[int], tenants: Sequence[Tenant], environment: ProxyEnvironment
) -> list[Note]:
    """Return a warning for each token or client secret that a proxy can read.

    A proxy only tunnels https (CONNECT). It reads http, even to addresses of this machine, unless
    NO_PROXY excludes them. `numbers` are the tenants' positions in the file.
    """
    warnings: list[Note] = []
    for number, tenant in zip(numbers, tenants, strict=True):
        if secrets_of_url(tenant.transport.proxy_url or ""):
            message = "contains a password: set the proxy with the variable HTTPS_PROXY instead"
            warnings.append((("tenants", number, "proxy"), message))
        urls: list[tuple[KeyPath, str, str]] = [(("base_url",), tenant.base_url, "token")]
        if tenant.token.client is not None:
            urls.append((("token", "oauth", "token_url"), tenant.token.location, "secret"))
        for path, url, secret in urls:
            origin = _origin_of_proxy(url, tenant.transport, environment)
            if origin is None or urlsplit(url).scheme != "http":
                continue
            message = f"is plain http through the proxy of {origin}, which can read the {secret}"
            if is_loopback(urlsplit(url).hostname or ""):
                message += ": add this address to NO_PROXY, or set 'proxy: none'"
            warnings.append((("tenants", number, *path), message))
    return warnings


def _origin_of_proxy(
    url: str, options: TransportOptions, environment: ProxyEnvironment
) -> str | None:
    """Return the key or variable that sets the proxy for a URL, None if no proxy is used."""
    if options.proxy_url is not None:
        return "'proxy'"
    if options.proxy_from_environment and environment.proxy_for(url) is not None:
        return environment.variables[urlsplit(url).scheme]
    return None
