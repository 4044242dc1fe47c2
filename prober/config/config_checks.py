"""What is unwise, or wrong only together with other settings: warnings and errors. Pure."""

import math
import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from prober.config.addresses import is_loopback, is_remote_plaintext
from prober.config.schema import TenantEntry
from prober.config.sections import WebSettings
from prober.config.yaml import Note
from prober.formatting import did_you_mean
from prober.models import Tenant
from prober.web.auth import AccessPolicy

# The fastest burn-rate alert fires when the budget of 30 days would be spent in two days.
_FASTEST_BURN_RATE = 14.4
_MIN_FAILURES_FOR_ALERT = 3.0
_MIN_ADVISED_OBJECTIVE = 0.9


def max_measurable_objective(tenant: Tenant) -> float:
    """Return the highest availability objective that the rate of probes can support.

    The fastest burn-rate alert looks at one hour and fires at an error rate of 14.4 times the error
    budget. Above the returned ratio, fewer than three failures in that hour would fire it.
    """
    runs_an_hour = sum(3600 / probe.interval_seconds for probe in tenant.probes)
    if runs_an_hour == 0:
        return 1.0
    return max(0.0, 1 - _MIN_FAILURES_FOR_ALERT / (_FASTEST_BURN_RATE * runs_an_hour))


def objective_warning(tenant: Tenant) -> str | None:
    """Return a warning if the probes run too rarely to measure the availability objective."""
    highest = max_measurable_objective(tenant)
    objective = tenant.availability_objective_ratio
    if objective <= highest:
        return None
    # Rounded down: the advice must not be above what is measurable.
    advised_percent = math.floor(highest * 1e6) / 1e4
    lower = f", or set an objective of at most {advised_percent:.4f}%"
    needed_runs = math.ceil(_MIN_FAILURES_FOR_ALERT / (_FASTEST_BURN_RATE * (1 - objective)))
    return (
        f"has an availability objective of {objective * 100:.10g}%, but its probes run too rarely"
        f" for that: fewer than {_MIN_FAILURES_FOR_ALERT:g} failures would fire the alert; probe"
        f" more often ({needed_runs:,} runs an hour of all probes together)"
        # An objective of a few percent is not intended, nor is 0%, which is not even valid.
        + (lower if highest >= _MIN_ADVISED_OBJECTIVE else "")
    )


def tenant_warnings(entries: Mapping[int, TenantEntry], tenants: Sequence[Tenant]) -> list[Note]:
    """Return warnings about tenants; `entries` are in the order of `tenants`."""
    warnings: list[Note] = []
    users: dict[tuple[str, ...], str] = {}
    for number, tenant in zip(entries, tenants, strict=True):
        at = ("tenants", number)
        origin = tenant.token.origin
        if origin in users:
            message = (
                f"is also the token of tenant '{users[origin]}': when it is rejected or replaced,"
                " both are affected"
            )
            warnings.append(((*at, "token"), message))
        users.setdefault(origin, tenant.name)
        found = _tenant_warnings(tenant) + _project_warnings(entries[number], tenant)
        warnings += [((*at, *path), message) for path, message in found]
    return warnings


def _project_warnings(entry: TenantEntry, tenant: Tenant) -> list[Note]:
    """Return warnings about projects without a probe, which are mostly misspelt."""
    used = {probe.project for probe in tenant.probes if probe.project is not None}
    warnings: list[Note] = []
    for project in entry.projects.keys() - used:
        hint = did_you_mean(project, used)
        message = f"no probe of this tenant belongs to the project '{project}'{hint}"
        warnings.append((("projects", project), message))
    return warnings


_CLOUD_DOMAIN = ".uipath.com"
_CLOUD_PATH = re.compile(r"/[^/]+/[^/]+/reinfer_")


def _tenant_warnings(tenant: Tenant) -> list[Note]:
    warnings: list[Note] = []
    message = objective_warning(tenant)
    if message is not None:
        warnings.append(((), message))
    if is_remote_plaintext(tenant.base_url):
        message = "is plain http: anyone on the network path can read the token"
        warnings.append((("base_url",), message))
    host, path = urlsplit(tenant.base_url).hostname or "", urlsplit(tenant.base_url).path
    if host.endswith(_CLOUD_DOMAIN) and not _CLOUD_PATH.fullmatch(path):
        message = f"is not an address of a tenant: at {host} it is https://{host}/ORGANISATION/TENANT/reinfer_"
        warnings.append((("base_url",), message))
    if tenant.token.client is not None and is_remote_plaintext(tenant.token.location):
        message = "is plain http: anyone on the network path can read the client secret"
        warnings.append((("token", "oauth", "token_url"), message))
    return warnings


_WRITE_SETTINGS = tuple(name for name in WebSettings.model_fields if name.startswith("enable_"))
"""Keys of `web` that let clients do more than read."""


def unauthenticated_write_errors(web: WebSettings, access: AccessPolicy) -> list[Note]:
    """Return problems if clients may change something and cannot authenticate."""
    if access.authenticates_clients:
        return []
    message = (
        "would allow it to every client, as none can authenticate: name a web.config_file with"
        " basic_auth_users or client certificates, or set it to false"
    )
    return [(("web", key), message) for key in _WRITE_SETTINGS if getattr(web, key)]


def exposure_warnings(web: WebSettings, access: AccessPolicy) -> list[Note]:
    """Return warnings if other machines can reach the web server."""
    if is_loopback(web.host):
        return []
    warnings: list[Note] = []
    if not access.requires_authentication:
        message = (
            f"other machines can reach {web.host} without authentication: name a web.config_file"
            " with basic_auth_users or client certificates, or listen on 127.0.0.1"
        )
        warnings.append((("web", "listen"), message))
    if access.users and access.tls is None:
        message = "passwords are sent over plain HTTP: add tls_server_config to web.config_file"
        warnings.append((("web", "listen"), message))
    return warnings
