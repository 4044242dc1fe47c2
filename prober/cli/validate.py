"""`prober validate` and `prober schema`: check a configuration file, and print its JSON Schema."""

import json
from collections import Counter
from collections.abc import Sequence
from os import environ
from pathlib import Path

import click

from prober.classifier.silence import LEAST_DECIDABLE_TIMEOUT_SECONDS
from prober.cli.configuration_file import configuration_file
from prober.cli.exit_codes import OTHER_ERROR
from prober.cli.options import web_config_option
from prober.config.file_checks import missing_source_warnings, permission_warnings
from prober.config.limits import check_series_limit
from prober.config.loader import load, locate
from prober.config.resolve import Config
from prober.config.schema import ConfigFile
from prober.config.sharding import assign_shards
from prober.config.user_access import User, access_warnings, find_user
from prober.errors import SettingsError
from prober.metrics.registry import series_estimate
from prober.models import MAX_SHARDS, Tenant


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="The same as FILE. Default: $PROBER_CONFIG, then prober.yaml, then"
    " /etc/prober/prober.yaml.",
)
@web_config_option
@click.option(
    "--shards",
    type=click.IntRange(1, MAX_SHARDS),
    help="Show the tenants of each shard, for this number of shards.",
)
@click.option(
    "--as-user",
    "user_text",
    metavar="USER[:GROUP,...]",
    help="Also name the files that the daemon's user may not read; names or numbers.",
)
@click.option(
    "--live",
    is_flag=True,
    help="Try the address and the token of each tenant once, with one request a second.",
)
def validate(
    *,
    file: Path | None,
    config_file: Path | None,
    web_config_file: Path | None,
    shards: int | None,
    user_text: str | None,
    live: bool,
) -> None:
    """Check the configuration in FILE. Starts nothing, and sends no request without --live.

    Lists all problems at once, each with file, line, key and what to write instead. Also checks
    web.config_file and its certificates. Does not read tokens, but warns of token files that are
    missing or that every user can read, and of variables that are not set.

    \b
    Example:
      prober validate config/prober.yaml
      prober validate config/prober.yaml --shards 3
      prober validate /etc/prober/prober.yaml --as-user nobody:prober-tokens

    Exit status: 0 if the configuration is valid; 1 if not, if --as-user may not read a file, or if
    with --live a tenant does not accept its token; 2 for a wrong command line.
    """
    if file is not None and config_file is not None:
        raise click.UsageError("name one file, such as: prober validate config/prober.yaml")
    chosen = configuration_file(file or config_file)
    try:
        configuration = load(chosen, web_config_file)
        check_series_limit(configuration)
    except SettingsError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        count = len(error.problems)
        click.echo(f"{chosen}: {count} problem{'' if count == 1 else 's'}", err=True)
        click.get_current_context().exit(OTHER_ERROR)
    notes = missing_source_warnings(configuration, environ) + permission_warnings(configuration)
    unreadable = [] if user_text is None else access_warnings(configuration, _user(user_text))
    for warning in (*configuration.warnings, *locate(chosen, notes)):
        click.echo(f"warning: {warning}", err=True)
    for line in _summary(configuration):
        click.echo(line)
    for line in [] if shards is None else _shard_assignment(configuration, shards):
        click.echo(line)
    for problem in locate(chosen, unreadable):
        click.echo(str(problem), err=True)
    if unreadable:
        click.get_current_context().exit(OTHER_ERROR)
    if live:
        _try_tenants(configuration)


def _user(text: str) -> User:
    try:
        return find_user(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--as-user") from error


def _try_tenants(configuration: Config) -> None:
    """Print whether each tenant accepts its token; ends with 1 if one does not."""
    # Imported late: without --live, nothing of the HTTP client is needed.
    from prober.cli.session import accepted_tokens  # noqa: PLC0415

    click.echo("live:")
    if not accepted_tokens(configuration):
        click.get_current_context().exit(OTHER_ERROR)


def _summary(configuration: Config) -> list[str]:
    tenants = configuration.tenants
    per_second = sum(1 / probe.interval_seconds for tenant in tenants for probe in tenant.probes)
    series = series_estimate(tenants, configuration.metrics.histograms)
    lines = [f"{configuration.source}: valid"]
    for tenant in tenants:
        intervals = Counter(f"{probe.interval_seconds:g}s" for probe in tenant.probes)
        rates = ", ".join(f"{count} every {interval}" for interval, count in intervals.items())
        lines.append(f"  {tenant.name} ({tenant.environment}) {tenant.base_url}: probes {rates}")
    lines.append(f"  total: {per_second:.3g} requests per second, {series:,} time series at start")
    return lines + _costs(tenants) + _undecided_timeouts(tenants)


_DAY_SECONDS = 86_400


def _costs(tenants: Sequence[Tenant]) -> list[str]:
    """Name the canaries, with what each writes and costs a day."""
    return [
        f"  {tenant.name}: {probe.name} writes one comment every {probe.interval_seconds:g}s:"
        f" {_DAY_SECONDS / probe.interval_seconds:,.3g} a day, each billed as 1 AI Unit or 0.2"
        " Platform Units"
        for tenant in tenants
        for probe in tenant.probes
        if probe.canary is not None
    ]


def _undecided_timeouts(tenants: Sequence[Tenant]) -> list[str]:
    """Name the probes that give up before keep-alive can tell why there is no response."""
    lines = []
    for tenant in tenants:
        names = [
            probe.name
            for probe in tenant.probes
            if probe.timeout_seconds < LEAST_DECIDABLE_TIMEOUT_SECONDS
        ]
        if names:
            lines.append(
                f"  {tenant.name}: {', '.join(names)}: with a timeout under"
                f" {LEAST_DECIDABLE_TIMEOUT_SECONDS:g}s, a response that does not come in time"
                " stays undecided (platform or network path)"
            )
    return lines


def _shard_assignment(configuration: Config, count: int) -> list[str]:
    owners = assign_shards(configuration.tenants, count)
    lines = []
    for index in range(count):
        names = [name for name, owner in owners.items() if owner == index]
        lines.append(f"  shard {index}/{count}: {' '.join(names) or 'no tenants (idle)'}")
    return lines


@click.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors and validators.

    \b
    Example:
      prober schema > prober.schema.json
      # and as the first line of the configuration:
      # yaml-language-server: $schema=prober.schema.json
    """
    click.echo(json.dumps(json_schema(), indent=2))


def json_schema() -> dict[str, object]:
    """Return the JSON Schema (draft 2020-12) of a configuration file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **ConfigFile.model_json_schema(),
        "title": "prober",
    }
