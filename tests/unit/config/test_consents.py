"""Consent is by what is allowed: GET and HEAD, and POST on the routes that only read."""

import json
import re

import pytest

from prober.config.builtin_probes import CATALOGUE
from prober.config.consents import is_billed, is_read_only_post, is_refused, writes
from prober.config.resolve import check_custom
from prober.config.schema import CustomProbe, TenantEntry
from tests.unit.config.factories import probe_and_problems

DATASET = "/api/v1/datasets/ops/mail"
PRIVATE = "/api/_private/datasets/ops/mail"

READ_ONLY = [
    f"{DATASET}/streams/triage/fetch",
    f"{DATASET}/triggers/triage/fetch",
    "/api/v1/datasets/ops%2Fmail/streams/triage/fetch",
    "/api/v1/datasets/id:0123456789abcdef/streams/triage/fetch?x=1",
    f"{DATASET}/streams/triage/fetch/",
    "/api/v1/audit_events/query",
    "/api/_private/issues/query",
    f"{PRIVATE}/query?limit=1",
    f"{PRIVATE}/statistics",
    "/api/v1/sources/ops/mailbox/statistics",
    "/api/v1/sources/id:0123456789abcdef/statistics",
    f"{DATASET}/labellers/7/predict-comments",
    f"{PRIVATE}/labellers",
    "/api/_private/permissions/derived",
    "/api/_private/permissions/reduced",
]

WRITING = [
    "/api/_private/tenants/acme/state",
    "/api/_private/integrations/ops/exchange",
    f"{PRIVATE}/reset-annotations",
    "/api/_private/quotas/sources",
    "/api/_private/users/0123456789abcdef/welcome-email",
    "/auth/refresh-user-permissions",
    DATASET,
    # A dataset, source or stream may have the name of a route that only reads.
    "/api/v1/datasets/ops/query",
    "/api/v1/sources/ops/statistics",
    f"{DATASET}/streams/fetch",
    f"{DATASET}/streams/predict",
    "/api/_private/projects/query",
    "/api/_private/quotas/statistics",
    # Other spellings of routes that only read: closed, as a server may understand them differently.
    f"{DATASET}/streams/triage/%66etch",
    f"{DATASET}/streams/triage//fetch",
    f"{DATASET}/streams/triage/fetch//",
    "/api/v1//datasets/ops/mail/streams/triage/fetch",
    f"{DATASET}/streams/triage/Fetch",
    f"{DATASET}/streams/triage/fetch;x=1",
    f"{DATASET}/streams/triage/fetch%3Fx",
    "/API/v1/audit_events/query",
    "/api/v1/audit_events/query%00",
    "/api/v1/audit_events/../audit_events/query",
    "/api/_private/tenants/acme/state?x=/query",
    "/api/_private/tenants/acme/state%2F..%2Fquery",
    "/api/v1/datasets/%2e%2e/mail/streams/triage/fetch",
    "/api/v1/datasets/..%2Fmail/streams/triage/fetch",
    "/x/api/v1/audit_events/query",
]


@pytest.mark.parametrize("path", READ_ONLY)
def test_a_post_that_only_reads_needs_no_consent(path: str) -> None:
    assert probe_and_problems({"use": "mine"}, {"method": "POST", "path": path})[1] == []


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("path", READ_ONLY)
def test_other_methods_need_consent_on_every_route(method: str, path: str) -> None:
    _, problems = probe_and_problems({"use": "mine"}, {"method": method, "path": path})
    assert problems == [((), "'mine' writes data: add 'allow_writes: true' to allow it")]


@pytest.mark.parametrize("path", WRITING)
def test_every_other_post_needs_consent(path: str) -> None:
    assert not is_read_only_post(path)
    assert not is_refused("POST", path)
    assert "may write data (a POST is free only on the routes of fetch," in (
        writes("POST", path) or ""
    )


@pytest.mark.parametrize(
    "path", [path for path in WRITING if not re.search(r"[.][.]|//|predict|%2e", path)]
)
def test_a_missing_consent_is_an_error_that_names_the_remedy(path: str) -> None:
    custom = {"method": "POST", "path": path}
    ((_, message),) = probe_and_problems({"use": "mine"}, custom)[1]
    assert message.startswith("'mine' may write data")
    assert message.endswith("add 'allow_writes: true' to allow it")
    assert probe_and_problems({"use": "mine", "allow_writes": True}, custom)[1] == []
    assert probe_and_problems({"use": "mine"}, {**custom, "allow_writes": True})[1] == []
    wrong = {"use": "mine", "allow_billable": True}
    assert probe_and_problems(wrong, custom)[1] != []


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", [*READ_ONLY, *WRITING])
def test_get_and_head_are_free(method: str, path: str) -> None:
    assert writes(method, path) is None
    assert not is_billed(method, path)
    if not re.search(r"[.][.]|//|%2e", path):
        assert probe_and_problems({"use": "mine"}, {"method": method, "path": path})[1] == []


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/sources/ops/mail/SYNC",
        "/api/v1/sources/ops/mail/sync/",
        "/api/v1/sources/ops/mail//sync//",
        "/api/v1/sources/ops/mail/%2573ync",
        "/api/v1/sources/ops/mail/sync;x",
        "/api/v1/sources/ops/mail/sync%20",
        "/api/v1/sources/ops/mail/sync%00",
        "/api/v1/sources/ops/mail/sync/%2e",
        "/api/v1/sources/ops/mail%5Csync",
    ],
)
def test_a_billed_route_is_found_in_every_spelling(path: str) -> None:
    assert is_billed("POST", path)
    assert writes("POST", path) == "writes data"


@pytest.mark.parametrize("name", ["advance", "reset", "exceptions"])
@pytest.mark.parametrize(
    "spelling",
    [
        "/{}",
        "/{}/",
        "//{}//",
        "/{}?x=1",
        "/{};x=1",
        "/{}%3Fx",
        "/{}%23x",
        "/{}%20",
        "/{}%00",
        "/{}%2F",
        "/{}/%2e",
        "/{}/x%2F..",
        "%2F{}",
        "%252F{}",
        "%5C{}",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH"])
def test_what_moves_data_is_refused_in_every_spelling(
    name: str, spelling: str, method: str
) -> None:
    for written in (
        name,
        name.upper(),
        name.title(),
        "".join(f"%{ord(each):02x}" for each in name),
    ):
        path = f"{DATASET}/streams/triage{spelling.format(written)}"
        written_probe = {"method": method, "path": "/x", "allow_writes": True}
        consenting = CustomProbe.model_validate(written_probe).model_copy(update={"path": path})
        assert check_custom(consenting) == [
            (("path",), "moves or deletes data: prober never does that")
        ]


@pytest.mark.parametrize(
    ("custom", "at"),
    [
        ({"headers": {"X-HTTP-Method-Override": "DELETE"}}, ("headers", "X-HTTP-Method-Override")),
        ({"headers": {"x-http-method": "PUT"}}, ("headers", "x-http-method")),
        ({"headers": {"X_METHOD_OVERRIDE": "PUT"}}, ("headers", "X_METHOD_OVERRIDE")),
        ({"headers": {"X-Original-URL": "/x"}}, ("headers", "X-Original-URL")),
        ({"headers": {"X-Rewrite-Url": "/x"}}, ("headers", "X-Rewrite-Url")),
        ({"query": {"_method": "DELETE"}}, ("query", "_method")),
        ({"path": "/api/v1/datasets?a=1&%5Fmethod=DELETE"}, ("path",)),
        ({"json": {"_method": "DELETE"}}, ("json", "_method")),
    ],
    ids=json.dumps,
)
def test_a_request_for_another_method_or_path_is_refused(
    custom: dict[str, object], at: tuple[str, ...]
) -> None:
    probe = CustomProbe.model_validate({"path": "/api/v1/datasets", **custom, "allow_writes": True})
    ((where, message),) = check_custom(probe)
    assert where == at
    assert "would change what the request does" in message


def test_usual_headers_and_parameters_are_not_refused() -> None:
    probe = CustomProbe.model_validate(
        {
            "path": "/api/v1/datasets",
            "headers": {"X-Request-Id": "1"},
            "json": {"method": "GET"},
        }
    )
    assert check_custom(probe) == []


@pytest.mark.parametrize(
    "base_url",
    [
        "https://lab.example/acme/lab/reinfer_/api",
        "https://lab.example/reinfer_/api/v1/datasets",
        "https://lab.example/reinfer_/api/v1/datasets/ops/mail/streams/triage/advance",
        "https://lab.example/reinfer_/%61pi/_private",
        "https://lab.example/reinfer_//api//v1",
        "https://lab.example/api/x/../v1",
    ],
)
def test_no_route_is_hidden_in_the_address(base_url: str) -> None:
    with pytest.raises(ValueError, match="leave out '/api' and what follows"):
        TenantEntry.model_validate({"name": "a", "token": {"env": "A"}, "base_url": base_url})


def test_an_address_below_another_api_is_fine() -> None:
    base_url = "https://gateway.example/api/mining"
    entry = TenantEntry.model_validate({"name": "a", "token": {"env": "A"}, "base_url": base_url})
    assert entry.base_url == base_url


def test_every_built_in_post_is_marked_or_on_the_list() -> None:
    for builtin in CATALOGUE.values():
        path = builtin.path
        for parameter in builtin.parameters:
            value = "ops/mail" if parameter in {"dataset", "source"} else "7"
            path = path.replace(f"{{{parameter}}}", value)
        assert builtin.is_write == (writes(builtin.method, path) is not None)
        assert builtin.is_billable == is_billed(builtin.method, path)
        assert not is_refused(builtin.method, path)
