"""What the honest platform answers: address, token, route, permission, data, in this order. Pure.

Project and name may come as two path segments, as documented, or as one with `%2F`, as the official
client sends them. Assumptions, since nothing is documented: 401 for a missing or dead token, 403
for a missing permission, the messages of both, and that a token is judged before the route.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote

from prober.simulator import data, pages
from prober.simulator.accounts import Accounts
from prober.simulator.http import Answer, Request

Content = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Asker:
    """Whose tenant is asked, as which user."""

    tenant: str
    user: str


@dataclass(frozen=True, slots=True)
class Route:
    """One operation; `permission` is its name in the user interface, None where any token does."""

    method: str
    pattern: str
    permission: str | None
    content: Callable[[Asker], Content]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a tenant is found: organisation and tenant, or a domain of its own."""

    organisation: str | None = None
    tenant: str | None = None
    domain: str | None = None

    @property
    def prefix(self) -> str:
        """Return what stands before `/api`."""
        return "" if self.domain else f"/{self.organisation}/{self.tenant}/reinfer_"


_OF = rf"(?:{data.PROJECT}/{{name}}|id:[0-9a-f]{{{{16}}}})"
_DATASET = _OF.format(name=data.DATASET)
_SOURCE = _OF.format(name=data.SOURCE)
_STREAM = rf"{_DATASET}/(?:streams|triggers)/{data.STREAM}"
_LABELS, _SOURCES, _STREAMS = "View labels", "View sources", "Consume streams"


def _result(asker: Asker) -> Content:
    return {"comment": data.comment(asker.tenant), "sequence_id": "qs8QcHIBAADJ1p3W", "labels": []}


def _predictions(asker: Asker) -> Content:
    uid = data.comment(asker.tenant)["uid"]
    return {
        "predictions": [{"uid": uid, "labels": [{"name": ["Urgent"], "probability": 0.93}]}],
        "model": {"version": data.MODEL_VERSION, "time": "2026-06-01T12:30:00+00:00"},
    }


def _synced(_: Asker) -> Content:
    names = ("new", "updated", "updated_properties_only", "updated_text_changed")
    return {**dict.fromkeys(names, 0), "unchanged": 1}


ROUTES = (
    Route("GET", "/auth/user", None, lambda a: {"user": data.user(a.tenant, a.user)}),
    Route(
        "POST", "/auth/refresh-user-permissions", None, lambda _: {"permissions_refreshed": None}
    ),
    Route("GET", "/api/v1/datasets", _LABELS, lambda a: {"datasets": [data.dataset(a.tenant)]}),
    Route(
        "GET",
        f"/api/v1/datasets/{_DATASET}",
        _LABELS,
        lambda a: {"dataset": data.dataset(a.tenant)},
    ),
    Route("GET", "/api/v1/sources", _SOURCES, lambda a: {"sources": [data.source(a.tenant)]}),
    Route(
        "GET", f"/api/v1/sources/{_SOURCE}", _SOURCES, lambda a: {"source": data.source(a.tenant)}
    ),
    Route(
        "POST",
        f"/api/v1/sources/{_SOURCE}/statistics",
        _SOURCES,
        lambda _: {"statistics": {"num_comments": 48_210}},
    ),
    Route(
        "GET",
        f"/api/v1/sources/{_SOURCE}/comments/{data.COMMENT}",
        _SOURCES,
        lambda a: {"comment": data.comment(a.tenant)},
    ),
    Route("POST", f"/api/v1/sources/{_SOURCE}/sync(?:-raw-emails)?", _SOURCES, _synced),
    Route(
        "GET",
        "/api/(?:v1|_private)/projects",
        None,
        lambda a: {"projects": [data.project(a.tenant)]},
    ),
    Route(
        "GET",
        f"/api/_private/projects/{data.PROJECT}",
        None,
        lambda a: {"project": data.project(a.tenant)},
    ),
    Route(
        "GET",
        f"/api/v1/datasets/{_DATASET}/streams",
        _LABELS,
        lambda a: {"streams": [data.stream(a.tenant)]},
    ),
    Route(
        "GET", f"/api/v1/datasets/{_STREAM}", _LABELS, lambda a: {"stream": data.stream(a.tenant)}
    ),
    Route(
        "GET",
        f"/api/v1/datasets/{_STREAM}/results",
        _STREAMS,
        lambda a: {
            "results": [{**_result(a), "continuation": "c1", "prediction": {}}],
            "num_filtered": 0,
            "more_results": False,
            "continuation": "c1",
        },
    ),
    Route(
        "POST",
        f"/api/v1/datasets/{_STREAM}/fetch",
        _STREAMS,
        lambda a: {
            "results": [_result(a)],
            "filtered": 0,
            "sequence_id": "qs8QcHIBAADJ1p3W",
            "is_end_sequence": True,
        },
    ),
    Route(
        "POST",
        f"/api/v1/datasets/{_DATASET}/labellers/[0-9]+/predict-comments",
        _LABELS,
        _predictions,
    ),
    Route(
        "POST",
        f"/api/v1/datasets/{_DATASET}/labellers/[0-9]+/predict(?:-raw-emails)?",
        _LABELS,
        _predictions,
    ),
    Route(
        "GET",
        f"/api/_private/datasets/{_DATASET}/labellers/status",
        None,
        lambda _: {"dataset_status": data.model_status()},
    ),
    Route(
        "GET",
        f"/api/(?:v1|_private)/datasets/{_DATASET}/labellers/(?:latest|[0-9]+)/validation",
        None,
        lambda _: {"label_groups": [], "validation": data.validation()},
    ),
    Route(
        "POST",
        f"/api/_private/datasets/{_DATASET}/labellers",
        None,
        lambda _: {
            "labellers": [data.model()],
            "model_tags": [],
            "max_number_pinned_models": 100,
        },
    ),
    Route("GET", "/api/_private/buckets", None, lambda a: {"buckets": [data.bucket(a.tenant)]}),
    Route(
        "GET",
        "/api/_private/buckets/id:[0-9a-f]{16}/keyed-sync-states/",
        None,
        lambda _: {"keyed_sync_states": [data.sync_state()]},
    ),
    Route(
        "GET",
        "/api/_private/integrations",
        None,
        lambda a: {"integrations": [data.integration(a.tenant)]},
    ),
    Route("GET", "/api/_private/quotas", None, lambda _: {"quotas": data.quotas()}),
    Route(
        "POST",
        "/api/v1/audit_events/query",
        "Read audit logs",
        lambda a: data.audit(a.tenant, a.user),
    ),
    Route(
        "GET",
        "/api/(?:v1|_private)/users",
        "View users",
        lambda a: {"users": [data.user(a.tenant, a.user)]},
    ),
)
_COMPILED = tuple((re.compile(route.pattern), route) for route in ROUTES)


def tenant_of(request: Request, addresses: Mapping[str, Address]) -> tuple[str, str] | None:
    """Return the tenant that is addressed and the path after its base, or None.

    A tenant with a domain of its own stands at the root: the Host names it, or it is the only one.
    """
    path = request.path
    for name, address in addresses.items():
        if address.domain is None and path.startswith(f"{address.prefix}/"):
            return name, path.removeprefix(address.prefix)
    rooted = {address.domain: name for name, address in addresses.items() if address.domain}
    named = rooted.get(request.headers.get("host", "").partition(".")[0])
    if named is None and len(rooted) == 1:
        named = next(iter(rooted.values()))
    if named is None or not path.startswith(("/api/", "/auth/")):
        return None
    return named, path


def gateway_answer(request: Request) -> Answer:
    """Return what the gateway says to one who names no tenant that it knows."""
    organisation, tenant, *_ = [*request.path.strip("/").split("/"), "", ""]
    return pages.unregistered(organisation, tenant)


def answer(
    request: Request, path: str, tenant: str, accounts: Accounts, *, is_accepted: bool
) -> Answer:
    """Return what the platform says; `path` follows the tenant's base address."""
    if not is_accepted:
        return error(HTTPStatus.UNAUTHORIZED)
    plain = unquote(path)
    matching = [route for pattern, route in _COMPILED if pattern.fullmatch(plain)]
    if not matching:
        return error(HTTPStatus.NOT_FOUND)
    for route in matching:
        if route.method == request.method:
            if route.permission in accounts.denied(tenant):
                return error(HTTPStatus.FORBIDDEN)
            return envelope(200, "ok", route.content(Asker(tenant, accounts.user(tenant))))
    return error(HTTPStatus.METHOD_NOT_ALLOWED)


def error(status: int, message: str | None = None) -> Answer:
    """Return an error in the platform's envelope."""
    return envelope(
        status, "error", {"message": message or f"{status} {HTTPStatus(status).phrase}"}
    )


def envelope(status: int, word: str, content: Content) -> Answer:
    """Return an answer in the platform's envelope."""
    body = json.dumps({"status": word, **content}).encode()
    return Answer(status, (("Content-Type", "application/json"),), body)
