"""From an address as people paste it to the keys of a tenant. Pure.

People copy addresses from the browser, from the API guide, or from a script: with a route of the
API or a page behind them, without a scheme, with a slash at the end, or without the tenant.
"""

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from prober.config.addresses import BASE_URL, is_loopback, is_url
from prober.config.strict_model import as_slug

CLOUD_HOST = "cloud.uipath.com"
_SERVICE = "reinfer_"
_UIPATH = ".uipath.com"
_REINFER = ".reinfer.io"
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_DOMAIN = re.compile(r"[a-z0-9-]{1,63}")
_EXAMPLE = f"https://{CLOUD_HOST}/ORGANISATION/TENANT/{_SERVICE}"
_NOT_ORGANISATIONS = ("portal_", "identity_", "api")


@dataclass(frozen=True, slots=True)
class TenantAddress:
    """The address of a tenant: its keys in the configuration, its base URL, and notes.

    `notes` say what was changed in the address that was given.
    """

    keys: tuple[tuple[str, str], ...]
    base_url: str
    suggested_name: str
    notes: tuple[str, ...] = ()


def parse_tenant_address(text: str) -> TenantAddress:
    """Return the address that a text means; raises ValueError with what to write instead."""
    written = text.strip().strip("<>\"'").strip()
    if not written:
        raise ValueError(f"is empty: write {_EXAMPLE}")
    notes: list[str] = []
    parts = _split(written, notes)
    host = (parts.hostname or "").rstrip(".")
    segments = [segment for segment in parts.path.split("/") if segment]
    if host.endswith(_REINFER) or host == _REINFER[1:]:
        return _own_domain(host, parts, segments, notes)
    if host.endswith(_UIPATH):
        return _cloud(host, parts, segments, notes)
    return _any_url(host, parts, segments, notes)


def _split(written: str, notes: list[str]) -> SplitResult:
    """Return the parts of a URL, with a scheme."""
    if "://" not in written:
        first, _, rest = written.lstrip("/").partition("/")
        is_host = "." in first or ":" in first or first == "localhost"
        if not is_host and not rest:
            raise ValueError(f"is not an address: write {_EXAMPLE}")
        if not is_host:  # ORGANISATION/TENANT
            written = f"https://{CLOUD_HOST}/{first}/{rest}"
        else:
            scheme = "http" if is_loopback(first.partition(":")[0]) else "https"
            written = f"{scheme}://{written.lstrip('/')}"
        notes.append(f"read as {written.partition('?')[0].partition('#')[0]}")
    try:
        parts = urlsplit(written)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"is not a URL: write {_EXAMPLE}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ValueError(f"is not an http(s) URL: write {_EXAMPLE}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("contains a user or a password before '@': leave it out")
    if any(not each.isprintable() or each.isspace() for each in written):
        raise ValueError(f"contains white space or control characters: write {_EXAMPLE}")
    return parts


def _own_domain(
    host: str, parts: SplitResult, segments: list[str], notes: list[str]
) -> TenantAddress:
    domain = host.removesuffix(_REINFER)
    if host == _REINFER[1:] or not _DOMAIN.fullmatch(domain):
        raise ValueError(f"names no tenant: write https://DOMAIN{_REINFER}")
    _note_https(parts, notes)
    if segments:
        notes.append(f"left out '/{'/'.join(segments)}': prober adds the routes of the API")
    keys = (("domain", domain),)
    return TenantAddress(keys, f"https://{host}", _name(domain), tuple(notes))


def _cloud(host: str, parts: SplitResult, segments: list[str], notes: list[str]) -> TenantAddress:
    own = segments[: segments.index(_SERVICE)] if _SERVICE in segments else segments[:2]
    if not own or own[0] in _NOT_ORGANISATIONS:
        raise ValueError(f"names no organisation and no tenant: write {_EXAMPLE}")
    organisation = own[0]
    if len(own) == 1 or own[1].endswith("_") or own[1] == "api":
        example = f"https://{host}/{organisation}/TENANT/{_SERVICE}"
        raise ValueError(
            f"names no tenant: write {example} (the tenant is the second part of the address that"
            " the browser shows)"
        )
    tenant = own[1]
    if len(own) > 2 or not _PART.fullmatch(organisation) or not _PART.fullmatch(tenant):  # noqa: PLR2004
        raise ValueError(f"is not the address of a tenant: write {_EXAMPLE}")
    _note_https(parts, notes)
    rest = segments[2:]
    if rest[:1] == [_SERVICE]:
        rest = rest[1:]
    if rest:
        notes.append(f"left out '/{'/'.join(rest)}': it is a page or a route, not the address")
    base_url = f"https://{_host(parts, host)}/{organisation}/{tenant}/{_SERVICE}"
    keys: tuple[tuple[str, str], ...] = (("organisation", organisation), ("tenant", tenant))
    if host != CLOUD_HOST or parts.port not in {None, 443}:
        keys = (("base_url", base_url),)
    return TenantAddress(keys, base_url, _name(f"{organisation}-{tenant}"), tuple(notes))


def _any_url(host: str, parts: SplitResult, segments: list[str], notes: list[str]) -> TenantAddress:
    """Return the address of an installation at any host: the part before `/api/` or `/auth/`."""
    if _SERVICE in segments:
        end = segments.index(_SERVICE) + 1
    else:
        routes = [segments.index(each) for each in ("api", "auth") if each in segments]
        end = min(routes, default=len(segments))
    kept, left_out = segments[:end], segments[end:]
    if left_out:
        notes.append(f"left out '/{'/'.join(left_out)}': prober adds the routes of the API")
    base_url = "/".join([f"{parts.scheme}://{_host(parts, host)}", *kept])
    if not is_url(base_url, BASE_URL):
        raise ValueError(f"is not the address of a tenant: write {_EXAMPLE}")
    if parts.scheme == "http" and not is_loopback(host):
        notes.append("this is plain http: anyone on the network path can read the token")
    if _SERVICE not in kept and len(kept) == 2:  # noqa: PLR2004 -- organisation and tenant
        notes.append(f"addresses of UiPath's cloud end in '/{_SERVICE}', this one does not")
    named = [each for each in kept if each != _SERVICE]
    name = "-".join(named[-2:]) if named else host.partition(".")[0]
    return TenantAddress((("base_url", base_url),), base_url, _name(name), tuple(notes))


def _note_https(parts: SplitResult, notes: list[str]) -> None:
    if parts.scheme == "http":
        notes.append("changed http to https: a token must not be sent in the clear")


def _host(parts: SplitResult, host: str) -> str:
    shown = f"[{host}]" if ":" in host else host
    is_default = parts.port in {None, 443 if parts.scheme == "https" else 80}
    return shown if is_default else f"{shown}:{parts.port}"


def _name(text: str) -> str:
    """Return a text in the form of a tenant's name."""
    return as_slug(text) or "tenant"
