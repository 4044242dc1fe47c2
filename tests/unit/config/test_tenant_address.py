import pytest

from prober.config.tenant_address import parse_tenant_address

CLOUD = {"organisation": "acme", "tenant": "prod"}
BASE = "https://cloud.uipath.com/acme/prod/reinfer_"


@pytest.mark.parametrize(
    "text",
    [
        BASE,
        f"{BASE}/",
        f"  {BASE}//  ",
        f"<{BASE}>",
        f'"{BASE}"',
        f"{BASE}/api/v1/datasets?limit=1#x",
        f"{BASE}/projects/ops/datasets",
        "https://cloud.uipath.com/acme/prod",
        "https://cloud.uipath.com/acme/prod/",
        "https://cloud.uipath.com/acme/prod/orchestrator_/folders",
        "https://CLOUD.uipath.com:443/acme/prod/reinfer_",
        "https://cloud.uipath.com//acme//prod//reinfer_//api",
        "http://cloud.uipath.com/acme/prod/reinfer_",
        "cloud.uipath.com/acme/prod",
        "acme/prod",
        "/acme/prod/",
    ],
)
def test_an_address_of_the_cloud_is_understood_in_every_form(text: str) -> None:
    found = parse_tenant_address(text)
    assert dict(found.keys) == CLOUD
    assert found.base_url == BASE
    assert found.suggested_name == "acme-prod"


@pytest.mark.parametrize(
    ("text", "keys", "name"),
    [
        ("https://legacy.reinfer.io", {"domain": "legacy"}, "legacy"),
        ("http://legacy.reinfer.io/api/v1/", {"domain": "legacy"}, "legacy"),
        (
            "https://staging.uipath.com/a/B.1/reinfer_/",
            {"base_url": "https://staging.uipath.com/a/B.1/reinfer_"},
            "a-b-1",
        ),
        (
            "http://127.0.0.1:8080/acme/prod/reinfer_/auth/user",
            {"base_url": "http://127.0.0.1:8080/acme/prod/reinfer_"},
            "acme-prod",
        ),
        ("localhost:8080/x/api/v1", {"base_url": "http://localhost:8080/x"}, "x"),
        ("https://[::1]:8443/x", {"base_url": "https://[::1]:8443/x"}, "x"),
        ("https://lab.example/", {"base_url": "https://lab.example"}, "lab"),
    ],
)
def test_other_addresses(text: str, keys: dict[str, str], name: str) -> None:
    found = parse_tenant_address(text)
    assert (dict(found.keys), found.suggested_name) == (keys, name)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (f"{BASE}/api/v1/datasets", "left out '/api/v1/datasets'"),
        ("http://cloud.uipath.com/acme/prod", "changed http to https"),
        ("http://lab.example/", "plain http"),
        ("http://127.0.0.1:8080/acme/prod", "end in '/reinfer_'"),
        ("acme/prod", "read as https://cloud.uipath.com/acme/prod"),
    ],
)
def test_what_was_changed_is_said(text: str, note: str) -> None:
    assert any(note in each for each in parse_tenant_address(text).notes)


def test_nothing_is_said_of_a_good_address() -> None:
    assert parse_tenant_address(BASE).notes == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("https://cloud.uipath.com", "names no organisation and no tenant"),
        ("https://cloud.uipath.com/portal_/home", "names no organisation and no tenant"),
        ("https://cloud.uipath.com/acme", "names no tenant: write https://cloud.uipath.com/acme/"),
        ("https://cloud.uipath.com/acme/portal_/home", "names no tenant"),
        ("https://cloud.uipath.com/acme/reinfer_/api", "names no tenant"),
        ("https://cloud.uipath.com/a/b/c/reinfer_", "is not the address of a tenant"),
        ("https://reinfer.io/api", "names no tenant: write https://DOMAIN.reinfer.io"),
        ("acme", "is not an address"),
        ("ftp://cloud.uipath.com/acme/prod", "is not an http(s) URL"),
        ("https://user:secret@cloud.uipath.com/acme/prod", "leave it out"),
        ("https://cloud.uipath.com/ac me/prod", "white space"),
        ("https://cloud.uipath.com/ac\x1bme/prod", "control characters"),
        ("https://cloud.uipath.com:99999/acme/prod", "is not a URL"),
        ("https://[::1/acme", "is not a URL"),
    ],
)
def test_an_address_that_cannot_be_is_refused_with_a_remedy(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"write|leave") as caught:
        parse_tenant_address(text)
    assert problem in str(caught.value)
    assert "secret" not in str(caught.value)
