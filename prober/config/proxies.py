"""What the settings say of proxies: bad variables, and tokens that a proxy can read. Pure."""

from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from prober.config.schema import is_loopback
from prober.config.yaml import KeyPath, Note
from prober.errors import ConfigProblem
from prober.models import Tenant, TransportOptions
from prober.proxy_environment import EnvironmentProblem, ProxyEnvironment
from prober.redaction import secrets_of_url


def proxy_problems(
    tenants: Iterable[Tenant], found: Iterable[EnvironmentProblem]
) -> tuple[ConfigProblem, ...]:
    """Return what is wrong with the environment, if any tenant takes its proxy from there."""
    if not any(tenant.transport.proxy_from_environment for tenant in tenants):
        return ()
    return tuple(
        ConfigProblem(
            each.variable,
            None,
            "",
            f"{each.message}; or set 'proxy: none' where no proxy is wanted",
        )
        for each in found
    )


def proxy_warnings(
    numbers: Iterable[int], tenants: Sequence[Tenant], environment: ProxyEnvironment
) -> list[Note]:
    """Return where a token or a client secret travels in the clear through a proxy.

    A proxy passes https on unread (CONNECT); http it reads, even for addresses of this machine.
    """
    warnings: list[Note] = []
    for number, tenant in zip(numbers, tenants, strict=True):
        if secrets_of_url(tenant.transport.proxy_url or ""):
            message = "holds a password: let HTTPS_PROXY of the environment name that proxy"
            warnings.append((("tenants", number, "proxy"), message))
        asked: list[tuple[KeyPath, str, str]] = [(("base_url",), tenant.base_url, "token")]
        if tenant.token.client is not None:
            asked.append((("token", "oauth", "token_url"), tenant.token.location, "secret"))
        for path, url, what in asked:
            origin = _origin_of_proxy(url, tenant.transport, environment)
            if origin is None or urlsplit(url).scheme != "http":
                continue
            message = f"is plain http through the proxy of {origin}, which can read the {what}"
            if is_loopback(urlsplit(url).hostname or ""):
                message += ": except this address by NO_PROXY, or set 'proxy: none'"
            warnings.append((("tenants", number, *path), message))
    return warnings


def _origin_of_proxy(
    url: str, options: TransportOptions, environment: ProxyEnvironment
) -> str | None:
    """Return what names the proxy that is used for a URL, None when there is none."""
    if options.proxy_url is not None:
        return "'proxy'"
    if options.proxy_from_environment and environment.proxy_for(url) is not None:
        return environment.variables[urlsplit(url).scheme]
    return None
