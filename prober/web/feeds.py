"""The incidents of the last 30 days as feeds: Atom (RFC 4287) and JSON Feed 1.1."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from aiohttp import web

from prober.formatting import format_exact_duration, format_timestamp, one_line
from prober.render.documents import IncidentDocument
from prober.render.text import CULPRIT_LABELS, REASONS
from prober.web import queries
from prober.web.compression import packed_response
from prober.web.context import SITE

_SECONDS = 30 * 86_400.0
_ENTRIES = 100
_MAX_SUMMARY_CHARACTERS = 8000
_ATOM = "http://www.w3.org/2005/Atom"
_TITLE = "Incidents (prober)"
_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


def add_routes(app: web.Application) -> None:
    """Add the feeds."""
    app.router.add_get("/incidents.atom", _atom)
    app.router.add_get("/incidents.json", _json)


async def _atom(request: web.Request) -> web.Response:
    incidents, base = await _read(request)
    now = request.app[SITE].now()
    return await packed_response(
        request, lambda: atom_feed(incidents, base, now), "application/atom+xml"
    )


async def _json(request: web.Request) -> web.Response:
    incidents, base = await _read(request)
    return web.json_response(json_feed(incidents, base), content_type="application/feed+json")


async def _read(request: web.Request) -> tuple[tuple[IncidentDocument, ...], str]:
    site = request.app[SITE]
    base = f"{_origin(request)}{site.route_prefix}"
    found = await queries.incidents_since(site, _SECONDS, limit=_ENTRIES)
    return found.incidents, base


def _origin(request: web.Request) -> str:
    """Return the origin that links begin with; raises HTTPBadRequest for a host that is none."""
    try:
        origin = str(request.url.origin())
    except ValueError:
        origin = ""
    if not _ORIGIN.fullmatch(origin):
        raise web.HTTPBadRequest(text="the Host header is missing or invalid")
    return origin


def atom_feed(incidents: Sequence[IncidentDocument], base: str, now: float) -> bytes:
    """Return the Atom document; `base` is the address of the pages, without a slash at its end."""
    feed = ET.Element("feed", xmlns=_ATOM)
    updated = max((_updated_at(each) for each in incidents), default=now)
    for name, text in (
        ("id", "urn:prober:incidents"),
        ("title", _TITLE),
        ("updated", _rfc3339(updated)),
    ):
        ET.SubElement(feed, name).text = text
    ET.SubElement(ET.SubElement(feed, "author"), "name").text = "prober"
    ET.SubElement(feed, "link", rel="self", href=f"{base}/incidents.atom")
    for each in incidents:
        entry = ET.SubElement(feed, "entry")
        for name, text in (
            ("id", f"urn:prober:incident:{each.id}"),
            ("title", title(each)),
            ("published", _rfc3339(each.started_at)),
            ("updated", _rfc3339(_updated_at(each))),
            ("summary", summary(each)),
        ):
            ET.SubElement(entry, name).text = text
        ET.SubElement(entry, "link", href=f"{base}/incidents/{each.id}")
        ET.SubElement(entry, "category", term=each.culprit.value)
    document: bytes = ET.tostring(feed, encoding="utf-8", xml_declaration=True)
    return document


def json_feed(incidents: Sequence[IncidentDocument], base: str) -> dict[str, object]:
    """Return the JSON feed; `base` is the address of the pages, without a slash at its end."""
    return {
        "version": "https://jsonfeed.org/version/1.1",
        "title": _TITLE,
        "home_page_url": f"{base}/incidents",
        "feed_url": f"{base}/incidents.json",
        "items": [
            {
                "id": f"urn:prober:incident:{each.id}",
                "url": f"{base}/incidents/{each.id}",
                "title": title(each),
                "content_text": summary(each),
                "date_published": _rfc3339(each.started_at),
                "date_modified": _rfc3339(_updated_at(each)),
                "tags": [each.tenant, each.culprit.value],
            }
            for each in incidents
        ],
    }


def title(incident: IncidentDocument) -> str:
    """Return an incident in one line: `acme: platform: server errors, ongoing`."""
    reasons = ", ".join(REASONS[reason] for reason in incident.reasons)
    state = "ongoing" if incident.ended_at is None else "over"
    return f"{incident.tenant}: {CULPRIT_LABELS[incident.culprit]}: {reasons}, {state}"


def summary(incident: IncidentDocument) -> str:
    """Return what is known of an incident in a few sentences."""
    lasted = (
        "It is ongoing."
        if incident.ended_at is None
        else f"It lasted {format_exact_duration(incident.duration_seconds)}."
    )
    probes = ", ".join(incident.probes)
    runs = "run" if incident.failures == 1 else "runs"
    # One line: XML 1.0 has no control characters, not even escaped ones (2.2).
    return one_line(
        f"Since {format_timestamp(incident.started_at)}: {incident.failures} failed {runs} of"
        f" {probes}. {lasted} {incident.evidence}",
        _MAX_SUMMARY_CHARACTERS,
    )


def _updated_at(incident: IncidentDocument) -> float:
    return incident.started_at if incident.ended_at is None else incident.ended_at


def _rfc3339(timestamp: float) -> str:
    return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%dT%H:%M:%SZ}"
