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

from prober.config import builtin_checks as checks
from prober.models import CanaryTarget, Check, Expectations
from prober.outcomes import Culprit

_PROJECT = re.compile(r"[A-Za-z0-9_.-]{1,1024}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")
_BY_ID = re.compile(r"id:[0-9a-f]{16}")
_ID = re.compile(r"[0-9a-f]{16}")
_COMMENT = re.compile(r"[\w\x21-\x2e\x3a-\x40\x5b-\x60\x7b-\x7e]{1,1024}")
_UID = re.compile(r"[0-9a-f]{16}\.[\w\x21-\x2e\x3a-\x40\x5b-\x60\x7b-\x7e]{1,1024}")
_REFERENCE = re.compile(r"[A-Za-z0-9_.~=-]{1,512}")  # its form is not documented
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


CANARY_COMMENT = "prober-canary"
"""The ID of the one comment that a canary writes, again and again."""
ANY_OK = Expectations()


@dataclass(frozen=True, slots=True)
class BuiltinProbe:
    """A built-in probe. `path` has parameters in braces.

    `body` is a JSON value, or `{json}` or `{uid}` for the value of that parameter. Probes with
    `is_billable` or `is_write` run only with consent. The paths of a `canary` have parameters too.
    """

    name: str
    path: str
    method: str = "GET"
    body: object = None
    expectations: Expectations = ANY_OK
    checks: tuple[Check, ...] = ()
    is_official: bool = True
    is_billable: bool = False
    is_write: bool = False
    canary: CanaryTarget | None = None
    interval_seconds: float | None = None
    """The interval unless the probe's use sets another, instead of that of `defaults`."""

    @property
    def optional_parameters(self) -> tuple[str, ...]:
        """Return the names of the parameters that may be given."""
        return () if self.canary is None else ("stream",)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Return the names of the parameters that must be given."""
        found = re.findall(r"\{(\w+)\}", self.path)
        if self.canary is not None:
            found += re.findall(r"\{(\w+)\}", self.canary.predict_path)
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
_PRIVATE_DATASET = "/api/_private/datasets/{dataset}"
_PRIVATE_MODEL = _PRIVATE_DATASET + "/labellers"

CATALOGUE: Mapping[str, BuiltinProbe] = MappingProxyType(
    {
        probe.name: probe
        for probe in (
            BuiltinProbe(
                "current-user",
                "/auth/user",
                expectations=_object_at("user"),
                checks=checks.CURRENT_USER,
                is_official=False,
            ),
            BuiltinProbe(
                "datasets",
                "/api/v1/datasets",
                expectations=_list_of("datasets"),
                checks=checks.DATASETS,
            ),
            BuiltinProbe(
                "sources",
                "/api/v1/sources",
                expectations=_list_of("sources"),
                checks=checks.SOURCES,
            ),
            BuiltinProbe(
                "projects",
                "/api/v1/projects",
                expectations=_list_of("projects"),
                checks=checks.PROJECTS,
            ),
            BuiltinProbe(
                "not-found",
                "/api/v1/nonexistent_page",
                expectations=Expectations(status=404, culprit=Culprit.PLATFORM),
            ),
            BuiltinProbe(
                "dataset",
                _DATASET,
                expectations=_object_at("dataset"),
            ),
            BuiltinProbe(
                "general-fields",
                _DATASET,
                expectations=_list_of("dataset.general_fields"),
                checks=checks.GENERAL_FIELDS,
            ),
            BuiltinProbe("source", _SOURCE, expectations=_object_at("source")),
            BuiltinProbe(
                "dataset-statistics",
                _PRIVATE_DATASET + "/statistics",
                "POST",
                {"comment_filter": {}},
                expectations=_object_at("statistics"),
                checks=checks.SOURCE_COMMENTS,
                is_official=False,
            ),
            BuiltinProbe(
                "labels",
                _PRIVATE_DATASET + "/label-groups",
                expectations=_list_of("label_groups"),
                checks=checks.LABELS,
                is_official=False,
            ),
            BuiltinProbe(
                "models",
                _PRIVATE_MODEL,
                "POST",
                {},
                expectations=_list_of("labellers"),
                checks=checks.MODELS,
                is_official=False,
            ),
            BuiltinProbe(
                "model-tags",
                _DATASET + "/model-tags",
                expectations=_list_of("model_tags"),
                checks=checks.MODEL_TAGS,
            ),
            # A pinned version that is gone is a 404: the streams that use it stop.
            BuiltinProbe(
                "model-version", _MODEL + "/validation", expectations=_object_at("validation")
            ),
            BuiltinProbe(
                "streams",
                _DATASET + "/streams",
                expectations=_list_of("streams"),
                checks=checks.STREAMS,
            ),
            BuiltinProbe(
                "stream", _STREAM, expectations=_object_at("stream"), checks=checks.STREAM
            ),
            BuiltinProbe(
                "stream-results",
                _STREAM + "/results?max_results=1",
                expectations=_list_of("results"),
                checks=checks.STREAM_RESULTS,
            ),
            BuiltinProbe(
                "stream-fetch",
                _STREAM + "/fetch",
                "POST",
                {"size": 1},
                expectations=_list_of("results"),
                checks=checks.STREAM_FETCH,
            ),
            BuiltinProbe(
                "messages", _SOURCE + "/comments/{comment}", expectations=_object_at("comment")
            ),
            # An attachment is a customer's file, without an envelope: its head is enough.
            BuiltinProbe("attachment", "/api/v1/attachments/{attachment}", "HEAD"),
            BuiltinProbe(
                "source-statistics",
                _SOURCE + "/statistics",
                "POST",
                {"comment_filter": {}},
                expectations=_object_at("statistics"),
                checks=checks.SOURCE_COMMENTS,
            ),
            BuiltinProbe(
                "model-status",
                _PRIVATE_MODEL + "/status",
                expectations=_object_at("dataset_status"),
                checks=checks.MODEL_STATUS,
                is_official=False,
            ),
            BuiltinProbe(
                "model-validation",
                _PRIVATE_MODEL + "/latest/validation",
                expectations=_object_at("validation"),
                checks=checks.MODEL_VALIDATION,
                is_official=False,
            ),
            BuiltinProbe(
                "mailbox-sync",
                "/api/_private/buckets/id:{bucket}/keyed-sync-states/",
                expectations=_list_of("keyed_sync_states"),
                checks=checks.MAILBOX_SYNC,
                is_official=False,
            ),
            BuiltinProbe(
                "integrations",
                "/api/_private/integrations",
                expectations=_list_of("integrations"),
                checks=checks.INTEGRATIONS,
                is_official=False,
            ),
            BuiltinProbe(
                "integration-errors",
                "/api/_private/integrations/{integration}/errors",
                expectations=_list_of("errors"),
                checks=checks.INTEGRATION_ERRORS,
                is_official=False,
            ),
            BuiltinProbe(
                "buckets",
                "/api/_private/buckets",
                expectations=_list_of("buckets"),
                checks=checks.BUCKETS,
                is_official=False,
            ),
            BuiltinProbe(
                "bucket",
                "/api/_private/buckets/id:{bucket}",
                expectations=_object_at("bucket"),
                is_official=False,
            ),
            BuiltinProbe(
                "ixp-consumability",
                "/api/_private/ixp/consumability",
                expectations=Expectations(
                    jmespath="type(can_consume_runtime) == 'boolean'", culprit=Culprit.PLATFORM
                ),
                checks=checks.IXP,
                is_official=False,
            ),
            BuiltinProbe(
                "quotas",
                "/api/_private/quotas",
                expectations=_list_of("quotas"),
                checks=checks.QUOTAS,
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
                checks=checks.PREDICTIONS,
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
                "canary",
                _SOURCE + "/sync",
                "POST",
                checks=checks.CANARY,
                is_billable=True,
                is_write=True,
                canary=CanaryTarget(
                    f"{_SOURCE}/comments/{CANARY_COMMENT}",
                    _MODEL + "/predict-comments",
                    _STREAM + "/fetch",
                ),
                interval_seconds=3600.0,
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


PARAMETERS = (
    "dataset", "source", "stream", "comment", "uid", "bucket", "attachment", "integration",
    "model_version",
)  # fmt: skip
"""All parameters of built-in probes, except `project` and `json`."""
PROJECT_PARAMETERS = frozenset({"dataset", "source", "integration"})
"""Parameters that are names within a project."""


def path_segment(parameter: str, value: str, project: str | None) -> str:
    """Return a parameter as part of the path, percent-encoded; raises ValueError.

    A dataset or source is `id:<16 hex>`, or `project/name`: two segments, as documented. An
    integration is `project/name`.
    """
    if parameter in PROJECT_PARAMETERS:
        return _project_path(parameter, value, project)
    pattern, form = _FORMS[parameter]
    if not pattern.fullmatch(value) or value in {".", ".."}:
        raise ValueError(f"'{parameter}' must be {form}")
    return quote(value, safe="")


_FORMS = {
    "stream": (_NAME, "a name of letters, digits, '_' and '-'"),
    "comment": (_COMMENT, "a comment's id, without '/'"),
    "uid": (_UID, "a comment's uid: 16 hex digits, a dot, the comment's id"),
    "attachment": (_REFERENCE, "a reference of letters, digits, '_', '.', '~', '=' and '-'"),
    "bucket": (_ID, "a bucket's id: 16 hex digits"),
    "model_version": (_VERSION, "a version number"),
}


def _project_path(parameter: str, value: str, project: str | None) -> str:
    if _BY_ID.fullmatch(value) and parameter != "integration":
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
