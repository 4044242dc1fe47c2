"""How much a page that watches 300 tenants is sent, at their full rate of runs."""

from prober.outcomes import Reason
from prober.render.overview import OverviewFilter
from prober.web.app import create_app
from prober.web.live_views import LiveView, LiveViews
from prober.web.sse import parts_event
from tests.e2e.fleet_site import PROBES, Fleet

TENANTS = 300
SECONDS = 60
MAX_BYTES_PER_SECOND = 5_000


async def test_only_what_changed_is_sent() -> None:
    fleet = Fleet(TENANTS).with_trouble()
    now = fleet.now()
    fleet.now = lambda: now
    app = create_app(fleet.site())
    views, before, sent = LiveViews(app), LiveView({}, {}), 0
    names = list(fleet.tenants)
    for second in range(SECONDS):
        now += 1
        for at in range(len(PROBES)):  # each probe runs each minute
            for number in range(second * TENANTS // SECONDS, (second + 1) * TENANTS // SECONDS):
                server = 0.08 + (number * 37 + second * 11 + at * 7) % 90 / 400
                fleet.succeed(names[(number + at * 60) % TENANTS], at, server=server)
        if second == SECONDS // 2:
            fleet.fail("cust-007", Reason.SERVER_ERROR, 5)
        view = await views.render(OverviewFilter())
        changed = view.since(before)
        before = view
        if second:  # the first one is everything
            sent += len(parts_event(changed).packed)
    assert "trouble-cust-007" in before.parts
    assert sent / (SECONDS - 1) <= MAX_BYTES_PER_SECOND
