"""A badge for other people's pages: a tenant's name, and how it stands in two words. Pure."""

from html import escape

from prober.outcomes import Culprit
from prober.views.standing import TenantDocument
from prober.views.words import WHOSE

_CHARACTER_WIDTH, _PADDING, _HEIGHT = 6.7, 8, 20
_LABEL_COLOUR = "#3d444d"
_WELL, _SLOW, _BAD, _UNKNOWN = "#1a7f37", "#8a5a00", "#b3261e", "#57606a"


def badge_svg(tenant: TenantDocument) -> str:
    """Return a whole SVG document, all in it its own."""
    says, colour = _said(tenant)
    left, right = _width(tenant.name), _width(says)
    name, told = escape(tenant.name), escape(says)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="{_HEIGHT}"'
        f' role="img" aria-label="{name}: {told}"><title>{name}: {escape(tenant.verdict)}</title>'
        f'<rect width="{left}" height="{_HEIGHT}" fill="{_LABEL_COLOUR}"/>'
        f'<rect x="{left}" width="{right}" height="{_HEIGHT}" fill="{colour}"/>'
        '<g fill="#fff" text-anchor="middle" font-size="11"'
        ' font-family="DejaVu Sans,Verdana,sans-serif">'
        f'<text x="{left / 2}" y="14">{name}</text>'
        f'<text x="{left + right / 2}" y="14">{told}</text></g></svg>'
    )


def _said(tenant: TenantDocument) -> tuple[str, str]:
    if tenant.maintenance is not None:
        return "maintenance", _UNKNOWN
    if not tenant.is_known:
        return "waiting", _UNKNOWN
    if tenant.is_well:
        return "well", _WELL
    if tenant.is_slow:
        return f"{WHOSE[tenant.culprit]} slow", _SLOW
    whose = "token rejected" if tenant.culprit is Culprit.CREDENTIAL else WHOSE[tenant.culprit]
    return whose, _BAD


def _width(text: str) -> int:
    return round(len(text) * _CHARACTER_WIDTH) + 2 * _PADDING
