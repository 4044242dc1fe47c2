"""`prober report`: writes a report about a tenant, for the supplier."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import tzinfo
from pathlib import Path
from types import MappingProxyType

import click

from prober.cli.options import choose_tenant, config_option, json_text
from prober.config.loader import load
from prober.config.resolve import Config
from prober.errors import HistoryError
from prober.formatting import format_timestamp
from prober.report.builder import ReportContext, build_report
from prober.report.chart_files import chart_files, chart_links
from prober.report.html import render_html
from prober.report.markdown import render_markdown
from prober.report.models import Report
from prober.report.query import HistoryExtract, read_history
from prober.report.time_range import TimeRange, parse_time, parse_time_zone, time_range
from prober.version import current_version


def _as_json(made: Report) -> str:
    return json_text(asdict(made)) + "\n"


FORMATS: Mapping[str, Callable[[Report], str]] = MappingProxyType(
    {"md": render_markdown, "html": render_html, "json": _as_json}
)
_BY_SUFFIX = {"": "md", ".md": "md", ".html": "html", ".htm": "html", ".json": "json"}


@click.command("report")
@click.argument("tenant")
@config_option
@click.option(
    "--since",
    default="7d",
    show_default=True,
    help="Start: how long ago (24h, 7d), or a time (2026-11-24, or 2026-11-24T15:04Z).",
)
@click.option("--until", default="now", show_default=True, help="End, in the same formats.")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(list(FORMATS)),
    help="Markdown, one HTML file, or JSON. Default: from OUTPUT's suffix, else md.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write. Default: standard output.",
)
@click.option(
    "--timezone",
    "zone_name",
    default="UTC",
    show_default=True,
    help="Time zone for input and output, such as Europe/Berlin; JSON has epoch seconds.",
)
def report_command(  # noqa: PLR0913 -- one argument for each option
    *,
    tenant: str,
    config_file: Path,
    since: str,
    until: str,
    format_name: str | None,
    output: Path | None,
    zone_name: str,
) -> None:
    """Write a report about TENANT: availability, incidents, latency, and failed requests.

    Charts of a Markdown file are SVG files beside it, whose names begin with its own.

    It reads the history in the state directory; the daemon need not run. It changes nothing, sends
    no request and reads no token.

    \b
    Examples:
      prober report acme-prod --config config/prober.yaml
      prober report acme-prod --since 24h --output acme-prod.html --config config/prober.yaml
      prober report acme-prod --since 2026-11-01 --until 2026-12-01 --format json \\
        --config config/prober.yaml

    Exit status: 0; 1 if there is no history for that period; 2 for an invalid command line or
    configuration.
    """
    chosen_format = _format(format_name, output)
    configuration = load(config_file)
    chosen = choose_tenant(configuration.tenants, tenant)
    now = time.time()
    span = _time_range(since, until, zone_name, now)
    past = _read_history(configuration, tenant, span, now)
    made = build_report(
        chosen,
        past,
        span,
        ReportContext(
            now, zone_name, current_version().version, configuration.history.retention_seconds
        ),
    )
    if chosen_format == "md" and output is not None:
        charts = chart_files(made, output.stem)
        for name, content in charts.items():
            _deliver(content, output.with_name(name))
        _deliver(render_markdown(made, chart_links(made, output.stem)), output)
    else:
        _deliver(FORMATS[chosen_format](made), output)


def _format(name: str | None, output: Path | None) -> str:
    """Return the format's name; raises BadParameter for a suffix that is of none."""
    if name is not None:
        return name
    if output is None:
        return "md"
    found = _BY_SUFFIX.get(output.suffix.lower())
    if found is None:
        known = ", ".join(filter(None, _BY_SUFFIX))
        raise click.BadParameter(
            f"'{output.name}': the suffix is of no format: use {known}, or add --format"
            f" {'|'.join(FORMATS)}",
            param_hint="--output",
        )
    return found


def _time_range(since: str, until: str, zone_name: str, now: float) -> TimeRange:
    try:
        zone = parse_time_zone(zone_name)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--timezone") from error
    first = _parse_time("--since", since, now, zone)
    last = _parse_time("--until", until, now, zone)
    try:
        return time_range(first, last, now)
    except ValueError as error:
        raise click.BadParameter(f"the span {error}", param_hint="--since, --until") from error


def _parse_time(option: str, text: str, now: float, zone: tzinfo) -> float:
    try:
        return parse_time(text, now, zone)
    except ValueError as error:
        raise click.BadParameter(f"'{text}': {error}", param_hint=option) from error


def _read_history(
    configuration: Config, tenant: str, span: TimeRange, now: float
) -> HistoryExtract:
    directory = configuration.state_directory
    if not configuration.history.enabled:
        raise HistoryError(f"{configuration.source}: no history is kept: history.enabled is false")
    try:
        past = read_history(directory, tenant, span, now)
    except OSError as error:
        raise HistoryError(
            f"the history in {directory} cannot be read: {error.strerror or error}"
        ) from error
    if past.oldest is None:
        raise HistoryError(
            f"there is no history in {directory} that this version can read: it is written by"
            " `prober run` with this configuration"
        )
    if not past.totals and past.incidents.count == 0:
        raise HistoryError(
            f"no data for '{tenant}' from {format_timestamp(span.since)}"
            f" to {format_timestamp(span.until)};"
            f" the history begins at {format_timestamp(past.oldest)}"
        )
    return past


def _deliver(text: str, output: Path | None) -> None:
    content = text.encode()
    if output is None:
        click.echo(content, nl=False)
        return
    try:
        output.write_bytes(content)
    except OSError as error:
        raise click.UsageError(f"--output {output}: {error.strerror or error}") from error
