"""Responses of intermediaries in front of the platform: proxies, gateways, CDN. Pure.

The formats follow published examples of each product. Texts are our own, except for the strings by
which a product is recognised.
"""

import json

from prober.simulator.http import Headers, Response

_HTML: Headers = (("Content-Type", "text/html; charset=utf-8"),)
_JSON: Headers = (("Content-Type", "application/json; charset=utf-8"),)
_CDN: Headers = (("Server", "cloudflare"), ("CF-RAY", "78c709774a112a34-CDG"))


def _html(status: int, title: str, text: str, headers: Headers = ()) -> Response:
    body = f"<body><h1>{title}</h1><p>{text}</p></body>"
    page = f"<html><head><title>{title}</title></head>{body}</html>"
    return Response(status, (*_HTML, *headers), page.encode())


def _json(status: int, content: object, headers: Headers = ()) -> Response:
    return Response(status, (*_JSON, *headers), json.dumps(content).encode())


def unregistered(organisation: str, tenant: str) -> Response:
    """Return the gateway's redirect for an unknown organisation or tenant."""
    location = (
        "/portal_/unregistered?serviceType=reinfer"
        f"&organizationName={organisation}&tenantName={tenant}"
    )
    return Response(302, (("Location", location), *_CDN), b"")


LOGIN_REDIRECT = Response(302, (("Location", "/identity_/web/login?returnUrl=%2Facme"), *_CDN), b"")

BAD_GATEWAY = _html(502, "502 Bad Gateway", "nginx", (("Server", "nginx"),))

MAINTENANCE = _html(503, "Under maintenance", "We will be back soon.")

CAPTIVE_PORTAL = _html(200, "Guest Wi-Fi", "Please accept the terms to go online.")

CDN_1010 = Response(403, (("Content-Type", "text/plain"), *_CDN), b"error code: 1010")

CDN_522 = _html(522, "522: Connection timed out", "The origin did not answer.", _CDN)

CDN_524 = Response(524, (("Content-Type", "text/plain"), *_CDN), b"error code: 524")

CDN_CHALLENGE = _html(403, "Just a moment...", "Checking your browser.", _CDN)

PROBLEM_DOCUMENT = _json(
    500,
    {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "traceId": "00-4bf92f",
    },
)

GATEWAY_ABP = _json(
    401,
    {
        "message": "You are not authenticated!",
        "errorCode": 0,
        "result": None,
        "success": False,
        "unAuthorizedRequest": False,
        "__abp": True,
    },
)

GATEWAY_ERROR_CODE = _json(
    400, {"message": "The request could not be routed.", "errorCode": 1000, "resourceIds": None}
)

GATEWAY_BEARER = Response(
    401, (("WWW-Authenticate", 'Bearer error="invalid_token"'), ("Content-Type", "text/plain")), b""
)

PROXY_AUTHENTICATION = Response(
    407, (("Proxy-Authenticate", 'Basic realm="proxy"'), ("Content-Type", "text/plain")), b""
)
