"""`prober report`: writes a report about a tenant, for the supplier."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import tzinfo
from pathlib import Path
from types import MappingProxyType

import click

from prober.cli.daemon_address import existing_state
from prober.cli.options import choose_tenant, config_option, json_text
from prober.cli.pdf import print_pdf
from prober.config.loader import load
from prober.config.resolve import Config
from prober.errors import HistoryError, ReportChangedError
from prober.formatting import format_timestamp
from prober.report.builder import ReportContext, build_report, digest, period_figures
from prober.report.chart_files import chart_files, chart_links
from prober.report.fleet import (
    FleetContext,
    FleetReport,
    fleet_report,
    fleet_row,
    render_fleet_html,
    render_fleet_markdown,
)
from prober.report.html import render_html
from prober.report.markdown import render_markdown
from prober.report.models import PeriodFigures, Report
from prober.report.page import previous_figures
from prober.report.query import HistoryExtract, read_figures, read_history
from prober.report.time_range import TimeRange, parse_time, parse_time_zone, time_range
from prober.report.vantage import read_vantage

FORMATS = ("md", "html", "json", "pdf")
_BY_SUFFIX: Mapping[str, str] = MappingProxyType(
    {"": "md", ".md": "md", ".html": "html", ".htm": "html", ".json": "json", ".pdf": "pdf"}
)


@click.command("report")
@click.argument("tenant", required=False)
@config_option
@click.option("--all", "every", is_flag=True, help="All tenants in one document, worst first.")
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
    type=click.Choice(FORMATS),
    help="Markdown, one HTML file, JSON, or PDF. Default: from OUTPUT's suffix, else md.",
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
@click.option("--location", help="Where this host is, in words: 'Frankfurt, office network'.")
@click.option(
    "--verify",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Check instead that a JSON report is unchanged since it was written.",
)
def report_command(  # noqa: PLR0913 -- one argument for each option
    *,
    tenant: str | None,
    config_file: Path,
    every: bool,
    location: str | None,
    verify: Path | None,
    since: str,
    until: str,
    format_name: str | None,
    output: Path | None,
    zone_name: str,
) -> None:
    """Write a report about TENANT: availability, incidents, latency, and failed requests.

    Each report has a SHA-256 of its data. --verify compares it, and finds whether a JSON report was
    changed. It does not show who wrote the report: sign the file for that. PDF needs Chromium.
    Charts of a Markdown file are SVG files beside it; their names begin with its own.

    It reads the history in the state directory, sends no request and reads no token.

    \b
    Examples:
      prober report acme-prod --config config/prober.yaml
      prober report acme-prod --since 24h --output acme-prod.html --config config/prober.yaml
      prober report --all --since 30d --output all.html --config config/prober.yaml
      prober report --verify acme-prod.json --config config/prober.yaml
      prober report acme-prod --since 2026-11-01 --until 2026-12-01 --format json \\
        --config config/prober.yaml

    Exit status: 0; 1 if there is no history for that period, or --verify finds a change; 2 for an
    invalid command line or configuration.
    """
    if verify is not None:
        _verify(verify)
        return
    if every is (tenant is not None):
        raise click.UsageError("write the name of a tenant, or --all")
    chosen_format = _format(format_name, output)
    configuration, now, vantage = _load(config_file), time.time(), read_vantage(location)
    span = _time_range(since, until, zone_name, now)
    if tenant is None:
        fleet = _fleet_report(configuration, span, FleetContext(now, zone_name, vantage))
        _deliver_fleet(fleet, chosen_format, output)
        return
    context = ReportContext(now, zone_name, vantage, configuration.history.retention_seconds)
    _deliver_report(_report(configuration, tenant, span, context), chosen_format, output)


def _report(configuration: Config, name: str, span: TimeRange, context: ReportContext) -> Report:
    tenant = choose_tenant(configuration.tenants, name)
    past = _read_history(configuration, name, span, context.now)
    previous = _previous(configuration, name, span, context.now)
    return build_report(tenant, past, span, context, previous)


def _verify(file: Path) -> None:
    """Say whether a JSON report is unchanged; raises ReportChangedError."""
    try:
        document = json.loads(file.read_bytes())
        claimed = document["data_sha256"]
        found = digest(document)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise click.UsageError(
            f"--verify {file}: it is no JSON report of `prober report --format json`"
        ) from error
    if claimed != found:
        raise ReportChangedError(
            f"{file} was changed since it was written: its data has the SHA-256 {found}, and"
            f" it says {claimed}"
        )
    click.echo(f"{file}: unchanged, SHA-256 of the data {found}")


def _previous(
    configuration: Config, tenant: str, span: TimeRange, now: float
) -> PeriodFigures | None:
    try:
        return previous_figures(configuration.state_directory, tenant, span, now)
    except OSError:
        return None


def _fleet_report(configuration: Config, span: TimeRange, context: FleetContext) -> FleetReport:
    rows = []
    for tenant in configuration.tenants:
        try:
            totals, incidents = read_figures(
                configuration.state_directory, tenant.name, span, context.now
            )
        except OSError as error:
            raise HistoryError(
                f"the history in {configuration.state_directory} cannot be read:"
                f" {error.strerror or error}"
            ) from error
        current = period_figures(span, totals, incidents.count)
        previous = _previous(configuration, tenant.name, span, context.now)
        rows.append(fleet_row(tenant, totals, current, previous))
    return fleet_report(rows, [each.name for each in configuration.tenants], span, context)


def _deliver_fleet(made: FleetReport, format_name: str, output: Path | None) -> None:
    if not made.tenants:
        raise HistoryError("no tenant has data in this period: see `prober report TENANT`")
    if format_name == "json":
        _deliver(json_text(asdict(made)) + "\n", output)
    elif format_name == "md":
        _deliver(render_fleet_markdown(made), output)
    else:
        _deliver_html(render_fleet_html(made), format_name, output)


def _deliver_report(made: Report, format_name: str, output: Path | None) -> None:
    if format_name == "json":
        _deliver(json_text(asdict(made)) + "\n", output)
    elif format_name != "md":
        _deliver_html(render_html(made), format_name, output)
    elif output is None:
        _deliver(render_markdown(made), output)
    else:
        for name, content in chart_files(made, output.stem).items():
            _deliver(content, output.with_name(name))
        _deliver(render_markdown(made, chart_links(made, output.stem)), output)


def _deliver_html(html: str, format_name: str, output: Path | None) -> None:
    if format_name == "html":
        _deliver(html, output)
    elif output is None:
        raise click.UsageError("a PDF goes to a file: add --output FILE.pdf")
    else:
        _write(print_pdf(html), output)


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


def _load(config_file: Path) -> Config:
    """Return the configuration, with the state directory that there is."""
    configuration = load(config_file)
    directory = existing_state(configuration.state_directory, config_file)
    return replace(configuration, state_directory=directory)


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
    if output is None:
        click.echo(text.encode(), nl=False)
    else:
        _write(text.encode(), output)


def _write(content: bytes, output: Path) -> None:
    try:
        output.write_bytes(content)
    except OSError as error:
        raise click.UsageError(f"--output {output}: {error.strerror or error}") from error
