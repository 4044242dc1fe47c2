"""`prober report`: what happened to a tenant, as a document to hand to the supplier."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import tzinfo
from pathlib import Path
from types import MappingProxyType

import click

from prober.attempt import VERSION
from prober.cli.choices import choose_tenant, config_option
from prober.cli.output import json_text
from prober.errors import HistoryError
from prober.report.build import Circumstances, report
from prober.report.document import Report
from prober.report.markdown import markdown
from prober.report.page import page
from prober.report.past import Past, read_past
from prober.report.span import Span, read_moment, read_zone, span_of
from prober.settings.load import load
from prober.settings.resolve import Configuration
from prober.views.quantities import moment


def _as_json(made: Report) -> str:
    return json_text(asdict(made)) + "\n"


FORMATS: Mapping[str, Callable[[Report], str]] = MappingProxyType(
    {"md": markdown, "html": page, "json": _as_json}
)
_BY_SUFFIX = {".md": "md", ".html": "html", ".htm": "html", ".json": "json"}


@click.command("report")
@click.argument("tenant")
@config_option
@click.option(
    "--since",
    default="7d",
    show_default=True,
    help="How long ago (24h, 7d), or from when (2026-11-24, or 2026-11-24T15:04Z).",
)
@click.option("--until", default="now", show_default=True, help="Up to when, written likewise.")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(list(FORMATS)),
    help="Markdown, one HTML file, or JSON; by default as OUTPUT's name says, else md.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write; standard output by default.",
)
@click.option(
    "--timezone",
    "zone_name",
    default="UTC",
    show_default=True,
    help="On whose clock moments are read and told, such as Europe/Berlin; JSON has epoch seconds.",
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
    """Report what happened to TENANT: availability, incidents, latency, the calls that prove it.

    All is read from the history in the state directory, whether the daemon runs or not; nothing is
    changed, nobody is called, and no token is read.

    \b
    Examples:
      prober report acme-prod --config config/prober.yaml
      prober report acme-prod --since 24h --output acme-prod.html --config config/prober.yaml
      prober report acme-prod --since 2026-11-01 --until 2026-12-01 --format json \\
        --config config/prober.yaml

    Exit status: 0; 1 if there is no history of that time; 2 for a command line or a configuration
    that cannot be used.
    """
    configuration = load(config_file)
    chosen = choose_tenant(configuration.tenants, tenant)
    now = time.time()
    span = _span(since, until, zone_name, now)
    past = _past(configuration, tenant, span, now)
    made = report(
        chosen,
        past,
        span,
        Circumstances(now, zone_name, VERSION, configuration.history.retention_seconds),
    )
    by_name = None if output is None else _BY_SUFFIX.get(output.suffix.lower())
    _deliver(FORMATS[format_name or by_name or "md"](made), output)


def _span(since: str, until: str, zone_name: str, now: float) -> Span:
    try:
        zone = read_zone(zone_name)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--timezone") from error
    first = _moment("--since", since, now, zone)
    last = _moment("--until", until, now, zone)
    try:
        return span_of(first, last, now)
    except ValueError as error:
        raise click.BadParameter(f"the span {error}", param_hint="--since, --until") from error


def _moment(option: str, text: str, now: float, zone: tzinfo) -> float:
    try:
        return read_moment(text, now, zone)
    except ValueError as error:
        raise click.BadParameter(f"'{text}': {error}", param_hint=option) from error


def _past(configuration: Configuration, tenant: str, span: Span, now: float) -> Past:
    directory = configuration.state_directory
    if not configuration.history.enabled:
        raise HistoryError(f"{configuration.source}: no history is kept: history.enabled is false")
    try:
        past = read_past(directory, tenant, span, now)
    except OSError as error:
        raise HistoryError(
            f"the history in {directory} cannot be read: {error.strerror or error}"
        ) from error
    if past.oldest is None:
        raise HistoryError(
            f"there is no history in {directory} that this version can read: it is written by"
            " `prober run` with this configuration"
        )
    if not past.totals and not past.spells:
        raise HistoryError(
            f"nothing is known of '{tenant}' from {moment(span.since)} to {moment(span.until)};"
            f" the history begins at {moment(past.oldest)}"
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
