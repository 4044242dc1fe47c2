"""Which permissions each built-in probe needs, and which of them a user has. Pure.

The platform shows a permission under one name in its user interface (`View labels`) and another in
its API (`voc-readonly`). The names of the interface are documented for some routes; which API name
belongs to which of them, and what the other routes need, is assumed and marked so. Which
permissions a role includes is not documented: who has a role may have any of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

_EVERYTHING = frozenset({"root", "tenant-admin", "support-tenant-admin", "role-cm-tenant-admin"})
"""Global permissions that are assumed to include all others."""
_ROLE = "role-"
"""What the names of roles begin with: which permissions a role includes is not documented."""


@dataclass(frozen=True, slots=True)
class Permission:
    """A permission: its API name and its name in the user interface.

    `is_global` is for a permission of the tenant, not of a project.
    """

    name: str
    title: str
    is_global: bool = False

    def __str__(self) -> str:
        return f"'{self.title}' ({self.name})"


@dataclass(frozen=True, slots=True)
class Need:
    """A permission that a probe needs; `is_assumed` if no document names it for this route."""

    permission: Permission
    is_assumed: bool


_LABELS = Permission("voc-readonly", "View labels")
_SOURCES = Permission("sources-read", "View sources")
_VIEW_STREAMS = Permission("triggers-read", "View streams")
_CONSUME_STREAMS = Permission("triggers-consume", "Consume streams")
_ADD_COMMENTS = Permission("sources-add-comments", "Add comments")
_BUCKETS = Permission("buckets-read", "View buckets")
_INTEGRATIONS = Permission("integrations-read", "View integrations")
_QUOTAS = Permission("tenant-quota-read", "View quotas", is_global=True)
_AUDIT = Permission("audit-read", "Read audit logs", is_global=True)


def _documented(*permissions: Permission) -> tuple[Need, ...]:
    return tuple(Need(each, is_assumed=False) for each in permissions)


def _assumed(*permissions: Permission) -> tuple[Need, ...]:
    return tuple(Need(each, is_assumed=True) for each in permissions)


NEEDS: Mapping[str, tuple[Need, ...]] = MappingProxyType(
    {
        "current-user": (),
        "projects": (),
        "not-found": (),
        "datasets": _documented(_LABELS),
        "dataset": _documented(_LABELS),
        "sources": _documented(_SOURCES),
        "source": _documented(_SOURCES),
        "streams": _assumed(_VIEW_STREAMS, _LABELS),
        "stream": _assumed(_VIEW_STREAMS, _LABELS),
        "stream-results": _documented(_CONSUME_STREAMS, _LABELS, _SOURCES),
        "stream-fetch": _documented(_CONSUME_STREAMS, _LABELS, _SOURCES),
        "messages": _assumed(_SOURCES),
        "attachment": _assumed(_SOURCES),
        "source-statistics": _assumed(_SOURCES),
        "dataset-statistics": _assumed(_LABELS, _SOURCES),
        "labels": _assumed(_LABELS),
        "general-fields": _documented(_LABELS),
        "models": _assumed(_LABELS),
        "model-tags": _assumed(_LABELS),
        "model-version": _assumed(_LABELS),
        "model-status": _assumed(_LABELS),
        "model-validation": _assumed(_LABELS),
        "buckets": _assumed(_BUCKETS),
        "bucket": _assumed(_BUCKETS),
        "mailbox-sync": _assumed(_BUCKETS),
        "integrations": _assumed(_INTEGRATIONS),
        "integration-errors": _assumed(_INTEGRATIONS),
        "quotas": _assumed(_QUOTAS),
        "audit-events": _documented(_AUDIT),
        "predict-comments": _assumed(_LABELS, _SOURCES),
        "canary": _assumed(_ADD_COMMENTS, _LABELS, _SOURCES),
        "predict": _documented(_LABELS, _SOURCES),
        "predict-raw-emails": _documented(_LABELS, _SOURCES),
        "sync": _assumed(_SOURCES, _ADD_COMMENTS),
        "sync-raw-emails": _assumed(_SOURCES, _ADD_COMMENTS),
    }
)
"""The permissions of each built-in probe. Of a probe that is not listed they are not known."""

CANARY_STREAM_NEEDS = _assumed(_CONSUME_STREAMS)
"""What a canary needs beside `NEEDS` if it looks into a stream."""


class Access(StrEnum):
    """Whether a user has a permission."""

    GRANTED = "granted"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Grants:
    """The permissions of a user: in each project, and in the whole tenant."""

    by_project: Mapping[str, frozenset[str]]
    everywhere: frozenset[str]


def parse_grants(document: object) -> Grants | None:
    """Return the permissions in the body of `/auth/user`; None if it has none in a known form.

    Besides what is granted by name it counts what is derived from roles and single sign-on.
    """
    user = document.get("user") if isinstance(document, Mapping) else None
    if not isinstance(user, Mapping) or not isinstance(
        user.get("organisation_permissions"), Mapping
    ):
        return None
    by_project: dict[str, frozenset[str]] = {}
    for key in ("organisation_permissions", "derived_organisation_permissions"):
        granted = user.get(key)
        for project, names in granted.items() if isinstance(granted, Mapping) else ():
            by_project[str(project)] = by_project.get(str(project), frozenset()) | _names(names)
    everywhere = frozenset[str]().union(
        *(
            _names(user.get(key))
            for key in (
                "global_permissions",
                "sso_global_permissions",
                "derived_global_permissions",
                "derived_user_global_permissions",
            )
        )
    )
    return Grants(MappingProxyType(by_project), everywhere)


def _names(given: object) -> frozenset[str]:
    if not isinstance(given, list | tuple):
        return frozenset()
    return frozenset(each for each in given if isinstance(each, str))


def access(grants: Grants, permission: Permission, project: str | None) -> Access:
    """Return whether a user has a permission in `project`, or in any project if that is None.

    It is unknown if the user has a role.
    """
    names = grants.everywhere
    if not permission.is_global:
        by_project = grants.by_project
        of_projects = by_project.values() if project is None else [by_project.get(project, ())]
        names = names.union(*of_projects)
    # The API's document says `triggers-...`, the official client `streams-...`.
    names = frozenset(name.replace("streams-", "triggers-", 1) for name in names)
    if permission.name in names or names & _EVERYTHING:
        return Access.GRANTED
    has_role = any(name.startswith(_ROLE) for name in names)
    return Access.UNKNOWN if has_role else Access.MISSING


def missing(
    grants: Grants, needs: Iterable[Need] | None, project: str | None
) -> tuple[Permission, ...]:
    """Return those needed permissions that are not granted to a user by their own name."""
    return tuple(
        need.permission
        for need in needs or ()
        if access(grants, need.permission, project) is not Access.GRANTED
    )


def missing_message(permissions: Iterable[Permission], project: str | None) -> str:
    """Return in words which permissions are missing, and where: for evidence and events."""
    parts = list(permissions)
    if not parts:
        return ""
    where = "in any project" if project is None else f"in the project '{project}'"
    if all(each.is_global for each in parts):
        where = "in the tenant"
    several = "s" if len(parts) > 1 else ""
    return f"the token's user lacks the permission{several} {' and '.join(map(str, parts))} {where}"
