from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from prober.outcomes import Reason, TokenState
from prober.render.documents import TenantStatusDocument, tenant_document
from prober.render.svg import badge_svg
from tests.unit.render.status_factory import NOW, a_standing, a_tenant_standing

WELL = tenant_document(a_tenant_standing(), NOW)
BAD = tenant_document(a_tenant_standing(a_standing(reason=Reason.DNS)), NOW)
DENIED = tenant_document(a_tenant_standing(a_standing(reason=Reason.PERMISSION_DENIED)), NOW)


@pytest.mark.parametrize(
    ("tenant", "says"),
    [
        (WELL, "OK"),
        (BAD, "network path"),
        (replace(BAD, is_slow=True), "network path slow"),
        (
            replace(BAD, token=replace(BAD.token, state=TokenState.REJECTED)),
            "token rejected",
        ),
        (DENIED, "credential"),
        (replace(WELL, is_known=False, is_ok=False), "waiting"),
        (replace(BAD, maintenance="in maintenance until 01:00Z"), "maintenance"),
    ],
)
def test_a_badge_says_it_in_two_words(tenant: TenantStatusDocument, says: str) -> None:
    root = ET.fromstring(badge_svg(tenant))  # noqa: S314 -- our own
    assert root.get("aria-label") == f"acme: {says}"
