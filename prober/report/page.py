"""The report as one HTML file: its pictures inside, light, to be printed. Pure but for templates.

Pictures look as on the status pages, whose style they share. Nothing is loaded from anywhere.
"""

from datetime import tzinfo
from functools import partial
from importlib.resources import files

import jinja2
from markupsafe import Markup

from prober.outcomes import Culprit
from prober.report import wording
from prober.report.document import Report
from prober.report.span import read_zone
from prober.views import quantities
from prober.views.chart import chart_svg
from prober.views.marks import sign
from prober.views.svg import strip_svg
from prober.views.words import REASONS, SKIPS, WHOSE


def page(report: Report) -> str:
    """Return the whole document."""
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader("prober.report"), jinja2.PackageLoader("prober.web")]
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    _furnish(made, read_zone(report.time_zone))
    template = made.get_template("report.html")
    return template.render(report=report, style=_style())


def _furnish(made: jinja2.Environment, zone: tzinfo) -> None:
    made.filters.update(
        {
            "exactly": quantities.exact_duration,
            "latency": quantities.latency,
            "share": quantities.share,
            "moment": partial(quantities.moment, zone=zone),
            "number": "{:,}".format,
            "words": wording.incident_words,
            "token_words": wording.token_words,
            "probes": wording.probes,
            "notes": wording.notes,
            "listed_failures": wording.listed_failures,
        }
    )
    made.globals.update(
        {
            "strip": partial(strip_svg, zone=zone),
            "chart": partial(chart_svg, zone=zone),
            "sign": sign,
            "CULPRITS": tuple(Culprit),
            "GAPS": wording.GAPS,
            "INDICATORS": wording.INDICATORS,
            "REASONS": REASONS,
            "SKIPS": SKIPS,
            "WHOSE": WHOSE,
        }
    )


def _style() -> Markup:
    pictures = files("prober.web").joinpath("static", "pictures.css").read_text()
    own = files("prober.report").joinpath("report.css").read_text()
    return Markup(pictures + own)  # noqa: S704 -- our own files
