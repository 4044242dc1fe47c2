"""The headers that every answer bears, whoever asked and whatever came of it. Pure."""

from collections.abc import Mapping

_CSP = "Content-Security-Policy"
_HSTS = "Strict-Transport-Security"
_STRICT = {
    "Server": "prober",
    "Cache-Control": "no-store",
    _CSP: (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self';"
        " connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with none, a form of ours would have no Origin to show
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_A_DAY = "max-age=86400"  # and no longer: it binds every port of the host's name


def answer_headers(written: Mapping[str, str], *, is_tls: bool) -> dict[str, str]:
    """Return the headers of an answer; those of web.yml go over ours, and "" leaves one out.

    A policy for content is added to ours: a browser holds to both.
    """
    headers = {**_STRICT, **({_HSTS: _A_DAY} if is_tls else {}), **written}
    policy = written.get(_CSP, "")
    headers[_CSP] = f"{_STRICT[_CSP]}, {policy}" if policy else _STRICT[_CSP]
    return {name: value for name, value in headers.items() if value}
