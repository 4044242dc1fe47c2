"""From tenant, probe and token to the request that is sent."""

from functools import lru_cache

from pydantic import SecretStr

from prober.model import Probe, Request, Tenant


def build_request(tenant: Tenant, probe: Probe, token: SecretStr, *, version: str) -> Request:
    """Return the request of `probe` against `tenant`, bearing `token`.

    The named User-Agent is needed: the CDN before the platform refuses library defaults.
    """
    return Request(
        method=probe.method,
        url=tenant.base_url + probe.path,
        headers=_headers(version, probe.headers, has_body=probe.body is not None),
        body=probe.body,
        authorization=SecretStr(f"Bearer {token.get_secret_value()}"),
        secrets=(token, *probe.secrets),
    )


@lru_cache(maxsize=1024)
def _headers(
    version: str, own: tuple[tuple[str, str], ...], *, has_body: bool
) -> tuple[tuple[str, str], ...]:
    headers = [
        ("User-Agent", f"prober/{version}"),
        ("Accept", "application/json"),
        ("Accept-Encoding", "gzip, deflate"),
    ]
    if has_body:
        headers.append(("Content-Type", "application/json"))
    names = {name.lower() for name, _ in own}
    kept = [pair for pair in headers if pair[0].lower() not in names or pair[0] == "User-Agent"]
    return (*kept, *own)
