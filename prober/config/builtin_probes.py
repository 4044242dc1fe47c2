"""The built-in probes, as a table. Pure.

Sources: the API guide ("Using the API") and the vendor's OpenAPI document. `is_official` is False
for `_private` routes, which may change without notice. Requests that are billed or that write data
need consent. Operations that move or delete data (advance, reset, exceptions, deletes) are not here
and never will be.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import quote

from prober.models import Expectations
from prober.outcomes import Culprit

_PROJECT = re.compile(r"[A-Za-z0-9_.-]{1,1024}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")
_BY_ID = re.compile(r"id:[0-9a-f]{16}")
_ID = re.compile(r"[0-9a-f]{16}")
_COMMENT = re.compile(r"[\w\x21-\x2e\x3a-\x40\x5b-\x60\x7b-\x7e]{1,1024}")
_UID = re.compile(r"[0-9a-f]{16}\.[\w\x21-\x2e\x3a-\x40\x5b-\x60\x7b-\x7e]{1,1024}")
_VERSION = re.compile(r"[0-9]{1,9}")

_SYNC_BODY = {
    "comments": [
        {
            "id": "prober-synthetic-check",
            "timestamp": "2020-01-01T00:00:00Z",
            "messages": [{"body": {"text": "A synthetic check by prober."}}],
        }
    ]
}
"""One fixed comment id, so that repeated runs write a single comment. The form of this body is an
assumption: it is not in the documents above."""


ANY_OK = Expectations()


@dataclass(frozen=True, slots=True)
class BuiltinProbe:
    """A built-in probe. `path` has parameters in braces.

    `body` is a JSON value, or `{json}` or `{uid}` for the value of that parameter. Probes with
    `is_billable` or `is_write` run only with consent.
    """

    name: str
    path: str
    method: str = "GET"
    body: object = None
    expectations: Expectations = ANY_OK
    is_official: bool = True
    is_billable: bool = False
    is_write: bool = False

    @property
    def parameters(self) -> tuple[str, ...]:
        """Return the names of the parameters that must be given."""
        found = re.findall(r"\{(\w+)\}", self.path)
        if self.body == "{uid}":
            found.append("uid")
        if self.body == "{json}":
            found.append("json")
        return tuple(found)


# What the API documents is the platform's promise.
def _list_of(key: str) -> Expectations:
    return Expectations(jmespath=f"type({key}) == 'array'", culprit=Culprit.PLATFORM)


def _object_at(key: str) -> Expectations:
    return Expectations(jmespath=f"type({key}) == 'object'", culprit=Culprit.PLATFORM)


_DATASET = "/api/v1/datasets/{dataset}"
_SOURCE = "/api/v1/sources/{source}"
_STREAM = _DATASET + "/streams/{stream}"
_MODEL = _DATASET + "/labellers/{model_version}"
_PRIVATE_MODEL = "/api/_private/datasets/{dataset}/labellers"

CATALOGUE: Mapping[str, BuiltinProbe] = MappingProxyType(
    {
        probe.name: probe
        for probe in (
            BuiltinProbe(
                "current-user", "/auth/user", expectations=_object_at("user"), is_official=False
            ),
            BuiltinProbe("datasets", "/api/v1/datasets", expectations=_list_of("datasets")),
            BuiltinProbe("sources", "/api/v1/sources", expectations=_list_of("sources")),
            BuiltinProbe("projects", "/api/v1/projects", expectations=_list_of("projects")),
            BuiltinProbe(
                "not-found",
                "/api/v1/nonexistent_page",
                expectations=Expectations(status=404, culprit=Culprit.PLATFORM),
            ),
            BuiltinProbe("dataset", _DATASET, expectations=_object_at("dataset")),
            BuiltinProbe("source", _SOURCE, expectations=_object_at("source")),
            BuiltinProbe("streams", _DATASET + "/streams", expectations=_list_of("streams")),
            BuiltinProbe(
                "stream-results",
                _STREAM + "/results?max_results=1",
                expectations=_list_of("results"),
            ),
            BuiltinProbe(
                "stream-fetch",
                _STREAM + "/fetch",
                "POST",
                {"size": 1},
                expectations=_list_of("results"),
            ),
            BuiltinProbe(
                "messages", _SOURCE + "/comments/{comment}", expectations=_object_at("comment")
            ),
            BuiltinProbe(
                "source-statistics",
                _SOURCE + "/statistics",
                "POST",
                {"comment_filter": {}},
                expectations=_object_at("statistics"),
            ),
            BuiltinProbe(
                "model-status",
                _PRIVATE_MODEL + "/status",
                expectations=_object_at("dataset_status"),
                is_official=False,
            ),
            BuiltinProbe(
                "model-validation",
                _PRIVATE_MODEL + "/latest/validation",
                expectations=_object_at("validation"),
                is_official=False,
            ),
            BuiltinProbe(
                "mailbox-sync",
                "/api/_private/buckets/id:{bucket}/keyed-sync-states/",
                expectations=_list_of("keyed_sync_states"),
                is_official=False,
            ),
            BuiltinProbe(
                "integrations",
                "/api/_private/integrations",
                expectations=_list_of("integrations"),
                is_official=False,
            ),
            BuiltinProbe(
                "quotas",
                "/api/_private/quotas",
                expectations=_list_of("quotas"),
                is_official=False,
            ),
            BuiltinProbe(
                "audit-events",
                "/api/v1/audit_events/query",
                "POST",
                {"filter": {"timestamp": {}}, "limit": 1},
                expectations=_list_of("audit_events"),
            ),
            BuiltinProbe(
                "predict-comments",
                _MODEL + "/predict-comments",
                "POST",
                "{uid}",
                expectations=_list_of("predictions"),
            ),
            BuiltinProbe("predict", _MODEL + "/predict", "POST", "{json}", is_billable=True),
            BuiltinProbe(
                "predict-raw-emails",
                _MODEL + "/predict-raw-emails",
                "POST",
                "{json}",
                is_billable=True,
            ),
            BuiltinProbe(
                "sync", _SOURCE + "/sync", "POST", _SYNC_BODY, is_billable=True, is_write=True
            ),
            BuiltinProbe(
                "sync-raw-emails",
                _SOURCE + "/sync-raw-emails",
                "POST",
                "{json}",
                is_billable=True,
                is_write=True,
            ),
        )
    }
)

DEFAULT_PROBES = ("current-user", "datasets", "sources", "projects", "not-found")
"""The probes of a tenant that names none."""


def path_segment(parameter: str, value: str, project: str | None) -> str:
    """Return a parameter as part of the path, percent-encoded; raises ValueError.

    A dataset or source is `id:<16 hex>`, or `project/name`: two segments, as documented.
    """
    if parameter in {"dataset", "source"}:
        return _project_path(parameter, value, project)
    pattern, form = _FORMS[parameter]
    if not pattern.fullmatch(value) or value in {".", ".."}:
        raise ValueError(f"'{parameter}' must be {form}")
    return quote(value, safe="")


_FORMS = {
    "stream": (_NAME, "a name of letters, digits, '_' and '-'"),
    "comment": (_COMMENT, "a comment's id, without '/'"),
    "uid": (_UID, "a comment's uid: 16 hex digits, a dot, the comment's id"),
    "bucket": (_ID, "a bucket's id: 16 hex digits"),
    "model_version": (_VERSION, "a version number"),
}


def _project_path(parameter: str, value: str, project: str | None) -> str:
    if _BY_ID.fullmatch(value):
        return value
    owner, _, name = value.rpartition("/")
    owner = owner or project or ""
    if not owner:
        raise ValueError(
            f"'{parameter}' needs its 'project' (or write '{parameter}: project/name')"
        )
    check_project(owner)
    if not _NAME.fullmatch(name):
        raise ValueError(f"'{parameter}' must be a name of letters, digits, '_' and '-'")
    return f"{owner}/{name}"


def check_project(name: str) -> None:
    """Raise ValueError if a project cannot have this name."""
    if not _PROJECT.fullmatch(name) or name in {".", ".."}:
        raise ValueError("'project' must be a name of letters, digits, '_', '-' and '.'")
