"""The data of a simulated tenant: one of each resource, in the official client's formats. Pure.

Names are the same in every tenant, so that examples work everywhere; IDs differ.
"""

import base64
import hashlib
from datetime import UTC, datetime
from typing import Any

PROJECT, DATASET, SOURCE, STREAM, BUCKET = "ops", "mail", "mailbox", "triage", "inbox"
COMMENT = "c0ffee0123456789"
MODEL_VERSION = 7
MODEL_VERSIONS = (5, 6, 7)
MODEL_FAMILIES = (
    "english",
    "english-dev",
    "german",
    "german-dev",
    "random",
    "transformer-english",
    "transformer-xlm",
)
MAILBOX = "support@example.com"
INTEGRATION = "exchange"
ATTACHMENT = "simulated-attachment"
ATTACHMENT_CONTENT = b"A parcel."
QUOTAS = {
    "sources": (100, 3),
    "datasets": (100, 2),
    "comments": (1_000_000, 48_210),
    "users": (500, 12),
}
FIRST_QUOTA = next(iter(QUOTAS))
PROJECT_PERMISSIONS = (
    "appliance-config-read",
    "buckets-append",
    "buckets-items-read",
    "buckets-read",
    "buckets-write",
    "datasets-admin",
    "datasets-export",
    "datasets-review",
    "files-write",
    "integrations-read",
    "integrations-write",
    "sources-add-comments",
    "sources-admin",
    "sources-read",
    "triggers-admin",
    "triggers-consume",
    "triggers-read",
    "triggers-write",
    "users-read",
    "users-write",
    "voc",
    "voc-readonly",
)
GLOBAL_PERMISSIONS = (
    "audit-read",
    "projects-admin",
    "tenant-quota-read",
    "tenant-quota-write",
    "tenant-users-read",
)
_CREATED_AT = "2026-01-05T08:00:00.123450+00:00"
_UPDATED_AT = "2026-06-01T12:30:00+00:00"

SYNC_AGE_SECONDS = 30.0
TRAINING_AGE_SECONDS = 2 * 86_400.0
RESULT_SECONDS = 60.0
"""How often the stream gets a result, which a simulated robot consumes until the next one."""

Json = dict[str, Any]


def timestamp(epoch_seconds: float) -> str:
    """Return a time in ISO 8601, as the API writes it."""
    return datetime.fromtimestamp(epoch_seconds, UTC).isoformat(timespec="microseconds")


def sequence_id(tenant: str, number: int) -> str:
    """Return the sequence ID of a stream's result: opaque, 32 characters."""
    digest = hashlib.sha256(f"{tenant}/sequence/{number}".encode()).digest()
    return base64.urlsafe_b64encode(digest[:24]).decode()


def identifier(*names: str) -> str:
    """Return the ID of a resource: 16 hex digits."""
    return hashlib.sha256("/".join(names).encode()).hexdigest()[:16]


def _id_of(tenant: str, kind: str, name: str, fixture: str) -> str:
    """Return the ID of a resource. The fixture of each kind is known by its kind alone."""
    return identifier(tenant, kind) if name == fixture else identifier(tenant, kind, name)


def user(tenant: str, email: str) -> Json:
    """Return a user, without permissions."""
    return {
        "id": identifier(tenant, "user"),
        "username": email.partition("@")[0],
        "email": email,
        "created": _CREATED_AT,
        "global_permissions": [],
        "organisation_permissions": {},
        "sso_global_permissions": [],
        "verified": True,
    }


def project(tenant: str, name: str = PROJECT, title: str = "Operations") -> Json:
    """Return a project."""
    return {
        "id": _id_of(tenant, "project", name, PROJECT),
        "name": name,
        "title": title,
        "description": "",
        "created_at": _CREATED_AT,
        "updated_at": _UPDATED_AT,
        "user_auto_join": False,
    }


def source(tenant: str, full_name: str = f"{PROJECT}/{SOURCE}") -> Json:
    """Return a source."""
    owner, _, name = full_name.partition("/")
    return {
        "id": _id_of(tenant, "source", full_name, f"{PROJECT}/{SOURCE}"),
        "_kind": "unknown",
        "owner": owner,
        "name": name,
        "language": "en",
        "title": "Shared mailbox",
        "description": "",
        "should_translate": False,
        "sensitive_properties": [],
        "created_at": _CREATED_AT,
        "updated_at": _UPDATED_AT,
        "last_modified": _UPDATED_AT,
        "bucket_id": None,
    }


def dataset(tenant: str, full_name: str = f"{PROJECT}/{DATASET}") -> Json:
    """Return a dataset with its small taxonomy."""
    owner, _, name = full_name.partition("/")
    labels = [{"name": name} for name in ("Complaint", "Complaint > Delay", "Urgent")]
    return {
        "id": _id_of(tenant, "dataset", full_name, f"{PROJECT}/{DATASET}"),
        "owner": owner,
        "name": name,
        "title": "Mail",
        "description": "",
        "created": _CREATED_AT,
        "last_modified": _UPDATED_AT,
        "model_family": "english",
        "source_ids": [],
        "has_sentiment": False,
        "limited_access": False,
        "entity_defs": [],
        "general_fields": [],
        "label_groups": [{"name": "default", "label_defs": labels}],
        "label_defs": labels,
        "_label_properties": [],
        "_timezone": "UTC",
        "_preferred_locales": [],
        "_dataset_flags": [],
        "_model_config": {"kind": "cm"},
    }


def stream(tenant: str, dataset_id: str, name: str = STREAM) -> Json:
    """Return a stream."""
    return {
        "id": _id_of(tenant, "stream", name, STREAM),
        "dataset_id": dataset_id,
        "name": name,
        "title": "Triage",
        "description": "",
        "created_at": _CREATED_AT,
        "updated_at": _UPDATED_AT,
        "comment_filter": {},
        "model": {"version": MODEL_VERSION, "label_thresholds": []},
    }


def comment(tenant: str, created_at: str = _CREATED_AT) -> Json:
    """Return the one comment."""
    return {
        "id": COMMENT,
        "uid": f"{identifier(tenant, 'source')}.{COMMENT}",
        "timestamp": created_at,
        "created_at": created_at,
        "messages": [
            {
                "body": {"text": "Where is my parcel?"},
                "subject": {"text": "Delivery"},
                "from": "customer@example.com",
                "to": ["support@example.com"],
            }
        ],
        "user_properties": {"string:Channel": "mail", "number:Priority": 2},
        "attachments": [
            {
                "name": "parcel.txt",
                "size": len(ATTACHMENT_CONTENT),
                "content_type": "text/plain",
                "attachment_reference": ATTACHMENT,
            }
        ],
    }


def bucket(tenant: str, full_name: str = f"{PROJECT}/{BUCKET}") -> Json:
    """Return a bucket, to which mailboxes are synchronised."""
    owner, _, name = full_name.partition("/")
    return {
        "id": _id_of(tenant, "bucket", full_name, f"{PROJECT}/{BUCKET}"),
        "name": name,
        "owner": owner,
        "created_at": _CREATED_AT,
    }


def email(tenant: str) -> Json:
    """Return the one e-mail of the bucket."""
    return {
        "id": identifier(tenant, "email"),
        "mailbox": MAILBOX,
        "timestamp": _CREATED_AT,
        "mime_content": "Subject: Delivery\r\n\r\nWhere is my parcel?",
        "metadata": {"folder": ["Inbox"]},
        "attachments": [],
        "created_at": _CREATED_AT,
        "updated_at": _UPDATED_AT,
    }


def sync_state(now: float) -> Json:
    """Return the synchronisation state of the mailbox, which was synchronised just now."""
    synced_at = timestamp(now - SYNC_AGE_SECONDS)
    return {
        "mailbox_name": MAILBOX,
        "folder_id": None,
        "folder_path": ["Inbox"],
        "status": "UP_TO_DATE",
        "synced_until": synced_at,
        "last_synced_at": synced_at,
    }


def integration(tenant: str, full_name: str = f"{PROJECT}/{INTEGRATION}") -> Json:
    """Return an Exchange integration."""
    owner, _, name = full_name.partition("/")
    return {
        "id": _id_of(tenant, "integration", full_name, f"{PROJECT}/{INTEGRATION}"),
        "owner": owner,
        "name": name,
        "title": "Exchange",
        "type": "exchange_online",
        "enabled": True,
        "disabled_reason": None,
        "created_at": _CREATED_AT,
        "updated_at": _UPDATED_AT,
        "configuration": {"mailboxes": [_mailbox()]},
    }


def _mailbox() -> Json:
    return {
        "email": MAILBOX,
        "enabled": True,
        "bucket_specification": {"project_name": PROJECT, "name": BUCKET, "title": "Inbox"},
    }


def quotas() -> list[Json]:
    """Return the tenant's quotas."""
    return [
        {"quota_kind": kind, "hard_limit": limit, "current_max_usage": used}
        for kind, (limit, used) in QUOTAS.items()
    ]


def audit_events(tenant: str, email: str) -> Json:
    """Return the audit events, with the users and resources that they refer to."""
    tenant_id, project_id = identifier(tenant, "tenant"), identifier(tenant, "project")
    user_id, name = identifier(tenant, "user"), email.partition("@")[0]
    return {
        "audit_events": [
            {
                "event_id": identifier(tenant, "event"),
                "event_type": "simulated_event",
                "timestamp": _UPDATED_AT,
                "actor_user_id": user_id,
                "actor_tenant_id": tenant_id,
                "tenant_ids": [tenant_id],
                "dataset_ids": [identifier(tenant, "dataset")],
                "project_ids": [project_id],
            }
        ],
        "tenants": [{"id": tenant_id, "name": tenant}],
        "users": [
            {
                "id": user_id,
                "display_name": name,
                "username": name,
                "email": email,
                "tenant_id": tenant_id,
            }
        ],
        "projects": [{"id": project_id, "name": PROJECT, "tenant_id": tenant_id}],
        "datasets": [
            {
                "id": identifier(tenant, "dataset"),
                "name": DATASET,
                "project_id": project_id,
                "title": "Mail",
            }
        ],
        "sources": [],
        "triggers": [],
    }


def model_status(now: float) -> Json:
    """Return the status of the model: trained two days ago, not training."""
    return {
        "training_complete": True,
        "validation_complete": True,
        "training_completion_time": timestamp(now - TRAINING_AGE_SECONDS),
        "inference_complete": True,
        "total_comments_with_text": 48_210,
        "inference_stats_by_version": {},
        "inference_stuck": False,
        "operation": None,
    }


def validation(version: int = MODEL_VERSION) -> Json:
    """Return a model's rating."""
    return {
        "version": version,
        "model_rating": {"score": 82.0, "quality": "good"},
        "reviewed_size": 1_250,
    }


def model(version: int = MODEL_VERSION) -> Json:
    """Return a trained model."""
    return {
        "version": version,
        "trained_time": _UPDATED_AT,
        "pinned": True,
        "validated": True,
    }
