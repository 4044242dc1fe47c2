"""Routes of users, permissions, projects, quotas, audit events and integrations. Pure."""

import json
from collections.abc import Mapping

from prober.simulator import fixtures
from prober.simulator.api import Call, Route
from prober.simulator.fixtures import Json
from prober.simulator.resources import ApiError

Content = Mapping[str, object]
_ADMIN = ("projects-admin",)


def _current_user(call: Call) -> Content:
    return {"user": call.resources.current_user(call.email)}


def _users(call: Call) -> Content:
    current = call.resources.current_user(call.email)
    others = [user for key, user in call.resources.users.items() if key != current["id"]]
    return {"users": [current, *others]}


def _user(call: Call) -> Content:
    if call.text("user") == call.resources.current_user(call.email)["id"]:
        return _current_user(call)
    if call.text("user") not in call.resources.users:
        raise ApiError(404)
    return {"user": call.resources.users[call.text("user")]}


def _create_user(call: Call) -> Content:
    sent = call.sent_object("user")
    email = str(sent.get("email", ""))
    user = {
        **fixtures.user(call.tenant, email),
        **sent,
        "id": fixtures.identifier(call.tenant, "user", email),
        "created": fixtures.timestamp(call.now),
    }
    return {"user": call.resources.put_user(user)}


def _update_user(call: Call) -> Content:
    changed = {**_user_named(call), **call.sent_object("user")}
    return {"user": call.resources.put_user(changed)}


def _user_named(call: Call) -> Json:
    found = _user(call)["user"]
    assert isinstance(found, dict)  # noqa: S101 -- an object, for the type checker
    return found


def _delete_user(call: Call) -> Content:
    _user_named(call)
    call.resources.users.pop(call.text("user"), None)
    return {}


def _welcome(call: Call) -> Content:
    _user_named(call)
    return {}


def _projects(call: Call) -> Content:
    return {"projects": list(call.resources.projects)}


def _project(call: Call) -> Content:
    return {"project": call.resources.projects.named(call.text("project"))}


def _create_project(call: Call) -> Content:
    name, sent = call.text("project"), call.sent_object("project")
    at = fixtures.timestamp(call.now)
    project = {**fixtures.project(call.tenant, name, name), **sent}
    project["created_at"] = project["updated_at"] = at
    created = call.resources.projects.create(project)
    call.resources.permissions.grant_all(name)
    return {"project": created}


def _update_project(call: Call) -> Content:
    name, sent = call.text("project"), call.sent_object("project")
    return {"project": call.resources.projects.update(name, sent, call.now)}


def _delete_project(call: Call) -> Content:
    name, resources = call.text("project"), call.resources
    resources.projects.named(name)
    collections = {
        "buckets": resources.buckets,
        "datasets": resources.datasets,
        "integrations": resources.integrations,
        "sources": resources.sources,
    }
    children = {
        kind: len(found)
        for kind, collection in collections.items()
        if (found := collection.in_project(name))
    }
    if children and call.query.get("force") != ["true"]:
        raise ApiError(
            409,
            "Project contains child resources but force deletion was not requested: "
            f"{json.dumps(children)}",
        )
    for collection in collections.values():
        for item in collection.in_project(name):
            collection.delete(f"{name}/{item['name']}")
    resources.projects.delete(name)
    return {}


def _quotas(call: Call) -> Content:
    return {"quotas": list(call.resources.quotas.values())}


def _set_quota(call: Call) -> Content:
    kind = call.text("quota")
    if kind not in call.resources.quotas:
        raise ApiError(404)
    sent = {key: value for key, value in call.body.items() if value is not None}
    call.resources.quotas[kind] = {**call.resources.quotas[kind], **sent}
    return {}


def _integrations(call: Call) -> Content:
    return {"integrations": call.visible(call.resources.integrations, "integrations-read")}


def _integrations_of(call: Call) -> Content:
    return {"integrations": call.resources.integrations.in_project(call.text("project"))}


def _put_integration(call: Call) -> Content:
    name, sent = call.text("integration"), call.sent_object("integration")
    call.resources.projects.named(name.partition("/")[0])
    at = fixtures.timestamp(call.now)
    created = {**fixtures.integration(call.tenant, name), **sent, "created_at": at}
    return {"integration": call.resources.integrations.put({**created, "updated_at": at})}


def _update_integration(call: Call) -> Content:
    name, sent = call.text("integration"), call.sent_object("integration")
    return {"integration": call.resources.integrations.update(name, sent, call.now)}


def _delete_integration(call: Call) -> Content:
    found = call.integration
    call.resources.integrations.delete(f"{found['owner']}/{found['name']}")
    return {}


def _integration_errors(call: Call) -> Content:
    call.integration  # noqa: B018 -- raises 404
    return {"errors": []}


def _consumability(_: Call) -> Content:
    return {"can_consume_runtime": True, "can_consume_designtime": True}


_USERS = "/api/_private/users"
_PROJECT = "/api/_private/projects/{project}"
_QUOTAS = "/api/_private/quotas"
_INTEGRATIONS = "/api/_private/integrations"
_INTEGRATION = f"{_INTEGRATIONS}/{{integration}}"

ROUTES = (
    Route("GET", "/auth/user", _current_user),
    Route("POST", "/auth/refresh-user-permissions", lambda _: {"permissions_refreshed": True}),
    Route("GET", "/api/(?:v1|_private)/users", _users, ("tenant-users-read", "users-read")),
    Route("PUT", _USERS, _create_user, ("users-write",)),
    Route("GET", f"{_USERS}/{{user}}", _user, ("users-read",)),
    Route("POST", f"{_USERS}/{{user}}", _update_user, ("users-write",)),
    Route("DELETE", f"{_USERS}/{{user}}", _delete_user, ("users-write",)),
    Route("POST", f"{_USERS}/{{user}}/welcome-email", _welcome, ("users-write",)),
    Route("GET", "/api/(?:v1|_private)/projects", _projects),
    Route("GET", _PROJECT, _project),
    Route("PUT", _PROJECT, _create_project, _ADMIN),
    Route("POST", _PROJECT, _update_project, _ADMIN),
    Route("DELETE", _PROJECT, _delete_project, _ADMIN),
    Route("GET", _QUOTAS, _quotas, ("tenant-quota-read",)),
    Route("GET", f"{_QUOTAS}/{{rest}}", _quotas, ("tenant-quota-read",)),
    Route("POST", f"{_QUOTAS}/{{rest}}/{{quota}}", _set_quota, ("tenant-quota-write",)),
    Route(
        "POST",
        "/api/v1/audit_events/query",
        lambda call: fixtures.audit_events(call.tenant, call.email),
        ("audit-read",),
    ),
    Route("GET", _INTEGRATIONS, _integrations, ("integrations-read",)),
    Route("GET", f"{_INTEGRATIONS}/{{project}}", _integrations_of, ("integrations-read",)),
    Route(
        "GET", _INTEGRATION, lambda call: {"integration": call.integration}, ("integrations-read",)
    ),
    Route("PUT", _INTEGRATION, _put_integration, ("integrations-write",)),
    Route("POST", _INTEGRATION, _update_integration, ("integrations-write",)),
    Route("DELETE", _INTEGRATION, _delete_integration, ("integrations-write",)),
    Route("GET", f"{_INTEGRATION}/errors", _integration_errors, ("integrations-read",)),
    Route("GET", "/api/_private/ixp/consumability", _consumability),
)
