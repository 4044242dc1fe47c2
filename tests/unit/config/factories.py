"""Settings as they would stand in the file, with good defaults: a test names what matters."""

from pathlib import Path
from typing import Any

from prober.config.resolve import ProbeCatalog, Problems, resolve_probe, resolve_tenants
from prober.config.schema import CustomProbe, Defaults, ProbeRef, TenantEntry
from prober.models import Probe, Tenant

DIRECTORY = Path("/etc/prober")


def an_entry(**overrides: Any) -> TenantEntry:  # noqa: ANN401 -- whatever a tenant may say
    given = {"name": "acme", "domain": "acme", "token": {"env": "ACME_TOKEN"}, **overrides}
    return TenantEntry.model_validate(given)


def a_tenant_of(defaults: dict[str, Any] | None = None, **overrides: Any) -> Tenant:  # noqa: ANN401
    catalog = ProbeCatalog({}, frozenset(), Defaults(**(defaults or {})))
    tenants, problems, _ = resolve_tenants({0: an_entry(**overrides)}, catalog, DIRECTORY)
    assert problems == []
    return tenants[0]


def probe_and_problems(
    use: dict[str, Any],
    own: dict[str, Any] | None = None,
    *,
    defaults: dict[str, Any] | None = None,
    objectives: dict[str, Any] | None = None,
) -> tuple[Probe | None, Problems]:
    probes = {} if own is None else {"mine": CustomProbe(**own)}
    origins = ProbeCatalog(probes, frozenset({"broken"}), Defaults(**(defaults or {})))
    return resolve_probe(ProbeRef(**use), an_entry(objectives=objectives or {}), origins)
