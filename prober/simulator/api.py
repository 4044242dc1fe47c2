"""What the routes of the simulated API are made of: calls, permissions, and the route table's row.

A route names its resource by `{dataset}`, `{source}`, `{bucket}` or `{integration}`. In a request
that is `project/name`, as two path segments or one with `%2F`, or `id:<16 hex digits>`.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs

from prober.simulator.fixtures import GLOBAL_PERMISSIONS, Json
from prober.simulator.http import Request, Response
from prober.simulator.resources import ApiError, Collection, TenantResources

NAME = "[A-Za-z0-9_.-]+"
_PARAMETERS = {
    **{
        kind: rf"(?:id:(?P<{kind}_id>[0-9a-f]{{16}})|(?P<{kind}>{NAME}/{NAME}))"
        for kind in ("dataset", "source", "bucket", "integration")
    },
    "project": rf"(?P<project>{NAME})",
    "stream": rf"(?P<stream>{NAME})",
    "comment": r"(?P<comment>[^/]+)",
    "version": r"(?P<version>latest|[0-9]+)",
    "user": r"(?P<user>[0-9a-f]{16})",
    "rest": r"(?P<rest>[^/]+)",
    "quota": r"(?P<quota>[a-z_]+)",
}


@dataclass(frozen=True)
class Call:
    """A request of a tenant's user to a route, with its parameters; `now` is in epoch seconds."""

    request: Request
    tenant: str
    email: str
    now: float
    resources: TenantResources
    parameters: Mapping[str, str | None]

    @cached_property
    def body(self) -> Json:
        """The JSON object that was sent. Raises ApiError 400 if it is not one."""
        try:
            content = json.loads(self.request.body or b"{}")
        except ValueError as error:
            raise ApiError(400, "the body is not valid JSON") from error
        if not isinstance(content, dict):
            raise ApiError(400, "the body is not a JSON object")
        return content

    @cached_property
    def query(self) -> Mapping[str, list[str]]:
        """The query parameters."""
        return parse_qs(self.request.target.partition("?")[2])

    def sent(self, key: str) -> Any:  # noqa: ANN401 -- what a client sends
        """Return the value of a key of the body. Raises ApiError 400 if it is missing."""
        if key not in self.body:
            raise ApiError(400, f"'{key}' is a required property")
        return self.body[key]

    def sent_object(self, key: str) -> Json:
        """Return the object at a key of the body. Raises ApiError 400 if there is none."""
        value = self.sent(key)
        if not isinstance(value, dict):
            raise ApiError(400, f"'{key}' is not of type 'object'")
        return value

    def sent_objects(self, key: str) -> list[Json]:
        """Return the list of objects at a key of the body. Raises ApiError 400."""
        value = self.sent(key)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise ApiError(400, f"'{key}' is not an array of objects")
        return value

    def text(self, name: str) -> str:
        """Return a parameter of the path."""
        return self.parameters.get(name) or ""

    def limit(self, default: int, maximum: int) -> int:
        """Return the query parameter or key `limit`. Raises ApiError 400."""
        sent = self.query.get("limit", [None])[0] or self.body.get("limit") or default
        try:
            number = int(sent)
        except (TypeError, ValueError) as error:
            raise ApiError(400, "'limit' is not of type 'integer'") from error
        if not 1 <= number <= maximum:
            raise ApiError(400, f"'limit' is not between 1 and {maximum}")
        return number

    @property
    def dataset(self) -> Json:
        """The dataset that the path names. Raises ApiError 404."""
        return self._named("dataset", self.resources.datasets)

    @property
    def source(self) -> Json:
        """The source that the path names. Raises ApiError 404."""
        return self._named("source", self.resources.sources)

    @property
    def bucket(self) -> Json:
        """The bucket that the path names. Raises ApiError 404."""
        return self._named("bucket", self.resources.buckets)

    @property
    def integration(self) -> Json:
        """The integration that the path names. Raises ApiError 404."""
        return self._named("integration", self.resources.integrations)

    def visible(self, items: Iterable[Json], permission: str) -> list[Json]:
        """Return the resources of projects in which the user has a permission."""
        allows = self.resources.permissions.allows
        return [item for item in items if allows(permission, item["owner"])]

    def _named(self, kind: str, collection: Collection) -> Json:
        identifier = self.parameters.get(f"{kind}_id")
        if identifier is not None:
            return collection.with_id(identifier)
        return collection.named(self.text(kind))

    def project(self) -> str | None:
        """Return the project of what the path names, None if it names nothing in a project.

        Raises ApiError 404 for an unknown ID.
        """
        for kind in ("dataset", "source", "bucket", "integration"):
            if self.parameters.get(f"{kind}_id") is not None:
                owner: str = getattr(self, kind)["owner"]
                return owner
            if self.parameters.get(kind) is not None:
                return self.text(kind).partition("/")[0]
        return self.parameters.get("project")


Handler = Callable[[Call], Mapping[str, object] | Response]


@dataclass(frozen=True)
class Route:
    """One operation; `permissions` are all needed: in the project of the path, or globally.

    A route that needs a permission of projects, with no project in its path, is a list: its
    handler leaves out what the user may not see.
    """

    method: str
    path: str
    handler: Handler
    permissions: tuple[str, ...] = ()

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The pattern of the decoded path."""
        pattern = self.path
        for name, expression in _PARAMETERS.items():
            pattern = pattern.replace(f"{{{name}}}", expression)
        return re.compile(pattern)

    def check_permissions(self, call: Call) -> None:
        """Raise ApiError 403 if the user lacks a permission, 404 for an unknown project."""
        granted, project = call.resources.permissions, call.project()
        for permission in self.permissions:
            if granted.is_denied(permission):
                raise ApiError(403)
            if permission in GLOBAL_PERMISSIONS:
                if not granted.allows(permission, None):
                    raise ApiError(403)
            elif project is not None:
                call.resources.projects.named(project)
                if not granted.allows(permission, project):
                    raise ApiError(403)
