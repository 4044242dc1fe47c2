"""Routes of sources, their comments and documents, and of buckets and their e-mails. Pure.

Comments that clients write are stored. `sync` counts what it changed. `PUT .../comments` does not
overwrite a comment without its latest `context` (an optimistic lock): the status, 409, is assumed.
Which tags of e-mail transforms are valid is assumed too.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from prober.simulator import fixtures
from prober.simulator.api import Call, Route
from prober.simulator.fixtures import Json
from prober.simulator.http import Response
from prober.simulator.resources import ApiError, full_name

Content = Mapping[str, object]
MAX_COMMENTS = 16_384
MAX_DELETED = 128
MAX_PAGE, DEFAULT_PAGE = 256, 64
_TRANSFORM_TAG = re.compile(r"[a-z0-9-]+\.\d+\.[A-Z0-9]{8}")
_COUNTS = ("new", "updated", "updated_properties_only", "updated_text_changed", "unchanged")


# Sources


def _sources(call: Call) -> Content:
    return {"sources": call.visible(call.resources.sources, "sources-read")}


def _sources_of(call: Call) -> Content:
    return {"sources": call.resources.sources.in_project(call.text("project"))}


def _checked(sent: Json) -> Json:
    """Return the keys of a source that were sent. Raises ApiError 422 for an invalid tag."""
    tag = sent.get("email_transform_tag")
    if tag is not None and (
        not _TRANSFORM_TAG.fullmatch(str(tag)) or str(tag).startswith("not-a-valid")
    ):
        raise ApiError(422, f"The value '{tag}' is not a valid transform tag.")
    return {key: value for key, value in sent.items() if value is not None}


def _create_source(call: Call) -> Content:
    name, sent = call.text("source"), _checked(call.sent_object("source"))
    call.resources.projects.named(name.partition("/")[0])
    at = fixtures.timestamp(call.now)
    times = {"created_at": at, "updated_at": at, "last_modified": at}
    created = {**fixtures.source(call.tenant, name), "title": "", **sent, **times}
    return {"source": call.resources.sources.create(created)}


def _update_source(call: Call) -> Content:
    sent = _checked(call.sent_object("source"))
    return {"source": call.resources.sources.update(full_name(call.source), sent, call.now)}


def _delete_source(call: Call) -> Content:
    name = full_name(call.source)
    call.resources.sources.delete(name)
    call.resources.comments.pop(name, None)
    return {}


def _source_statistics(call: Call) -> Content:
    return {"statistics": {"num_comments": _number_of_comments(call, call.source)}}


def _number_of_comments(call: Call, source: Json) -> int:
    """Count comments: the source of the fixtures has many more than can be read."""
    stored = len(call.resources.comments.get(full_name(source), {}))
    is_fixture = full_name(source) == f"{fixtures.PROJECT}/{fixtures.SOURCE}"
    return stored + (fixtures.QUOTAS["comments"][1] - 1 if is_fixture else 0)


# Comments


def _comment(call: Call) -> Content:
    source = full_name(call.source)
    return {"comment": call.resources.read_comment(source, call.text("comment"), call.now)}


def _comments(call: Call) -> Content:
    """Return a page of comments. The continuation is the number of comments before the next."""
    found = call.resources.readable_comments(full_name(call.source), call.now)
    for key, is_after in (("from_timestamp", True), ("to_timestamp", False)):
        if key in call.query:
            limit = time_of(call.query[key][0])
            times = [(time_of(str(each["timestamp"])), each) for each in found]
            found = [each for at, each in times if (at >= limit if is_after else at <= limit)]
    return page_of(found, "comments", call)


def page_of(found: list[Json], key: str, call: Call) -> Content:
    """Return a page and, unless it is the last, the continuation of the next."""
    limit = call.limit(DEFAULT_PAGE, MAX_PAGE)
    sent = call.query.get("after") or call.query.get("continuation")
    first = str(sent[0] if sent else call.body.get("continuation") or 0)
    if not first.isdecimal():
        raise ApiError(400, "the continuation is not valid")
    until = int(first) + limit
    page = {key: found[int(first) : until]}
    return page if until >= len(found) else {**page, "continuation": str(until)}


def time_of(text: str) -> datetime:
    """Return a time that a client sent. Raises ApiError 400."""
    try:
        read = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError as error:
        raise ApiError(400, f"'{text}' is not a 'date-time'") from error
    return read if read.tzinfo is not None else read.replace(tzinfo=UTC)


def _sent_comments(call: Call) -> list[Json]:
    sent = call.sent_objects("comments")
    if len(sent) > MAX_COMMENTS:
        raise ApiError(400, f"'comments' has more than {MAX_COMMENTS} items")
    for each in sent:
        for key in ("id", "timestamp", "messages"):
            if key not in each:
                raise ApiError(400, f"'{key}' is a required property")
        time_of(str(each["timestamp"]))
    return sent


def _put_comments(call: Call) -> Content:
    source, sent = call.source, _sent_comments(call)
    stored = call.resources.comments.get(full_name(source), {})
    if any(each["id"] in stored and "context" not in each for each in sent):
        raise ApiError(409, "the comment exists; its latest 'context' is needed to overwrite it")
    for each in sent:
        call.resources.write_comment(source, each, call.now)
    return {}


def _sync(call: Call) -> Content:
    return _written(call, _sent_comments(call))


def _written(call: Call, comments: list[Json]) -> dict[str, object]:
    results = [call.resources.write_comment(call.source, each, call.now) for each in comments]
    counts = {name: results.count(name) for name in _COUNTS}
    return {**counts, "updated_text_changed": counts["updated"]}


def _sync_raw_emails(call: Call) -> Content:
    comments = [_of_raw_email(each, call) for each in call.sent_objects("documents")]
    written = _written(call, comments)
    return {**written, "comments": comments} if call.body.get("include_comments") else written


def _of_raw_email(document: Json, call: Call) -> Json:
    email = document.get("raw_email")
    body = email.get("body") if isinstance(email, dict) else None
    if not isinstance(body, dict):
        raise ApiError(400, "'raw_email' is a required property")
    text = str(body.get("plain") or body.get("html") or "")
    digest = hashlib.sha256(str(document).encode()).hexdigest()[:16]
    return {
        "id": document.get("comment_id") or digest,
        "timestamp": fixtures.timestamp(call.now),
        "messages": [{"body": {"text": text}}],
        "user_properties": document.get("user_properties", {}),
    }


def _delete_comments(call: Call) -> Content:
    stored = call.resources.comments.get(full_name(call.source), {})
    for comment_id in _ids(call):
        stored.pop(comment_id, None)
    return {}


def _ids(call: Call) -> list[str]:
    found = call.query.get("id", [])
    if not 1 <= len(found) <= MAX_DELETED:
        raise ApiError(400, f"between 1 and {MAX_DELETED} ids are needed")
    return found


# Files


def _put_audio(call: Call) -> Content:
    call.resources.read_comment(full_name(call.source), call.text("comment"), call.now)
    return {}


def _put_attachment(call: Call) -> Content:
    call.resources.read_comment(full_name(call.source), call.text("comment"), call.now)
    content_hash = hashlib.sha256(call.request.body).hexdigest()
    call.resources.attachments[content_hash] = call.request.body
    return {"content_hash": content_hash}


def _put_document(call: Call) -> Content:
    identifier = hashlib.sha256(call.request.body).hexdigest()[:16]
    call.resources.documents[f"{call.source['id']}.{identifier}"] = call.request.body
    return {"comment_id": identifier, "attachment_ref": identifier}


def _document(call: Call) -> Response:
    return _bytes(call.resources.documents.get(f"{call.source['id']}.{call.text('comment')}"))


def _attachment(call: Call) -> Response:
    return _bytes(call.resources.attachments.get(call.text("rest")))


def _bytes(content: bytes | None) -> Response:
    if content is None:
        raise ApiError(404)
    return Response(200, (("Content-Type", "application/octet-stream"),), content)


# Buckets


def _stored_emails(call: Call) -> dict[str, Json]:
    return call.resources.emails.get(full_name(call.bucket), {})


def _sync_keys(call: Call) -> list[str]:
    return call.resources.sync_states.get(call.bucket["id"], [])


def _buckets(call: Call) -> Content:
    return {"buckets": call.visible(call.resources.buckets, "buckets-read")}


def _buckets_of(call: Call) -> Content:
    return {"buckets": call.resources.buckets.in_project(call.text("project"))}


def _create_bucket(call: Call) -> Content:
    name, sent = call.text("bucket"), call.sent_object("bucket")
    call.resources.projects.named(name.partition("/")[0])
    created = {
        **fixtures.bucket(call.tenant, name),
        **sent,
        "created_at": fixtures.timestamp(call.now),
    }
    return {"bucket": call.resources.buckets.create(created)}


def _update_bucket(call: Call) -> Content:
    name, sent = full_name(call.bucket), call.sent_object("bucket")
    return {"bucket": call.resources.buckets.update(name, sent, call.now)}


def _delete_bucket(call: Call) -> Content:
    name = full_name(call.bucket)
    call.resources.buckets.delete(name)
    call.resources.emails.pop(name, None)
    return {}


def _bucket_statistics(call: Call) -> Content:
    stored = _stored_emails(call)
    return {"statistics": {"count": {"kind": "exact", "value": len(stored)}}}


def _sync_states(call: Call) -> Content:
    keys = _sync_keys(call)
    return {"keyed_sync_states": [fixtures.sync_state(call.now) for _ in keys]}


def _sync_state(call: Call) -> Content:
    if call.text("rest") not in _sync_keys(call):
        raise ApiError(404)
    return {"keyed_sync_state": fixtures.sync_state(call.now)}


def _sync_state_ids(call: Call) -> Content:
    keys = _sync_keys(call)
    return {"keyed_sync_state_ids": keys if call.sent("mailbox_name") == fixtures.MAILBOX else []}


def _delete_sync_state(call: Call) -> Content:
    _sync_state(call)
    call.resources.sync_states[call.bucket["id"]].remove(call.text("rest"))
    return {}


def _emails(call: Call) -> Content:
    """Return a page of e-mails, as `POST .../emails` does."""
    stored = _stored_emails(call)
    return page_of(list(stored.values()), "emails", call)


def _query_emails(call: Call) -> Content:
    mailbox = call.body.get("mailbox_name")
    stored = _stored_emails(call).values()
    page = page_of([e for e in stored if mailbox in {None, e["mailbox"]}], "emails", call)
    return {**page, "more_results": "continuation" in page}


def _email(call: Call) -> Content:
    stored = _stored_emails(call)
    return {"emails": [stored[each] for each in call.query.get("id", []) if each in stored]}


def _put_emails(call: Call) -> Content:
    stored = call.resources.emails.setdefault(full_name(call.bucket), {})
    at = fixtures.timestamp(call.now)
    for each in call.sent_objects("emails"):
        if "id" not in each:
            raise ApiError(400, "'id' is a required property")
        new = {"attachments": [], "metadata": None, **each, "created_at": at, "updated_at": at}
        stored[each["id"]] = new
    return {}


def _delete_emails(call: Call) -> Content:
    stored = _stored_emails(call)
    for email_id in _ids(call):
        stored.pop(email_id, None)
    return {}


_SOURCES, _READ_SOURCES = "/api/v1/sources", ("sources-read",)
_SOURCE, _ADMIN = f"{_SOURCES}/{{source}}", ("sources-admin",)
_ADD = ("sources-add-comments",)
_PRIVATE_SOURCE = "/api/_private/sources/{source}"
_BUCKETS, _READ_BUCKETS = "/api/_private/buckets", ("buckets-read",)
_BUCKET, _WRITE_BUCKETS = f"{_BUCKETS}/{{bucket}}", ("buckets-write",)
_READ_EMAILS = ("buckets-items-read",)

ROUTES = (
    Route("GET", _SOURCES, _sources, _READ_SOURCES),
    Route("GET", f"{_SOURCES}/{{project}}", _sources_of, _READ_SOURCES),
    Route("GET", _SOURCE, lambda call: {"source": call.source}, _READ_SOURCES),
    Route("PUT", _SOURCE, _create_source, _ADMIN),
    Route("POST", _SOURCE, _update_source, _ADMIN),
    Route("DELETE", _SOURCE, _delete_source, _ADMIN),
    Route("POST", f"{_SOURCE}/statistics", _source_statistics, _READ_SOURCES),
    Route("GET", f"{_SOURCE}/comments/{{comment}}", _comment, _READ_SOURCES),
    Route("DELETE", f"{_SOURCE}/comments", _delete_comments, _ADMIN),
    Route("POST", f"{_SOURCE}/sync", _sync, _ADD),
    Route("POST", f"{_SOURCE}/sync-raw-emails", _sync_raw_emails, _ADD),
    Route("GET", f"{_PRIVATE_SOURCE}/comments", _comments, _READ_SOURCES),
    Route("PUT", f"{_PRIVATE_SOURCE}/comments", _put_comments, _ADD),
    Route("PUT", f"{_PRIVATE_SOURCE}/comments/{{comment}}/audio", _put_audio, _ADD),
    Route(
        "PUT",
        f"{_PRIVATE_SOURCE}/comments/{{comment}}/attachments/[0-9]+",
        _put_attachment,
        ("files-write",),
    ),
    Route("PUT", f"{_PRIVATE_SOURCE}/documents", _put_document, _ADD),
    Route("GET", f"{_PRIVATE_SOURCE}/documents/{{comment}}", _document, _READ_SOURCES),
    Route("GET", "/api/v1/attachments/{rest}", _attachment, _READ_SOURCES),
    Route("GET", _BUCKETS, _buckets, _READ_BUCKETS),
    Route("GET", f"{_BUCKETS}/{{project}}", _buckets_of, _READ_BUCKETS),
    Route("GET", _BUCKET, lambda call: {"bucket": call.bucket}, _READ_BUCKETS),
    Route("PUT", _BUCKET, _create_bucket, _WRITE_BUCKETS),
    Route("POST", _BUCKET, _update_bucket, _WRITE_BUCKETS),
    Route("DELETE", _BUCKET, _delete_bucket, _WRITE_BUCKETS),
    Route("GET", f"{_BUCKET}/statistics", _bucket_statistics, _READ_BUCKETS),
    Route("GET", f"{_BUCKET}/keyed-sync-states/", _sync_states, _READ_BUCKETS),
    Route("POST", f"{_BUCKET}/keyed-sync-state-ids", _sync_state_ids, _READ_BUCKETS),
    Route("GET", f"{_BUCKET}/keyed-sync-state/{{rest}}", _sync_state, _READ_BUCKETS),
    Route("DELETE", f"{_BUCKET}/keyed-sync-state/{{rest}}", _delete_sync_state, _WRITE_BUCKETS),
    Route("GET", f"{_BUCKET}/emails", _email, _READ_EMAILS),
    Route("POST", f"{_BUCKET}/emails", _emails, _READ_EMAILS),
    Route("POST", f"{_BUCKET}/emails/query", _query_emails, _READ_EMAILS),
    Route("PUT", f"{_BUCKET}/emails", _put_emails, ("buckets-append",)),
    Route("DELETE", f"{_BUCKET}/emails", _delete_emails, _WRITE_BUCKETS),
)
