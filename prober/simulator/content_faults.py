"""Content faults: the API responds as always, but what it says is bad news. Pure.

Each is a patch of the JSON object of a correct response. It changes what it knows and leaves the
rest, so one fault can apply to all routes: `quota_used_up` changes a list of quotas and nothing
else. Several content faults apply together. Names of keys and values are those of the official
client; what a poor rating looks like is assumed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from prober.simulator import fixtures

Json = dict[str, Any]
Patch = Callable[[Json, float], Json]
"""Returns a changed copy of a response's JSON object, or the object itself if it does not apply.
The number is the time, in epoch seconds."""

DAY_SECONDS = 86_400.0
# A little more than whole days, so that clients show the same number of days on any clock.
_MARGIN_SECONDS = 600.0
STALE_SYNC_SECONDS = 330 * DAY_SECONDS + _MARGIN_SECONDS
STALE_TRAINING_SECONDS = 400 * DAY_SECONDS + _MARGIN_SECONDS
UNREAD_SECONDS = 3 * DAY_SECONDS + _MARGIN_SECONDS
MISSING_VERSION = 999
_UNMOVED = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


@dataclass(frozen=True, slots=True)
class ContentFault:
    """A patch, and the reason that a correct prober reports."""

    name: str
    summary: str
    patch: Patch
    reason: str = "check_failed"


def _each(key: str, change: Callable[[Json, float], Json]) -> Patch:
    """Change each object of the list at `key`, and the object at the singular of `key`."""
    single = key.removesuffix("s")

    def patch(content: Json, now: float) -> Json:
        if isinstance(content.get(key), list):
            return {**content, key: [change(item, now) for item in content[key]]}
        if isinstance(content.get(single), dict):
            return {**content, single: change(content[single], now)}
        return content

    return patch


def _emptied(key: str) -> Patch:
    return lambda content, _: {**content, key: []} if key in content else content


def _inside(key: str, change: Callable[[Json, float], Json]) -> Patch:
    """Change the object at `key`."""
    return lambda content, now: (
        {**content, key: change(content[key], now)}
        if isinstance(content.get(key), dict)
        else content
    )


def _disabled(reason: str) -> Callable[[Json, float], Json]:
    return lambda item, _: {**item, "enabled": False, "disabled_reason": reason}


def _mailboxes_disabled(integration: Json, _: float) -> Json:
    configuration = integration["configuration"]
    mailboxes = [
        {**each, "enabled": False, "disabled_reason": "sync_error"}
        for each in configuration.get("mailboxes", ())
    ]
    return {**integration, "configuration": {**configuration, "mailboxes": mailboxes}}


def _long_unsynced(state: Json, now: float) -> Json:
    at = fixtures.timestamp(now - STALE_SYNC_SECONDS)
    return {**state, "last_synced_at": at, "synced_until": at}


def _used(limit: int, used: int) -> Callable[[Json, float], Json]:
    """Set the first quota: one that is used up is enough."""

    def change(quota: Json, _: float) -> Json:
        if quota.get("quota_kind") != fixtures.FIRST_QUOTA:
            return quota
        return {**quota, "hard_limit": limit, "current_max_usage": used}

    return change


def _first_result(content: Json, result: Json) -> Json:
    return {**content, "results": [result]}


def _unread(content: Json, now: float) -> Json:
    """Let the oldest result be old, and the sequence not move: the robots read nothing."""
    if not content.get("results"):
        return content
    return _unmoved(_first_result(content, _aged(content["results"][0], now)), now)


def _aged(result: Json, now: float) -> Json:
    at = fixtures.timestamp(now - UNREAD_SECONDS)
    return {**result, "comment": {**result["comment"], "created_at": at, "timestamp": at}}


def _with_unmoved_ids(item: Json) -> Json:
    ids: Json = {key: _UNMOVED for key in ("sequence_id", "continuation") if key in item}
    return {**item, **ids}


def _unmoved(content: Json, _: float) -> Json:
    """Give every result the same sequence ID at all times."""
    if not content.get("results"):
        return content
    first = content["results"][0]
    return _with_unmoved_ids(_first_result(content, _with_unmoved_ids(first)))


def _silent(content: Json, _: float) -> Json:
    """No result waits, and none arrives."""
    if "results" not in content:
        return content
    return {**_with_unmoved_ids(content), "results": []}


def _without_user(content: Json, _: float) -> Json:
    if "user" not in content:
        return content
    return {key: value for key, value in content.items() if key != "user"}


def _user_emptied(content: Json, _: float) -> Json:
    return {**content, "user": {}} if "user" in content else content


def _permissions_lost(user: Json, _: float) -> Json:
    lost: Json = {project: [] for project in user.get("organisation_permissions", ())}
    return {**user, "organisation_permissions": lost, "global_permissions": []}


def _pinned_version_gone(stream: Json, _: float) -> Json:
    return {**stream, "model": {**(stream.get("model") or {}), "version": MISSING_VERSION}}


def _outdated(comment: Json, _: float) -> Json:
    return {**comment, "messages": [{"body": {"text": "An earlier text."}}]}


def _set(**values: object) -> Callable[[Json, float], Json]:
    return lambda item, _: {**item, **values}


def _long_untrained(status: Json, now: float) -> Json:
    return {
        **status,
        "training_completion_time": fixtures.timestamp(now - STALE_TRAINING_SECONDS),
    }


_ALL = (
    ContentFault(
        "integration_sync_error",
        "integrations are disabled by sync_error",
        _each("integrations", _disabled("sync_error")),
    ),
    ContentFault(
        "integration_disabled_by_user",
        "integrations are disabled by a user",
        _each("integrations", _disabled("user")),
    ),
    ContentFault(
        "integration_disabled_by_quota",
        "integrations are disabled by a quota",
        _each("integrations", _disabled("quota")),
    ),
    ContentFault(
        "mailbox_disabled",
        "the mailboxes of enabled integrations are disabled by sync_error",
        _each("integrations", _mailboxes_disabled),
    ),
    ContentFault(
        "mailbox_stale",
        "mailboxes were last synced eleven months ago",
        _each("keyed_sync_states", _long_unsynced),
    ),
    ContentFault("mailboxes_empty", "no mailbox was ever synced", _emptied("keyed_sync_states")),
    ContentFault(
        "inference_stuck",
        "the model's inference is stuck",
        _inside("dataset_status", _set(inference_stuck=True, inference_complete=False)),
    ),
    ContentFault(
        "model_stale",
        "the model was trained more than a year ago",
        _inside("dataset_status", _long_untrained),
    ),
    ContentFault(
        "model_rating_poor",
        "the model's rating is poor",
        _inside("validation", _set(model_rating={"score": 23.0, "quality": "poor"})),
    ),
    ContentFault("quota_used_up", "one quota is at 100 of 100", _each("quotas", _used(100, 100))),
    ContentFault(
        "quota_nearly_used_up", "one quota is at 92 of 100", _each("quotas", _used(100, 92))
    ),
    ContentFault("datasets_empty", "no datasets", _emptied("datasets")),
    ContentFault("sources_empty", "no sources", _emptied("sources")),
    ContentFault("projects_empty", "no projects", _emptied("projects")),
    ContentFault("streams_empty", "no streams", _emptied("streams")),
    ContentFault("integrations_empty", "no integrations", _emptied("integrations")),
    ContentFault("results_empty", "the stream has no results", _silent),
    ContentFault("predictions_empty", "no predictions", _emptied("predictions")),
    ContentFault(
        "stream_unread",
        "no robot reads the stream: its oldest result is three days old and stays the first",
        _unread,
    ),
    ContentFault("sequence_unmoved", "the stream's sequence_id does not move", _unmoved),
    ContentFault(
        "pinned_version_gone",
        "the stream's pinned model version does not exist",
        _each("streams", _pinned_version_gone),
    ),
    ContentFault(
        "user_missing", "an ok envelope without `user`", _without_user, "expectation_failed"
    ),
    ContentFault("user_empty", "a `user` without any key", _user_emptied),
    ContentFault(
        "comment_outdated", "comments are read with an earlier text", _inside("comment", _outdated)
    ),
    ContentFault(
        "permissions_lost",
        "the user has no permission in any project; routes respond as before",
        _inside("user", _permissions_lost),
    ),
)
CONTENT_FAULTS: Mapping[str, ContentFault] = MappingProxyType({f.name: f for f in _ALL})
