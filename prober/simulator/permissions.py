"""The permissions of a tenant's user: by project, and global. No I/O.

Names are those of the official client and of the API's document. Names of the user interface, such
as "View sources", are accepted too; their mapping to API names is assumed. The document says
`triggers-...`, the client `streams-...`: here they are the same.

A permission can be missing in two ways. Without it in one project, lists leave out that project's
resources, so that a list may be empty, and all else of that project responds 403. `denied` takes it
away everywhere, and then lists respond 403 too. Both are assumed.
"""

from collections.abc import Iterable, Mapping

from prober.simulator import fixtures

USER_INTERFACE_NAMES: Mapping[str, str] = {
    "View labels": "voc-readonly",
    "View sources": "sources-read",
    "View streams": "triggers-read",
    "Consume streams": "triggers-consume",
    "Modify streams": "triggers-write",
    "Streams admin": "triggers-admin",
    "View users": "users-read",
    "View tenant users": "tenant-users-read",
    "Read audit logs": "audit-read",
}


def permission_named(name: str) -> str:
    """Return the API name of a permission. Raises ValueError that lists the names."""
    known = {*fixtures.PROJECT_PERMISSIONS, *fixtures.GLOBAL_PERMISSIONS}
    found = USER_INTERFACE_NAMES.get(name, name)
    if found.startswith("streams-"):
        found = found.replace("streams-", "triggers-", 1)
    if found not in known:
        names = ", ".join(sorted({*known, *USER_INTERFACE_NAMES}))
        raise ValueError(f"unknown permission '{name}'; known: {names}")
    return found


class Permissions:
    """What the user of a tenant may do."""

    def __init__(self, projects: Iterable[str]) -> None:
        """Grant everything in these projects, and all global permissions."""
        self._by_project = {
            project: frozenset(fixtures.PROJECT_PERMISSIONS) for project in projects
        }
        self._global = frozenset(fixtures.GLOBAL_PERMISSIONS)
        self._denied: dict[str, str] = {}

    @property
    def denied(self) -> frozenset[str]:
        """The permissions that are denied everywhere, by the names they were denied with."""
        return frozenset(self._denied)

    def deny(self, names: Iterable[str]) -> None:
        """Deny these permissions everywhere, and no others. Raises ValueError."""
        self._denied = {name: permission_named(name) for name in names}

    def set_project(self, project: str, names: Iterable[str]) -> None:
        """Grant exactly these permissions in a project. Raises ValueError."""
        self._by_project[project] = frozenset(map(permission_named, names))

    def set_global(self, names: Iterable[str]) -> None:
        """Grant exactly these global permissions. Raises ValueError."""
        self._global = frozenset(map(permission_named, names))

    def grant_all(self, project: str) -> None:
        """Grant everything in a project, as to its creator."""
        self._by_project[project] = frozenset(fixtures.PROJECT_PERMISSIONS)

    def is_denied(self, permission: str) -> bool:
        """Return whether a permission is denied everywhere."""
        return permission in self._denied.values()

    def allows(self, permission: str, project: str | None) -> bool:
        """Return whether the user has a permission, in a project or (None) globally."""
        if self.is_denied(permission):
            return False
        if project is None:
            return permission in self._global
        return permission in self._by_project.get(project, ())

    def globally(self) -> list[str]:
        """Return the global permissions, as `/auth/user` lists them."""
        return sorted(p for p in self._global if not self.is_denied(p))

    def by_project(self) -> dict[str, list[str]]:
        """Return the permissions of each project, as `/auth/user` lists them."""
        return {
            project: sorted(p for p in granted if not self.is_denied(p))
            for project, granted in self._by_project.items()
        }
