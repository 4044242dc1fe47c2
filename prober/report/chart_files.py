"""The charts of a report as self-contained SVG files, for Markdown. Pure."""

import re
from collections.abc import Iterator, Mapping

from markupsafe import Markup

from prober.render.svg import STRIP_HEIGHT, STRIP_WIDTH, chart_svg, strip_svg
from prober.report.models import Report
from prober.report.time_range import parse_time_zone

_CHART_WIDTH, _CHART_HEIGHT = 760, 150
_STYLE = """text{font:12px "DejaVu Sans",sans-serif;fill:#1f2328}path{fill:none}
.grid{stroke:#d1d9e0}.line{stroke-width:1.8}.p95{stroke-dasharray:4 3;stroke-width:1.3}
.line.server{stroke:#1b7c83}.line.network{stroke:#74a9e8}.maintenance,.paused{fill:#afb8c1}
.good{fill:#b4e0c1}.nothing{fill:#e6eaef}rect.platform{fill:#cf222e}rect.network{fill:#0969da}
rect.credential{fill:#bf8700}rect.undecided{fill:#8250df}rect.request{fill:#953800}
rect.tenant{fill:#0f6e84}rect.prober{fill:#6e7781}"""


def chart_files(report: Report, stem: str) -> Mapping[str, str]:
    """Return the content of each file by its name, which begins with `stem`."""
    return {name: content for name, (_, content) in _charts(report, stem)}


def chart_links(report: Report, stem: str) -> tuple[tuple[str, str], ...]:
    """Return (title, file name) of each chart."""
    return tuple((title, name) for name, (title, _) in _charts(report, stem))


def _charts(report: Report, stem: str) -> Iterator[tuple[str, tuple[str, str]]]:
    zone = parse_time_zone(report.time_zone)
    label = f"outcomes of {report.tenant}"
    strip = strip_svg(report.strip, label, report.strip_step_seconds, zone)
    yield f"{stem}-outcomes.svg", (label, _alone(strip, STRIP_WIDTH, STRIP_HEIGHT))
    label = "latency of all probes"
    chart = chart_svg(report.series, label, zone)
    yield f"{stem}-latency.svg", (label, _alone(chart, _CHART_WIDTH, _CHART_HEIGHT))
    if len(report.series_by_probe) > 1:
        for probe, shown in report.series_by_probe.items():
            label = f"latency of {probe}"
            chart = chart_svg(shown, label, zone)
            name = re.sub("[^A-Za-z0-9_-]", "-", probe)
            yield f"{stem}-latency-{name}.svg", (label, _alone(chart, _CHART_WIDTH, _CHART_HEIGHT))


def _alone(drawing: Markup, width: int, height: int) -> str:
    """Return a drawing as a document of its own: with namespace, size and colours."""
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
    styled = str(drawing).replace("<svg ", opening, 1)
    head, _, body = styled.partition(">")
    return f"{head}><style>{_STYLE}</style>{body}\n"
