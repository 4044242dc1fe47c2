"""Which permissions each built-in probe needs, and which of them a user has. Pure.

The platform shows a permission under one name in its user interface (`View labels`) and another in
its API (`voc-readonly`). The names of the interface are documented for some routes; which API name
belongs to which of them, and what the other routes need, is assumed and marked so. A permission
counts as missing only if nothing that might include it is granted: whether one permission includes
another is not documented either.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Permission:
    """A permission: its API name, its name in the user interface, and what includes it.

    `is_global` is for a permission of the tenant, not of a project.
    """

    name: str
    title: str
    included_in: frozenset[str] = frozenset()
    is_global: bool = False

    def __str__(self) -> str:
        return f"'{self.title}' ({self.name})"


@dataclass(frozen=True, slots=True)
class Need:
    """A permission that a probe needs; `is_assumed` if no document names it for this route."""

    permission: Permission
    is_assumed: bool


def _permission(name: str, title: str, *included_in: str, is_global: bool = False) -> Permission:
    return Permission(name, title, frozenset(included_in), is_global)


_LABELS = _permission(
    "voc-readonly",
    "View labels",
    *("voc", "datasets-review", "datasets-model-admin", "datasets-export", "datasets-admin"),
)
_SOURCES = _permission(
    "sources-read",
    "View sources",
    *("sources-read-sensitive", "sources-add-comments", "sources-translate", "sources-admin"),
)
_VIEW_STREAMS = _permission(
    "triggers-read",
    "View streams",
    *("streams-read", "triggers-consume", "streams-consume", "triggers-write", "streams-write"),
    *("triggers-admin", "streams-admin"),
)
_CONSUME_STREAMS = _permission(
    "triggers-consume", "Consume streams", "streams-consume", "triggers-admin", "streams-admin"
)
_ADD_COMMENTS = _permission("sources-add-comments", "Add comments", "sources-admin")
_BUCKETS = _permission(
    "buckets-read", "View buckets", "buckets-write", "buckets-items-read", "buckets-append"
)
_INTEGRATIONS = _permission("integrations-read", "View integrations", "integrations-write")
_QUOTAS = _permission("tenant-quota-read", "View quotas", "tenant-quota-write", is_global=True)
_AUDIT = _permission("audit-read", "Read audit logs", is_global=True)


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
        "source-statistics": _assumed(_SOURCES),
        "dataset-statistics": _assumed(_LABELS, _SOURCES),
        "labels": _assumed(_LABELS),
        "general-fields": _assumed(_LABELS),
        "models": _assumed(_LABELS),
        "model-tags": _assumed(_LABELS),
        "model-version": _assumed(_LABELS),
        "model-status": _assumed(_LABELS),
        "model-validation": _assumed(_LABELS),
        "buckets": _assumed(_BUCKETS),
        "bucket": _assumed(_BUCKETS),
        "bucket-statistics": _assumed(_BUCKETS),
        "mailbox-sync": _assumed(_BUCKETS),
        "integrations": _assumed(_INTEGRATIONS),
        "integration-errors": _assumed(_INTEGRATIONS),
        "quotas": _assumed(_QUOTAS),
        "audit-events": _documented(_AUDIT),
        "predict-comments": _assumed(_LABELS, _SOURCES),
        "predict": _documented(_LABELS, _SOURCES),
        "predict-raw-emails": _documented(_LABELS, _SOURCES),
        "sync": _assumed(_SOURCES, _ADD_COMMENTS),
        "sync-raw-emails": _assumed(_SOURCES, _ADD_COMMENTS),
    }
)
"""The permissions of each built-in probe. Of a probe that is not listed they are not known."""
