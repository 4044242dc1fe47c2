"""Routes of datasets, their models, predictions, annotations and streams. Pure.

A model version that does not exist responds 404; a stream cannot be pinned to one (422). Both
statuses are assumed.
"""

import csv
import io
from collections.abc import Iterable, Mapping

from prober.simulator import fixtures
from prober.simulator.api import Call, Route
from prober.simulator.fixtures import Json
from prober.simulator.http import Response
from prober.simulator.resources import ApiError, StreamState, full_name
from prober.simulator.routes_of_sources import page_of, time_of

Content = Mapping[str, object]
MAX_FETCHED = 1024
_LABELS = [{"name": ["Urgent"], "probability": 0.93}]


# Datasets


def _datasets(call: Call) -> Content:
    return {"datasets": call.visible(call.resources.datasets, "voc-readonly")}


def _datasets_of(call: Call) -> Content:
    return {"datasets": call.resources.datasets.in_project(call.text("project"))}


def _checked(sent: Json, call: Call) -> Json:
    """Return the keys of a dataset that were sent. Raises ApiError 400 if one is not valid."""
    family = sent.get("model_family")
    if family is not None and family not in fixtures.MODEL_FAMILIES:
        raise ApiError(400, f"'{family}' is not one of {list(fixtures.MODEL_FAMILIES)}")
    for identifier in sent.get("source_ids") or ():
        call.resources.sources.with_id(str(identifier))
    kept = {key: value for key, value in sent.items() if value is not None}
    for key in ("copy_annotations_from", "_default_label_group_instructions"):
        kept.pop(key, None)
    if "entity_defs" in kept:
        kept["entity_defs"] = [_entity_def(each, call) for each in kept["entity_defs"]]
    return kept


def _entity_def(new: Json, call: Call) -> Json:
    identifier = fixtures.identifier(call.tenant, "entity-def", str(new.get("name")))
    return {"color": 0, "_entity_def_flags": [], **new, "id": identifier}


def _create_dataset(call: Call) -> Content:
    name, sent = call.text("dataset"), _checked(call.sent_object("dataset"), call)
    call.resources.projects.named(name.partition("/")[0])
    at = fixtures.timestamp(call.now)
    times = {"created": at, "last_modified": at}
    created = {**fixtures.dataset(call.tenant, name), "title": "", **sent, **times}
    return {"dataset": call.resources.datasets.create(created)}


def _create_ixp_dataset(call: Call) -> Content:
    name = str(call.sent_object("dataset").get("name"))
    created = fixtures.dataset(call.tenant, f"{fixtures.PROJECT}/{name}")
    created["_dataset_flags"] = ["ixp"]
    return {"dataset": call.resources.datasets.create(created)}


def _update_dataset(call: Call) -> Content:
    name, sent = full_name(call.dataset), _checked(call.sent_object("dataset"), call)
    return {"dataset": call.resources.datasets.update(name, sent, call.now)}


def _delete_dataset(call: Call) -> Content:
    name = full_name(call.dataset)
    call.resources.datasets.delete(name)
    call.resources.streams.pop(name, None)
    return {}


def _put_labels(call: Call) -> Content:
    dataset, group = call.dataset, call.text("rest")
    new = call.sent_objects("label_defs")
    groups = {each["name"]: each for each in dataset["label_groups"]}
    kept = {each["name"]: each for each in groups.get(group, {}).get("label_defs", ())}
    kept.update({each["name"]: each for each in new})
    groups[group] = {"name": group, "label_defs": list(kept.values())}
    changes = {"label_groups": list(groups.values())}
    call.resources.datasets.update(full_name(dataset), changes, call.now)
    return {}


def _label_groups(call: Call) -> Content:
    return {"label_groups": call.dataset["label_groups"]}


def _comments_of(call: Call) -> list[Json]:
    """Return the readable comments of all sources of a dataset."""
    ids = call.dataset["source_ids"]
    names = [full_name(source) for source in call.resources.sources if source["id"] in ids]
    readable = call.resources.readable_comments
    return [comment for name in names for comment in readable(name, call.now)]


def _statistics(call: Call) -> Content:
    is_fixture = full_name(call.dataset) == f"{fixtures.PROJECT}/{fixtures.DATASET}"
    more = fixtures.QUOTAS["comments"][1] - 1 if is_fixture else 0
    return {"statistics": {"num_comments": len(_comments_of(call)) + more, "label_counts": {}}}


def _summary(call: Call) -> Content:
    call.dataset  # noqa: B018 -- raises 404
    string = [{"full_name": "string:Channel", "values": [{"value": "mail"}]}]
    number = [{"full_name": "number:Priority"}]
    return {"summary": {"user_properties": {"string": string, "number": number}}}


def _query(call: Call) -> Content | Response:
    annotated = [_annotated(call, comment) for comment in _comments_of(call)]
    if call.request.headers.get("accept") == "text/csv":
        return _csv(comment["comment"] for comment in annotated)
    return page_of(annotated, "results", call)


def _csv(comments: Iterable[Json]) -> Response:
    written = io.StringIO()
    rows = csv.writer(written)
    rows.writerow(("id", "timestamp"))
    rows.writerows((comment["id"], comment["timestamp"]) for comment in comments)
    return Response(200, (("Content-Type", "text/csv"),), written.getvalue().encode())


def _recent(call: Call) -> Content:
    newest = [_annotated(call, comment) for comment in reversed(_comments_of(call))]
    return page_of(newest, "results", call)


# Annotations


def _annotated(call: Call, comment: Json) -> Json:
    stored = call.resources.annotations.get(full_name(call.dataset), {})
    none = {"labelling": [], "entities": {"assigned": [], "dismissed": []}}
    return {"comment": comment, **none, **stored.get(comment["uid"], {})}


def _annotations(call: Call) -> Content:
    """Return the annotated comments with the given UIDs, or those of a source, by pages."""
    comments = _comments_of(call)
    if "id" in call.query:
        wanted = call.query["id"]
        return {"results": [_annotated(call, c) for c in comments if c["uid"] in wanted]}
    [source_id] = call.query.get("source_id") or [""]
    of_source = [c for c in comments if str(c["uid"]).startswith(f"{source_id}.")]
    page = dict(page_of([_annotated(call, c) for c in of_source], "results", call))
    after = page.pop("continuation", None)
    results = page["results"]
    # The official client requests pages until one is empty, and each has another `after`.
    return {**page, "after": after or str(len(of_source))} if results else {**page, "after": None}


def _annotate(call: Call) -> Content:
    uid, name = call.text("comment"), full_name(call.dataset)
    found = next((c for c in _comments_of(call) if c["uid"] == uid), None)
    if found is None:
        raise ApiError(404)
    sent = {key: value for key, value in call.body.items() if key != "context"}
    for group in sent.get("labelling") or ():
        group.setdefault("assigned", [])
        group.setdefault("dismissed", [])
    call.resources.annotations.setdefault(name, {})[uid] = sent
    return _annotated(call, found)


# Models


def _version(call: Call) -> int:
    """Return the version that the path names. Raises ApiError 404 if it does not exist."""
    call.dataset  # noqa: B018 -- raises 404
    named = call.text("version")
    version = fixtures.MODEL_VERSION if named == "latest" else int(named)
    if version not in fixtures.MODEL_VERSIONS:
        raise ApiError(404)
    return version


def _models(call: Call) -> Content:
    call.dataset  # noqa: B018 -- raises 404
    return {
        "labellers": [fixtures.model(version) for version in reversed(fixtures.MODEL_VERSIONS)],
        "model_tags": _tags(call),
        "max_number_pinned_models": 100,
    }


def _tags(call: Call) -> list[Json]:
    at = call.dataset["last_modified"]
    return [{"name": "live", "version": fixtures.MODEL_VERSION, "updated_at": at}]


def _status(call: Call) -> Content:
    call.dataset  # noqa: B018 -- raises 404
    return {"dataset_status": fixtures.model_status(call.now)}


def _validation(call: Call) -> Content:
    version = _version(call)
    groups = call.dataset["label_groups"]
    return {"label_groups": groups, "validation": fixtures.validation(version)}


def _label_validation(call: Call) -> Content:
    _version(call)
    call.sent("label")
    numbers = [0.2, 0.5, 0.8]
    return {"label_validation": {"thresholds": numbers, "precisions": numbers, "recalls": numbers}}


def _predict_comments(call: Call) -> Content:
    """Return the predictions of stored comments. One that is not predicted yet is left out."""
    model = {"version": _version(call), "time": call.dataset["last_modified"]}
    uids = call.sent("uids")
    if not isinstance(uids, list):
        raise ApiError(400, "'uids' is not of type 'array'")
    predicted = [uid for uid in map(str, uids) if call.resources.is_predicted(uid, call.now)]
    return {
        "predictions": [{"uid": uid, "labels": _LABELS, "entities": []} for uid in predicted],
        "model": model,
    }


def _predict(call: Call) -> Content:
    model = {"version": _version(call), "time": call.dataset["last_modified"]}
    documents = call.sent_objects("documents")
    return {
        "predictions": [_LABELS for _ in documents],
        "entities": [[] for _ in documents],
        "model": model,
    }


# Streams


def _streams(call: Call) -> Content:
    states = call.resources.streams.get(full_name(call.dataset), {}).values()
    return {"streams": [state.stream for state in states]}


def _state(call: Call) -> StreamState:
    return call.resources.stream(full_name(call.dataset), call.text("stream"))


def _stream(call: Call) -> Content:
    return {"stream": _state(call).stream}


def _put_stream(call: Call) -> Content:
    sent = call.sent_object("stream")
    name = call.text("stream") or str(sent.get("name", ""))
    if not name:
        raise ApiError(400, "'name' is a required property")
    version = (sent.get("model") or {}).get("version")
    if version is not None and version not in fixtures.MODEL_VERSIONS:
        raise ApiError(422, f"model version {version} does not exist")
    streams = call.resources.streams.setdefault(full_name(call.dataset), {})
    at = fixtures.timestamp(call.now)
    if name in streams:
        streams[name].stream = {**streams[name].stream, **sent, "updated_at": at}
    else:
        new = {**fixtures.stream(call.tenant, call.dataset["id"], name), "title": "", **sent}
        new["created_at"] = new["updated_at"] = at
        new.setdefault("name", name)
        streams[name] = StreamState(new)
    return {"stream": streams[name].stream}


def _update_stream(call: Call) -> Content:
    _state(call)
    return _put_stream(call)


def _delete_stream(call: Call) -> Content:
    _state(call)
    del call.resources.streams[full_name(call.dataset)][call.text("stream")]
    return {}


def _results(call: Call) -> Content:
    """Return what waits, as `results` does; the position of the stream stays."""
    state, limit = _state(call), int(call.query.get("max_results", ["5"])[0])
    waiting = call.resources.waiting_results(state, call.now)
    results = [
        {
            "comment": comment,
            "continuation": fixtures.sequence_id(call.tenant, number),
            "prediction": {"labels": _LABELS},
        }
        for number, comment in waiting[:limit]
    ]
    last = results[-1]["continuation"] if results else _position(call, state)
    return {
        "results": results,
        "num_filtered": 0,
        "more_results": len(waiting) > len(results),
        "continuation": last,
    }


def _fetch(call: Call) -> Content:
    """Return what waits, as the older `fetch` does; the position of the stream stays."""
    state, size = _state(call), call.body.get("size", 1)
    if not isinstance(size, int) or not 1 <= size <= MAX_FETCHED:
        raise ApiError(400, f"'size' is not between 1 and {MAX_FETCHED}")
    waiting = call.resources.waiting_results(state, call.now)
    results = [
        {
            "comment": comment,
            "sequence_id": fixtures.sequence_id(call.tenant, number),
            "labels": _LABELS,
            "entities": [],
        }
        for number, comment in waiting[:size]
    ]
    return {
        "results": results,
        "filtered": 0,
        "sequence_id": results[-1]["sequence_id"] if results else _position(call, state),
        "is_end_sequence": len(waiting) <= size,
    }


def _position(call: Call, state: StreamState) -> str:
    return call.resources.sequence_id(state, call.now)


def _advance(call: Call) -> Content:
    sent = str(call.sent("sequence_id"))
    call.resources.advance(_state(call), sent, call.now)
    return {"sequence_id": sent}


def _reset(call: Call) -> Content:
    state, to = _state(call), time_of(str(call.sent("to_comment_created_at")))
    call.resources.reset(state, to.timestamp(), call.now)
    return {"sequence_id": _position(call, state), "stream": state.stream}


def _put_exceptions(call: Call) -> Content:
    _state(call).exceptions.extend(call.sent_objects("exceptions"))
    return {}


def _delete_exceptions(call: Call) -> Content:
    _state(call).exceptions.clear()
    return {}


_DATASETS, _READ = "/api/v1/datasets", ("voc-readonly",)
_DATASET, _ADMIN = f"{_DATASETS}/{{dataset}}", ("datasets-admin",)
_PRIVATE = "/api/_private/datasets/{dataset}"
_MODEL = "/api/(?:v1|_private)/datasets/{dataset}/labellers/{version}"
_STREAMS = f"{_DATASET}/(?:streams|triggers)"
_STREAM = f"{_STREAMS}/{{stream}}"
_READ_STREAMS = ("triggers-read", "voc-readonly")
_CONSUME = ("triggers-consume", "voc-readonly", "sources-read")
_ADVANCE = ("triggers-consume", "voc-readonly")

ROUTES = (
    Route("GET", _DATASETS, _datasets, _READ),
    Route("GET", f"{_DATASETS}/{{project}}", _datasets_of, _READ),
    Route("GET", _DATASET, lambda call: {"dataset": call.dataset}, _READ),
    Route("PUT", _DATASET, _create_dataset, _ADMIN),
    Route("PUT", "/api/_private/ixp/datasets", _create_ixp_dataset, _ADMIN),
    Route("POST", _DATASET, _update_dataset, _ADMIN),
    Route("DELETE", _DATASET, _delete_dataset, _ADMIN),
    Route("PUT", f"{_PRIVATE}/labels/{{rest}}", _put_labels, ("voc",)),
    Route("GET", f"{_PRIVATE}/label-groups", _label_groups, _READ),
    Route("POST", f"{_PRIVATE}/statistics", _statistics, _READ),
    Route("POST", f"{_PRIVATE}/summary", _summary, _READ),
    Route("POST", f"{_PRIVATE}/query", _query, _READ),
    Route("POST", f"{_PRIVATE}/recent", _recent, _READ),
    Route("GET", f"{_PRIVATE}/labellings", _annotations, _READ),
    Route("POST", f"{_PRIVATE}/labellings/{{comment}}", _annotate, ("datasets-review",)),
    Route("POST", f"{_PRIVATE}/labellers", _models, _READ),
    Route("GET", f"{_DATASET}/model-tags", lambda call: {"model_tags": _tags(call)}, _READ),
    Route("GET", f"{_PRIVATE}/labellers/status", _status, _READ),
    Route("GET", f"{_MODEL}/validation", _validation, _READ),
    Route("POST", f"{_MODEL}/label-validation", _label_validation, _READ),
    Route("POST", f"{_MODEL}/predict-comments", _predict_comments, _READ),
    Route("POST", f"{_MODEL}/predict(?:-raw-emails)?", _predict, ("voc-readonly", "sources-read")),
    Route("GET", _STREAMS, _streams, _READ_STREAMS),
    Route("PUT", _STREAMS, _put_stream, ("triggers-admin", "voc-readonly")),
    Route("GET", _STREAM, _stream, _READ_STREAMS),
    Route("POST", _STREAM, _update_stream, ("triggers-write", "voc-readonly")),
    Route("DELETE", _STREAM, _delete_stream, ("triggers-admin", "voc-readonly")),
    Route("GET", f"{_STREAM}/results", _results, _CONSUME),
    Route("POST", f"{_STREAM}/fetch", _fetch, _CONSUME),
    Route("POST", f"{_STREAM}/advance", _advance, _ADVANCE),
    Route("POST", f"{_STREAM}/reset", _reset, _ADVANCE),
    Route("PUT", f"{_STREAM}/exceptions", _put_exceptions, _ADVANCE),
    Route("DELETE", f"{_STREAM}/exceptions", _delete_exceptions, _ADVANCE),
)
