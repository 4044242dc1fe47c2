"""Forms and API operations by which people add to what is known: notes, and maintenance.

The same rules hold as for running a probe (`prober.web.actions`): authenticated clients alone, and
no other site. A form needs the CSRF token of the prober's own pages; the API needs a content type
that no form can send. Disabled by default (`web.enable_annotations`).
"""

import re
from collections.abc import Awaitable
from typing import Annotated, Any, TypeVar

from aiohttp import web
from multidict import MultiMapping
from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from prober.formatting import one_line
from prober.history.annotations import (
    MAX_NOTE_CHARACTERS,
    AnnotationStore,
    IncidentNote,
    StartedMaintenance,
)
from prober.web import actions, parameters, queries
from prober.web.auth import credentials
from prober.web.context import SITE
from prober.web.incident import existing_id
from prober.web.openapi import WriteSpec

MAX_MINUTES = 7 * 24 * 60
_MAX_AUTHOR_CHARACTERS = 80
_NOTE: TypeAdapter[IncidentNote] = TypeAdapter(IncidentNote)
_STARTED: TypeAdapter[StartedMaintenance] = TypeAdapter(StartedMaintenance)
_Body = TypeVar("_Body", bound=BaseModel)


_WITH_TEXT: dict[str, JsonValue] = {
    "required": ["text"],
    "properties": {"text": {"pattern": r"\S"}},
}
_WITH_ACKNOWLEDGEMENT: dict[str, JsonValue] = {
    "required": ["acknowledge"],
    "properties": {"acknowledge": {"const": True}},
}


class NoteBody(BaseModel):
    """A note on an incident, or its acknowledgement, or both: one of them must be given."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"anyOf": [_WITH_TEXT, _WITH_ACKNOWLEDGEMENT]},
    )

    text: Annotated[str, Field(max_length=MAX_NOTE_CHARACTERS)] = ""
    acknowledge: bool = False


class MaintenanceBody(BaseModel):
    """For how many minutes from now on a tenant is in maintenance; 0 ends it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    minutes: Annotated[int, Field(ge=0, le=MAX_MINUTES)]


WRITES = (
    WriteSpec(
        "add_note",
        "/api/v1/incidents/{incident}/notes",
        "Add a note to an incident, or acknowledge it (web.enable_annotations).",
        (parameters.INCIDENT,),
        NoteBody,
        IncidentNote,
        201,
    ),
    WriteSpec(
        "start_maintenance",
        "/api/v1/tenants/{tenant}/maintenance",
        "Start maintenance of a tenant now, or end it with 0 minutes (web.enable_annotations).",
        (parameters.TENANT,),
        MaintenanceBody,
        StartedMaintenance,
        200,
    ),
)


def add_routes(app: web.Application) -> None:
    """Add the routes; they respond with 403 unless enabled."""
    app.router.add_post("/incidents/{incident}/notes", _on_note_form)
    app.router.add_post("/tenants/{tenant}/maintenance", _on_maintenance_form)
    for spec, handler in zip(WRITES, (_on_note, _on_maintenance), strict=True):
        app.router.add_post(spec.path, handler)


def form_token(app: web.Application) -> str | None:
    """Return the token that a form must have; None if annotations are disabled."""
    return None if app[SITE].annotations is None else actions.process_token(app)


async def _on_note_form(request: web.Request) -> web.Response:
    store = _authorized(request)
    form = await actions.read_form(request)
    text = _field(form, "text")
    if len(text) > MAX_NOTE_CHARACTERS:
        raise web.HTTPBadRequest(text=f"text: write at most {MAX_NOTE_CHARACTERS} characters")
    body = NoteBody(text=text, acknowledge=_field(form, "acknowledge") == "1")
    note = await _add_note(request, store, body)
    raise web.HTTPSeeOther(f"{request.app[SITE].route_prefix}/incidents/{note.incident}#notes")


async def _on_maintenance_form(request: web.Request) -> web.Response:
    store = _authorized(request)
    form = await actions.read_form(request)
    minutes = _field(form, "minutes")
    if not re.fullmatch("[0-9]{1,5}", minutes) or int(minutes) > MAX_MINUTES:
        raise web.HTTPBadRequest(text=f"minutes: write a number up to {MAX_MINUTES}; 0 ends it")
    started = await _set_maintenance(request, store, MaintenanceBody(minutes=int(minutes)))
    raise web.HTTPSeeOther(f"{request.app[SITE].route_prefix}/tenants/{started.tenant}")


async def _on_note(request: web.Request) -> web.Response:
    store = _authorized(request)
    actions.check_json(request)
    note = await _add_note(request, store, await _read_body(request, NoteBody))
    return web.Response(status=201, body=_NOTE.dump_json(note), content_type="application/json")


async def _on_maintenance(request: web.Request) -> web.Response:
    store = _authorized(request)
    actions.check_json(request)
    queries.probe_names(request.app[SITE], request.match_info["tenant"])
    started = await _set_maintenance(request, store, await _read_body(request, MaintenanceBody))
    return web.Response(body=_STARTED.dump_json(started), content_type="application/json")


def _authorized(request: web.Request) -> AnnotationStore:
    actions.check_origin(request)
    store = request.app[SITE].annotations
    if store is None:
        raise web.HTTPForbidden(
            text="notes and maintenance are disabled: set web.enable_annotations to true"
        )
    return store


def _field(form: MultiMapping[Any], name: str) -> str:
    """Return a text of a form; raises HTTPBadRequest for several values, and for a file."""
    values = form.getall(name, [])
    if len(values) > 1 or not all(isinstance(each, str) for each in values):
        raise web.HTTPBadRequest(text=f"{name}: write one text")
    return values[0] if values else ""


async def _read_body(request: web.Request, model: type[_Body]) -> _Body:
    """Return the JSON body of a request; raises HTTPBadRequest with what is wrong with it."""
    try:
        return model.model_validate_json(await request.read())
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(one_line(str(part), 40) for part in first["loc"]) or "body"
        raise web.HTTPBadRequest(text=f"{where}: {first['msg']}") from None


async def _add_note(request: web.Request, store: AnnotationStore, body: NoteBody) -> IncidentNote:
    site = request.app[SITE]
    values: dict[str, Any] = parameters.read((parameters.INCIDENT,), request.match_info, {})
    incident = await existing_id(site, values["incident"])
    text = one_line(body.text, MAX_NOTE_CHARACTERS)
    if not text and not body.acknowledge:
        raise web.HTTPBadRequest(text="write a note, or acknowledge the incident")
    note = IncidentNote(incident, site.now(), author(request), text, body.acknowledge)
    await _saved(store.add_note(note), "the note")
    return note


async def _set_maintenance(
    request: web.Request, store: AnnotationStore, body: MaintenanceBody
) -> StartedMaintenance:
    site, tenant = request.app[SITE], request.match_info["tenant"]
    queries.probe_names(site, tenant)
    now = site.now()
    started = StartedMaintenance(tenant, now, now + body.minutes * 60, author(request))
    await _saved(store.set_maintenance(started), "the maintenance")
    site.start_maintenance(started)
    return started


async def _saved(write: Awaitable[None], what: str) -> None:
    try:
        await write
    except OSError as error:
        raise web.HTTPServiceUnavailable(
            text=f"{what} was not saved: {error.strerror or error}; try again"
        ) from error


def author(request: web.Request) -> str:
    """Return who a client is: the name in its certificate, else the user."""
    # The certificate first: it was verified, and a user only where there are users.
    certificate = request.get_extra_info("peercert") or {}
    for part in certificate.get("subject", ()):
        for name, value in part:
            if name == "commonName":
                return one_line(value, _MAX_AUTHOR_CHARACTERS)
    given = credentials(request.headers.get("Authorization"))
    if given is None:
        return "unknown"
    return one_line(given[0].decode(errors="replace"), _MAX_AUTHOR_CHARACTERS)
