"""From tenant, probe and token to the request that is sent."""

from pydantic import SecretStr

from prober.model import Probe, Request, Tenant


def build_request(tenant: Tenant, probe: Probe, token: SecretStr, *, version: str) -> Request:
    """Return the request of `probe` against `tenant`, bearing `token`.

    The named User-Agent is needed: the CDN before the platform refuses library defaults.
    """
    headers = [
        ("User-Agent", f"prober/{version}"),
        ("Accept", "application/json"),
        ("Accept-Encoding", "gzip, deflate"),
    ]
    if probe.body is not None:
        headers.append(("Content-Type", "application/json"))
    own = {name.lower() for name, _ in probe.headers}
    kept = [pair for pair in headers if pair[0].lower() not in own or pair[0] == "User-Agent"]
    return Request(
        method=probe.method,
        url=tenant.base_url + probe.path,
        headers=(*kept, *probe.headers),
        body=probe.body,
        authorization=SecretStr(f"Bearer {token.get_secret_value()}"),
        secrets=(token,),
    )
