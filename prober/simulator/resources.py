"""What a simulated tenant contains, and what its clients have written. No I/O.

Resources are JSON objects, as the API returns them. Those of projects are found by full name
(`project/name`) or by ID. Written comments take time: until they can be read, are predicted and are
in the streams. How the real platform treats an update meanwhile is not documented; assumed is that
the earlier text is read, and that there is no prediction.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from prober.simulator import fixtures
from prober.simulator.fixtures import Json
from prober.simulator.permissions import Permissions


class ApiError(Exception):
    """A request that the platform refuses, with the status and the message of its envelope."""

    def __init__(self, status: int, message: str | None = None) -> None:
        super().__init__(status, message)
        self.status, self.message = status, message


class Collection:
    """The resources of one kind, by full name."""

    def __init__(self, items: Iterable[Json]) -> None:
        self._items = {full_name(item): item for item in items}

    def __iter__(self) -> Iterator[Json]:
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, name: str) -> bool:
        return name in self._items

    def named(self, name: str) -> Json:
        """Return a resource by its full name. Raises ApiError 404."""
        if name not in self._items:
            raise ApiError(404)
        return self._items[name]

    def with_id(self, identifier: str) -> Json:
        """Return a resource by its ID. Raises ApiError 404."""
        found = next((item for item in self if item["id"] == identifier), None)
        if found is None:
            raise ApiError(404)
        return found

    def in_project(self, project: str) -> list[Json]:
        """Return the resources of a project."""
        return [item for item in self if item["owner"] == project]

    def create(self, item: Json) -> Json:
        """Add a resource. Raises ApiError 409 if the name is taken (the status is assumed)."""
        if full_name(item) in self._items:
            raise ApiError(409, f"'{full_name(item)}' already exists")
        return self.put(item)

    def put(self, item: Json) -> Json:
        """Add or replace a resource."""
        self._items[full_name(item)] = item
        return item

    def update(self, name: str, changes: Json, now: float) -> Json:
        """Change keys of a resource. Raises ApiError 404."""
        item = self.named(name)
        time_key = "last_modified" if "last_modified" in item else "updated_at"
        return self.put({**item, **changes, time_key: fixtures.timestamp(now)})

    def delete(self, name: str) -> None:
        """Delete a resource, if it exists."""
        self._items.pop(name, None)


def full_name(item: Json) -> str:
    """Return `project/name`, or the name of a resource that is in no project."""
    return f"{item['owner']}/{item['name']}" if "owner" in item else str(item["name"])


@dataclass(frozen=True, slots=True)
class StoredComment:
    """A comment and when it was written, in epoch seconds; `previous` is its text before that."""

    comment: Json
    written_at: float = 0.0
    previous: Json | None = None


@dataclass(slots=True)
class Processing:
    """How long a written comment takes, in seconds: to be read, predicted, and in the streams."""

    readable_seconds: float = 0.0
    predicted_seconds: float = 0.3
    streamed_seconds: float = 0.5


@dataclass(slots=True)
class StreamState:
    """What waits in a stream.

    The stream of the fixtures gets a result each minute, which a simulated robot consumes before
    the next. Comments that clients write wait until a client advances past them.
    """

    stream: Json
    has_traffic: bool = False
    waiting: list[tuple[int, str]] = field(default_factory=list)
    """Sequence numbers and comment UIDs."""
    traffic_position: int = 0
    """The number of the last result of the traffic that a client has consumed."""
    position: int = 0
    """The last sequence number that a client has consumed."""
    exceptions: list[Json] = field(default_factory=list)


class TenantResources:
    """Everything in one tenant."""

    def __init__(self, tenant: str, email: str) -> None:
        self.tenant = tenant
        self.permissions = Permissions({fixtures.PROJECT})
        bucket, source = fixtures.bucket(tenant), fixtures.source(tenant)
        source["bucket_id"] = bucket["id"]
        dataset = fixtures.dataset(tenant)
        dataset["source_ids"] = [source["id"]]
        self.projects = Collection([fixtures.project(tenant)])
        self.buckets = Collection([bucket])
        self.sources = Collection([source])
        self.datasets = Collection([dataset])
        self.integrations = Collection([fixtures.integration(tenant)])
        self.users: dict[str, Json] = {}
        self.put_user(fixtures.user(tenant, email))
        stream = fixtures.stream(tenant, dataset["id"])
        self.streams = {
            full_name(dataset): {fixtures.STREAM: StreamState(stream, has_traffic=True)}
        }
        comment = fixtures.comment(tenant)
        self.comments = {full_name(source): {fixtures.COMMENT: StoredComment(comment)}}
        email_of_bucket = fixtures.email(tenant)
        self.emails = {full_name(bucket): {email_of_bucket["id"]: email_of_bucket}}
        self.sync_states = {bucket["id"]: [fixtures.identifier(tenant, "sync-state")]}
        self.quotas = {quota["quota_kind"]: quota for quota in fixtures.quotas()}
        self.attachments = {fixtures.ATTACHMENT: fixtures.ATTACHMENT_CONTENT}
        self.documents: dict[str, bytes] = {}
        self.annotations: dict[str, dict[str, Json]] = {}
        self.processing = Processing()
        self._sequence = 0

    def put_user(self, user: Json) -> Json:
        """Add or replace a user."""
        self.users[user["id"]] = user
        return user

    def current_user(self, email: str) -> Json:
        """Return the user of the token, with permissions."""
        user = fixtures.user(self.tenant, email)
        return {
            **user,
            "global_permissions": self.permissions.globally(),
            "organisation_permissions": self.permissions.by_project(),
        }

    # Comments

    def write_comment(self, source: Json, new: Json, now: float) -> str:
        """Store a comment. Returns "new", "updated" or "unchanged", as `sync` counts them."""
        of_source = self.comments.setdefault(full_name(source), {})
        existing = of_source.get(new["id"])
        written = {"user_properties": {}, "attachments": [], **new}
        written["uid"] = f"{source['id']}.{new['id']}"
        written["created_at"] = fixtures.timestamp(now)
        if existing is None:
            of_source[new["id"]] = StoredComment(written, now)
        elif _content(existing.comment) == _content(written):
            return "unchanged"
        else:
            of_source[new["id"]] = StoredComment(written, now, existing.comment)
        self._append_to_streams(source, written["uid"])
        return "new" if existing is None else "updated"

    def read_comment(self, source: str, comment_id: str, now: float) -> Json:
        """Return a comment, or its earlier text while the new one is not readable.

        Raises ApiError 404.
        """
        stored = self.comments.get(source, {}).get(comment_id)
        if stored is None:
            raise ApiError(404)
        if now >= stored.written_at + self.processing.readable_seconds:
            return stored.comment
        if stored.previous is None:
            raise ApiError(404)
        return stored.previous

    def readable_comments(self, source: str, now: float) -> list[Json]:
        """Return the readable comments of a source, oldest first."""
        found = []
        for comment_id in self.comments.get(source, {}):
            try:
                found.append(self.read_comment(source, comment_id, now))
            except ApiError:
                continue
        return sorted(found, key=lambda comment: str(comment["timestamp"]))

    def stored_with_uid(self, uid: str) -> StoredComment | None:
        """Return a comment by its UID, or None."""
        for of_source in self.comments.values():
            for stored in of_source.values():
                if stored.comment["uid"] == uid:
                    return stored
        return None

    def is_predicted(self, uid: str, now: float) -> bool:
        """Return whether a comment exists and has its prediction."""
        stored = self.stored_with_uid(uid)
        return stored is not None and now >= stored.written_at + self.processing.predicted_seconds

    # Streams

    def stream(self, dataset: str, name: str) -> StreamState:
        """Return a stream. Raises ApiError 404."""
        state = self.streams.get(dataset, {}).get(name)
        if state is None:
            raise ApiError(404)
        return state

    def waiting_results(self, state: StreamState, now: float) -> list[tuple[int, Json]]:
        """Return what waits in a stream: sequence numbers and comments, oldest first."""
        waiting = []
        if state.has_traffic:
            number = traffic_number(now)
            if number > state.traffic_position:
                at = fixtures.timestamp(number * fixtures.RESULT_SECONDS)
                waiting.append((number, fixtures.comment(self.tenant, at)))
        for number, uid in state.waiting:
            stored = self.stored_with_uid(uid)
            if stored is None or now < stored.written_at + self.processing.streamed_seconds:
                continue
            waiting.append((number, stored.comment))
        return waiting

    def advance(self, state: StreamState, sequence_id: str, now: float) -> None:
        """Consume all results up to a sequence ID. Raises ApiError 400 if it is unknown."""
        numbers = {
            fixtures.sequence_id(self.tenant, number): number
            for number, _ in self.waiting_results(state, now)
        }
        current = self.sequence_id(state, now)
        if sequence_id not in numbers and sequence_id != current:
            raise ApiError(400, "sequence_id is not of this stream")
        consumed = numbers.get(sequence_id, state.position)
        state.position = consumed
        if consumed >= _FIRST_WRITTEN:
            state.waiting = [pair for pair in state.waiting if pair[0] > consumed]
        if state.has_traffic:
            state.traffic_position = min(max(consumed, state.traffic_position), traffic_number(now))

    def reset(self, state: StreamState, to_comment_created_at: float, now: float) -> None:
        """Let a stream begin again with the comments that were created since a time."""
        state.traffic_position = state.position = 0
        dataset = self.datasets.with_id(state.stream["dataset_id"])
        for source in self.sources:
            if source["id"] in dataset["source_ids"]:
                for stored in self.comments.get(full_name(source), {}).values():
                    if to_comment_created_at <= stored.written_at <= now:
                        self._append_to_stream(state, stored.comment["uid"])

    def sequence_id(self, state: StreamState, now: float) -> str:
        """Return the sequence ID of the position of a stream, which moves with its traffic."""
        consumed = max(traffic_number(now) - 1, state.traffic_position)
        number = consumed if state.has_traffic else state.position
        return fixtures.sequence_id(self.tenant, number)

    def _append_to_streams(self, source: Json, uid: str) -> None:
        """Append a comment to the streams of all datasets of its source. An update moves it."""
        for dataset in self.datasets:
            if source["id"] not in dataset["source_ids"]:
                continue
            for state in self.streams.get(full_name(dataset), {}).values():
                self._append_to_stream(state, uid)

    def _append_to_stream(self, state: StreamState, uid: str) -> None:
        self._sequence += 1
        kept = [pair for pair in state.waiting if pair[1] != uid]
        state.waiting = [*kept, (_FIRST_WRITTEN + self._sequence, uid)]


_FIRST_WRITTEN = 10**12
"""Sequence numbers of written comments are above those of the traffic, which count minutes."""


def traffic_number(now: float) -> int:
    """Return the sequence number of the present result of a stream with traffic."""
    return int(now // fixtures.RESULT_SECONDS)


def _content(comment: Json) -> Json:
    return {key: comment.get(key) for key in ("timestamp", "messages", "user_properties")}
