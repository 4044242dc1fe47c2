from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from prober.outcomes import Culprit, Reason
from prober.views.badge import badge_svg
from prober.views.standing import TenantDocument, tenant_document
from tests.unit.views.standings import NOW, a_standing, a_tenant_standing

WELL = tenant_document(a_tenant_standing(), NOW)
BAD = tenant_document(a_tenant_standing(a_standing(reason=Reason.DNS)), NOW)


@pytest.mark.parametrize(
    ("tenant", "says"),
    [
        (WELL, "well"),
        (BAD, "our network"),
        (replace(BAD, is_slow=True), "our network slow"),
        (replace(BAD, culprit=Culprit.CREDENTIAL), "token rejected"),
        (replace(WELL, is_known=False, is_well=False), "waiting"),
        (replace(BAD, maintenance="in maintenance until 01:00Z"), "maintenance"),
    ],
)
def test_a_badge_says_it_in_two_words(tenant: TenantDocument, says: str) -> None:
    root = ET.fromstring(badge_svg(tenant))  # noqa: S314 -- our own
    assert root.get("aria-label") == f"acme: {says}"
