"""The report as one self-contained HTML file with light colours, for printing.

Charts look as on the status pages and share their style sheet. The file loads nothing.
"""

from datetime import tzinfo
from functools import partial
from importlib.resources import files

import jinja2
from markupsafe import Markup

from prober import formatting
from prober.outcomes import Culprit
from prober.render.elements import chart_element
from prober.render.svg import strip_svg
from prober.render.text import CULPRIT_LABELS, REASONS, SKIPS, symbol
from prober.report import text
from prober.report.models import Report
from prober.report.time_range import parse_time_zone


def render_html(report: Report) -> str:
    """Return the whole document."""
    environment = template_environment()
    _register_filters(environment, parse_time_zone(report.time_zone))
    return environment.get_template("report.html").render(report=report)


def template_environment() -> jinja2.Environment:
    """Return the environment of a report's templates; values are escaped unless they are Markup."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader("prober.report"), jinja2.PackageLoader("prober.web")]
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals["style"] = _style()
    return environment


def _register_filters(environment: jinja2.Environment, zone: tzinfo) -> None:
    environment.filters.update(
        {
            "exactly": formatting.format_exact_duration,
            "latency": formatting.format_latency,
            "percent": formatting.format_percent,
            "timestamp": partial(formatting.format_timestamp, zone=zone),
            "number": "{:,}".format,
            "check_value": lambda value, kind: text.format_check_value(kind, value, zone),
            "describe_comparison": text.describe_comparison,
            "describe_gaps": text.describe_gaps,
            "describe_note": text.describe_note,
            "describe_supplier": text.describe_supplier,
            "describe_vantage": text.describe_vantage,
            "describe_incident": text.describe_incident,
            "describe_token_event": text.describe_token_event,
            "probes": text.format_probes,
            "notes": text.notes,
            "describe_listed_failures": text.describe_listed_failures,
        }
    )
    environment.globals.update(
        {
            "strip": partial(strip_svg, zone=zone),
            "chart": partial(chart_element, zone=zone),
            "symbol": symbol,
            "CULPRITS": tuple(Culprit),
            "COMPARED_FIGURES": text.COMPARED_FIGURES,
            "GAPS": text.GAPS,
            "INDICATORS": text.INDICATORS,
            "REASONS": REASONS,
            "SKIPS": SKIPS,
            "CULPRIT_LABELS": CULPRIT_LABELS,
        }
    )


def _style() -> Markup:
    pictures = files("prober.web").joinpath("static", "pictures.css").read_text()
    own = files("prober.report").joinpath("report.css").read_text()
    return Markup(pictures + own)  # noqa: S704 -- our own files
