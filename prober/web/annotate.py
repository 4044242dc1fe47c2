"""Forms by which people add to what is known: notes on incidents, and maintenance.

The same rules hold as for running a probe (`prober.web.actions`): authenticated clients alone, from
the prober's own pages, with the CSRF token. Disabled by default (`web.enable_annotations`).
"""

import re
from typing import Any

from aiohttp import web
from multidict import MultiMapping

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

_MAX_MINUTES = 7 * 24 * 60
_MAX_AUTHOR_CHARACTERS = 80


def add_routes(app: web.Application) -> None:
    """Add the routes; they respond with 403 unless enabled."""
    app.router.add_post("/incidents/{incident}/notes", _note)
    app.router.add_post("/tenants/{tenant}/maintenance", _maintenance)


def form_token(app: web.Application) -> str | None:
    """Return the token that a form must have; None if annotations are disabled."""
    return None if app[SITE].annotations is None else actions.process_token(app)


async def _note(request: web.Request) -> web.Response:
    store, form = await _authorized(request)
    site = request.app[SITE]
    values: dict[str, Any] = parameters.read((parameters.INCIDENT,), request.match_info, {})
    detail = await queries.incident(site, values["incident"])
    text = one_line(str(form.get("text", "")), MAX_NOTE_CHARACTERS)
    acknowledges = form.get("acknowledge") == "1"
    if not text and not acknowledges:
        raise web.HTTPBadRequest(text="write a note, or acknowledge the incident")
    note = IncidentNote(detail.incident.id, site.now(), author(request), text, acknowledges)
    await store.add_note(note)
    raise web.HTTPSeeOther(f"{site.route_prefix}/incidents/{detail.incident.id}#notes")


async def _maintenance(request: web.Request) -> web.Response:
    store, form = await _authorized(request)
    site, tenant = request.app[SITE], request.match_info["tenant"]
    queries.probe_names(site, tenant)
    minutes = str(form.get("minutes", ""))
    if not re.fullmatch("[0-9]{1,5}", minutes) or int(minutes) > _MAX_MINUTES:
        raise web.HTTPBadRequest(text=f"minutes: write a number up to {_MAX_MINUTES}; 0 ends it")
    now = site.now()
    started = StartedMaintenance(tenant, now, now + int(minutes) * 60, author(request))
    await store.set_maintenance(started)
    site.start_maintenance(started)
    raise web.HTTPSeeOther(f"{site.route_prefix}/tenants/{tenant}")


async def _authorized(request: web.Request) -> tuple[AnnotationStore, MultiMapping[Any]]:
    site = request.app[SITE]
    actions.check_origin(request)
    if site.annotations is None:
        raise web.HTTPForbidden(
            text="notes and maintenance are disabled: set web.enable_annotations to true"
        )
    return site.annotations, await actions.read_form(request)


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
