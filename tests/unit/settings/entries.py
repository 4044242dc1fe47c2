"""Settings as they would stand in the file, with good defaults: a test names what matters."""

from pathlib import Path
from typing import Any

from prober.model import Probe, Tenant
from prober.settings.probe_schema import OwnProbe, ProbeUse
from prober.settings.probes import Origins, Problems, probe_of
from prober.settings.resolve import resolve_tenants
from prober.settings.schema import Defaults, TenantEntry

DIRECTORY = Path("/etc/prober")


def an_entry(**overrides: Any) -> TenantEntry:  # noqa: ANN401 -- whatever a tenant may say
    given = {"name": "acme", "domain": "acme", "token": {"env": "ACME_TOKEN"}, **overrides}
    return TenantEntry.model_validate(given)


def a_tenant_of(defaults: dict[str, Any] | None = None, **overrides: Any) -> Tenant:  # noqa: ANN401
    tenants, problems, _ = resolve_tenants(
        {0: an_entry(**overrides)}, {}, frozenset(), Defaults(**(defaults or {})), DIRECTORY
    )
    assert problems == []
    return tenants[0]


def probe_and_problems(
    use: dict[str, Any],
    own: dict[str, Any] | None = None,
    *,
    defaults: dict[str, Any] | None = None,
    objectives: dict[str, Any] | None = None,
) -> tuple[Probe | None, Problems]:
    probes = {} if own is None else {"mine": OwnProbe(**own)}
    origins = Origins(probes, frozenset({"broken"}), Defaults(**(defaults or {})))
    return probe_of(ProbeUse(**use), an_entry(objectives=objectives or {}), origins)
