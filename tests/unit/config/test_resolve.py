from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from prober.config.builtin_probes import DEFAULT_PROBES
from prober.config.resolve import canonical_json
from prober.models import TokenSource, TokenSourceKind, TransportOptions
from tests.builders import a_transport
from tests.unit.config.factories import a_tenant_of

SPRING = datetime(2027, 3, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("address", "base_url"),
    [
        (
            {"organisation": "acme", "tenant": "prod"},
            "https://cloud.uipath.com/acme/prod/reinfer_",
        ),
        ({"domain": "acme"}, "https://acme.reinfer.io"),
        ({"base_url": "http://127.0.0.1:8080/a"}, "http://127.0.0.1:8080/a"),
        ({"base_url": "https://[::1]:8443"}, "https://[::1]:8443"),
    ],
)
def test_every_form_of_address_is_a_base_url(address: dict[str, str], base_url: str) -> None:
    overrides: dict[str, Any] = {"domain": None, **address}
    assert a_tenant_of(**overrides).base_url == base_url


def test_a_tenant_that_names_no_probes_runs_what_needs_nothing() -> None:
    tenant = a_tenant_of()
    assert tuple(probe.name for probe in tenant.probes) == DEFAULT_PROBES
    assert tenant.environment == "production"
    assert tenant.availability_objective_ratio == 0.995
    assert tenant.concurrency == 10
    assert tenant.transport == a_transport()
    assert tenant.labels == {}


def test_a_probe_may_run_twice_under_two_names() -> None:
    tenant = a_tenant_of(probes=["datasets", {"use": "datasets", "name": "again"}])
    assert [probe.name for probe in tenant.probes] == ["datasets", "again"]


@pytest.mark.parametrize(
    ("token", "source"),
    [
        ({"env": "T"}, TokenSource(TokenSourceKind.ENVIRONMENT, "T")),
        ({"file": "a.token"}, TokenSource(TokenSourceKind.FILE, "/etc/prober/a.token")),
        ({"file": "/run/a"}, TokenSource(TokenSourceKind.FILE, "/run/a")),
        (
            {"env": "T", "expires_at": "2027-03-01", "max_age": "90d"},
            TokenSource(TokenSourceKind.ENVIRONMENT, "T", SPRING, 90 * 86400.0),
        ),
        (
            {"env": "T", "expires_at": datetime(2027, 3, 1, tzinfo=UTC).date()},
            TokenSource(TokenSourceKind.ENVIRONMENT, "T", SPRING),
        ),
        (
            {"env": "T", "expires_at": "2027-03-01T02:00:00+02:00"},
            TokenSource(TokenSourceKind.ENVIRONMENT, "T", SPRING),
        ),
        (
            {"env": "T", "expires_at": "2027-03-01T00:00:00"},
            TokenSource(TokenSourceKind.ENVIRONMENT, "T", SPRING),
        ),
    ],
)
def test_a_token_source_is_resolved(token: dict[str, Any], source: TokenSource) -> None:
    assert a_tenant_of(token=token).token == source


CERTIFICATE = {"certificate": "c.pem", "key": "k.pem"}


@pytest.mark.parametrize(
    ("way", "options"),
    [
        ({"proxy": "none"}, TransportOptions(None, proxy_from_environment=False)),
        (
            {"proxy": "http://proxy.example:3128"},
            TransportOptions("http://proxy.example:3128", proxy_from_environment=False),
        ),
        ({"ca_file": "ca.pem"}, a_transport(ca_file=Path("/etc/prober/ca.pem"))),
        (
            {"client_certificate": CERTIFICATE},
            a_transport(
                client_certificate_file=Path("/etc/prober/c.pem"),
                client_key_file=Path("/etc/prober/k.pem"),
            ),
        ),
        (
            {"client_certificate": {"certificate": "/c.pem"}},
            a_transport(client_certificate_file=Path("/c.pem")),
        ),
    ],
)
@pytest.mark.parametrize("layer", ["tenant", "defaults"])
def test_the_way_to_a_tenant_is_said_by_it_or_by_the_defaults(
    way: dict[str, Any], options: TransportOptions, layer: str
) -> None:
    tenant = a_tenant_of(**way) if layer == "tenant" else a_tenant_of(defaults=way)
    assert tenant.transport == options


def test_the_tenants_own_word_goes_before_the_defaults() -> None:
    tenant = a_tenant_of(
        {"proxy": "none", "concurrency": 3, "objectives": {"availability": 0.9}},
        proxy="environment",
        concurrency=4,
        objectives={"availability": 0.99},
    )
    assert tenant.transport == a_transport()
    assert tenant.concurrency == 4
    assert tenant.availability_objective_ratio == 0.99


def test_the_defaults_word_goes_before_the_built_in_one() -> None:
    tenant = a_tenant_of({"concurrency": 3, "objectives": {"availability": 0.9}})
    assert (tenant.concurrency, tenant.availability_objective_ratio) == (3, 0.9)


def test_equal_values_have_equal_canonical_forms() -> None:
    moment = datetime(2027, 3, 1, tzinfo=UTC).date()
    assert canonical_json({"b": 1, "a": moment}) == canonical_json({"a": moment, "b": 1})
    assert canonical_json({"a": 1}) != canonical_json({"a": "1"})
