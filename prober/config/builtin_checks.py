"""The built-in checks of the built-in probes, with their default limits. Pure.

Each can be changed or turned off where its probe is used. The culprit is `tenant`, except where a
check says otherwise: the platform responds, and the tenant's own set-up or use of it is bad.
What needs earlier values (a model rating below last week's, a stream that does not move) is an
alert rule over the exported values.

The names of fields come from the vendor's OpenAPI document and client. Assumed are the words of a
model's quality, and that `disabled_reason` is absent or null while an integration is enabled. A
field that is assumed is optional: without it, the check does not fail.
"""

from prober.models import AlertSeverity, Check, CheckKind
from prober.outcomes import Culprit

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0
_GOOD_RATINGS = ("average", "good", "excellent", "Average", "Good", "Excellent")


def _at_least_one(name: str, value: str, words: str) -> tuple[Check, ...]:
    """Return the check of a list that is never empty: a lost permission looks like an empty one."""
    return (Check(name, CheckKind.COUNT, value, min=1, phrase=f"number of {words} is"),)


# Without a user the response is not what the platform promises.
CURRENT_USER = (
    Check(
        "user",
        CheckKind.COUNT,
        "user",
        min=1,
        culprit=Culprit.PLATFORM,
        phrase="number of keys of the user is",
    ),
)


def _stage(name: str, limit_seconds: float, phrase: str) -> Check:
    return Check(
        name,
        CheckKind.NUMBER,
        f"seconds.{name}",  # of the run, not of a response: see `prober.canary`
        max=limit_seconds,
        culprit=Culprit.PLATFORM,
        phrase=phrase,
    )


CANARY = (
    _stage("readable", _MINUTE, "seconds until the comment is readable are"),
    _stage("predicted", 5 * _MINUTE, "seconds until the comment is predicted are"),
    _stage("streamed", 10 * _MINUTE, "seconds until the comment is in the stream are"),
)
PROJECTS = _at_least_one("projects", "projects", "projects")
DATASETS = _at_least_one("datasets", "datasets", "datasets")
SOURCES = _at_least_one("sources", "sources", "sources")
STREAMS = (
    *_at_least_one("streams", "streams", "streams"),
    Check(
        "model-version",
        CheckKind.NUMBER,
        "model.version",
        each="streams",
        item="name",
        is_optional=True,
        phrase="model version is",
        item_words=("stream",),
    ),
)
STREAM = (
    Check(
        "model-version",
        CheckKind.NUMBER,
        "stream.model.version",
        is_optional=True,
        phrase="model version is",
    ),
)
PREDICTIONS = _at_least_one("predictions", "predictions", "predictions")
BUCKETS = _at_least_one("buckets", "buckets", "buckets")
LABELS = _at_least_one("label-groups", "label_groups", "label groups")
MODELS = _at_least_one("models", "labellers", "models")
MODEL_TAGS = (Check("model-tags", CheckKind.COUNT, "model_tags", phrase="number of tags is"),)
GENERAL_FIELDS = (
    Check(
        "general-fields",
        CheckKind.COUNT,
        "dataset.general_fields",
        is_optional=True,
        phrase="number of general fields is",
    ),
)
SOURCE_COMMENTS = (
    Check(
        "comments",
        CheckKind.NUMBER,
        "statistics.num_comments",
        is_optional=True,
        phrase="number of comments is",
    ),
)
INTEGRATION_ERRORS = (
    Check("errors", CheckKind.COUNT, "errors", max=0, phrase="number of errors is"),
)
IXP = (
    Check(
        "runtime",
        CheckKind.BOOLEAN,
        "can_consume_runtime",
        equals=True,
        phrase="can_consume_runtime is",
    ),
    Check(
        "design-time",
        CheckKind.BOOLEAN,
        "can_consume_designtime",
        is_optional=True,
        phrase="can_consume_designtime is",
    ),
)


def _unread_results(position: str) -> tuple[Check, ...]:
    """Return the checks of a stream's first unread result; `position` is where the reader is.

    The list is empty while every result has been read, which is good.
    """
    return (
        Check(
            "oldest-unread",
            CheckKind.TIMESTAMP,
            "results[0].comment.created_at || results[0].comment.timestamp",
            max_age_seconds=_DAY,
            is_optional=True,
            phrase="the oldest unread result came",
        ),
        Check("unread", CheckKind.COUNT, "results", phrase="number of unread results (of 1) is"),
        Check("position", CheckKind.TEXT, position, is_optional=True, phrase="the position is"),
    )


STREAM_RESULTS = _unread_results("results[0].continuation || continuation")
STREAM_FETCH = _unread_results("results[0].sequence_id || sequence_id")

MODEL_STATUS = (
    Check(
        "inference-stuck",
        CheckKind.BOOLEAN,
        "dataset_status.inference_stuck",
        equals=False,
        is_optional=True,
        phrase="inference_stuck is",
    ),
    Check(
        "training-age",
        CheckKind.TIMESTAMP,
        "dataset_status.training_completion_time",
        max_age_seconds=365 * _DAY,
        is_optional=True,
        phrase="the model was trained",
    ),
)
MODEL_VALIDATION = (
    Check(
        "rating",
        CheckKind.TEXT,
        "validation.model_rating.quality",
        one_of=_GOOD_RATINGS,
        is_optional=True,
        phrase="the model's rating is",
        known_texts=("poor", "Poor"),
    ),
    Check(
        "rating-score",
        CheckKind.NUMBER,
        "validation.model_rating.score",
        is_optional=True,
        phrase="the model's score is",
    ),
)
MAILBOX_SYNC = (
    *_at_least_one("mailboxes", "keyed_sync_states", "synchronized folders"),
    Check(
        "sync-age",
        CheckKind.TIMESTAMP,
        "last_synced_at",
        each="keyed_sync_states",
        item="[mailbox_name, folder_path || folder_id]",
        max_age_seconds=_HOUR,
        phrase="last synced",
        item_words=("mailbox", "folder"),
    ),
)


def _disabled_reason(name: str, each: str, item: str, item_word: str) -> Check:
    return Check(
        name,
        CheckKind.TEXT,
        "disabled_reason || `null`",
        each=each,
        item=item,
        one_of=("none",),
        is_optional=True,
        phrase="disabled, and the reason is",
        item_words=(item_word,),
        known_texts=("user", "quota", "sync_error"),
    )


INTEGRATIONS = (
    *_at_least_one("integrations", "integrations", "integrations"),
    _disabled_reason("disabled-reason", "integrations", "[owner, name]", "integration"),
    Check(
        "enabled",
        CheckKind.BOOLEAN,
        "enabled",
        each="integrations",
        item="[owner, name]",
        equals=True,
        is_optional=True,
        phrase="enabled is",
        item_words=("integration",),
    ),
    # The documents do not say whether `mailboxes` is a list or a mapping: both can be read.
    _disabled_reason(
        "mailbox-disabled-reason",
        "integrations[].configuration.[mailboxes[], mailboxes.*][][]",
        "mailbox_name || email || name",
        "mailbox",
    ),
)
QUOTAS = (
    Check(
        "quota-used",
        CheckKind.NUMBER,
        "current_max_usage",
        each="quotas",
        item="quota_kind",
        divided_by="hard_limit",
        below=1,
        severity=AlertSeverity.PAGE,
        is_optional=True,
        phrase="used",
        item_words=("quota",),
    ),
)
