"""Templates, how values are written in them, and pages drawn from them."""

import asyncio
from collections.abc import Mapping

import aiohttp_jinja2
import jinja2
from aiohttp import web

from prober.outcomes import Culprit, TokenState
from prober.views import chart, quantities, svg
from prober.views.marks import sign, token_sign
from prober.views.standing import row_text
from prober.views.words import CAUSES, REASONS, SKIPS, WHOSE
from prober.web import questions
from prober.web.site import SITE


def set_up_templates(app: web.Application) -> None:
    """Let `aiohttp_jinja2` know them; everything is escaped but what says otherwise."""
    made = aiohttp_jinja2.setup(
        app,
        loader=jinja2.PackageLoader("prober.web"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    _furnish(made)


def _furnish(made: jinja2.Environment) -> None:
    made.filters.update(
        {
            "duration": quantities.duration,
            "latency": quantities.latency,
            "moment": quantities.moment,
            "share": quantities.share,
            "size": quantities.size,
            "strip": svg.strip_svg,
            "latencies": svg.latency_svg,
            "most_latency": svg.most_latency,
            "latency_words": svg.latency_label,
            "chart": chart.chart_svg,
        }
    )
    globals_: Mapping[str, object] = {
        "CAUSES": CAUSES,
        "REASONS": REASONS,
        "SKIPS": SKIPS,
        "WHOSE": WHOSE,
        "RANGES": tuple(chart.RANGES),
        "CULPRITS": tuple(Culprit),
        "sign": lambda culprit: sign(Culprit(culprit)),
        "token_sign": lambda state: token_sign(TokenState(state)),
        "row_text": row_text,
        "waterfall": svg.waterfall_svg,
    }
    made.globals.update(globals_)


async def page(
    request: web.Request, template: str, http_status: int = 200, **context: object
) -> web.Response:
    """Draw a page in a thread, so that no measurement waits for it."""
    site = request.app[SITE]
    shared = {"now": site.now(), "prober": questions.prober(site), "path": request.path}
    text = await asyncio.to_thread(
        aiohttp_jinja2.render_string, template, request, {**context, **shared}
    )
    answer = web.Response(text=text, status=http_status, content_type="text/html")
    answer.enable_compression()
    return answer
