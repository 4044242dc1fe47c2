"""Shared options of commands: names, shards, exit codes, and output on a terminal."""

import io
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

import click
from rich.console import Console

from prober.cli.configuration_file import configuration_file
from prober.cli.exit_codes import BY_OUTCOME
from prober.models import Probe, Shard, Tenant, Verdict
from prober.outcomes import Outcome

_LISTED = 10
_SHARD = re.compile(r"([0-9]{1,4})/([0-9]{1,4})", re.ASCII)


class _ShardType(click.ParamType[Shard]):
    """INDEX/COUNT, from 0."""

    name = "INDEX/COUNT"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Shard:
        """Return the shard; fails with a message that shows the form."""
        found = _SHARD.fullmatch(str(value))
        if found is None:
            self.fail(
                f"'{value}': write INDEX/COUNT, such as 0/3 for the first of three; without an"
                " index, a pod has no label apps.kubernetes.io/pod-index (Kubernetes before 1.28)",
                param,
                ctx,
            )
        try:
            return Shard(int(found[1]), int(found[2]))
        except ValueError as error:
            self.fail(f"'{value}': {error}", param, ctx)


SHARD = _ShardType()

config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    callback=lambda _context, _option, given: configuration_file(given),
    help="The YAML configuration file. Default: $PROBER_CONFIG, then prober.yaml, then"
    " /etc/prober/prober.yaml.",
)

web_config_option = click.option(
    "--web-config-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="TLS and users of the web server, in Prometheus' format; replaces web.config_file.",
)


def choose_tenant(tenants: Iterable[Tenant], name: str) -> Tenant:
    """Return the tenant of that name; raises click.BadParameter with suggestions."""
    by_name = {tenant.name: tenant for tenant in tenants}
    if name not in by_name:
        raise click.BadParameter(unknown("tenant", name, list(by_name)), param_hint="TENANT")
    return by_name[name]


def choose_probes(tenant: Tenant, name: str | None) -> Sequence[Probe]:
    """Return the probe of that name, all for None; raises click.BadParameter with suggestions."""
    if name is None:
        return tenant.probes
    by_name = {probe.name: probe for probe in tenant.probes}
    if name not in by_name:
        message = unknown(f"probe of '{tenant.name}'", name, list(by_name))
        raise click.BadParameter(message, param_hint="PROBE")
    return [by_name[name]]


def unknown(what: str, name: str, known: list[str]) -> str:
    """Return the message for a name that there is not, with the names that are like it."""
    near = get_close_matches(name, known)
    if near:
        return f"there is no {what} named '{name}'; did you mean {_listed(near)}?"
    if not known:
        return f"there is no {what} named '{name}'; there are none"
    return f"there is no {what} named '{name}'; there are {_listed(known)}"


def _listed(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_LISTED])
    return shown if len(names) <= _LISTED else f"{shown} and {len(names) - _LISTED} more"


# Most severe first. An outcome that hides others comes before them: a prober that cannot send
# requests knows nothing about network, credentials or platform.
_BY_SEVERITY = (
    Outcome.PROBER_FAULT,
    Outcome.NETWORK_FAILURE,
    Outcome.AUTH_FAILURE,
    Outcome.API_ERROR,
    Outcome.SUCCESS,
)

# click keeps these lines as they are, because of \b
HELP = """\b
Exit status:
  0   success
  10  auth_failure: the credentials
  11  api_error: the platform, or the probe request
  12  network_failure: the network path to the platform
  13  prober_fault: the prober itself
  2   an invalid command line or configuration
  1   any other error

With several results, the most severe one counts: prober_fault, then network_failure,
auth_failure, api_error, success."""


def exit_code_for(outcomes: Iterable[Outcome]) -> int:
    """Return the exit code of the most severe outcome; 0 for none."""
    seen = set(outcomes)
    return next((BY_OUTCOME[outcome] for outcome in _BY_SEVERITY if outcome in seen), 0)


def verdict_line(verdict: Verdict) -> str:
    """Return a verdict in one line: the outcome, and for a failure the culprit and the evidence."""
    if verdict.succeeded:
        return "success"
    return f"{verdict.outcome}, {verdict.culprit}: {verdict.evidence}"


def first_line(limit_bytes: int) -> str:
    """Return the first line of standard input without its end; raises click.UsageError.

    Bytes that are not text are kept as surrogates. What is longer than the limit is refused, so
    that an endless line ends too.
    """
    stream = sys.stdin
    try:
        line = stream.readline(limit_bytes + 1)
    except (OSError, ValueError) as error:  # a directory, a closed or a write-only descriptor
        raise click.UsageError(f"standard input cannot be read: {error}") from error
    if len(line) > limit_bytes:
        raise click.UsageError(f"the first line of standard input is over {limit_bytes} bytes")
    return line.rstrip("\r\n")


def keep_undecodable_input() -> None:
    """Let standard input have bytes that are not text; call it before anything is read."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")


# Without a terminal rich would wrap lines at 80 columns; a pager wraps them itself.
_FILE_WIDTH = 120


def console(*, stderr: bool = False) -> Console:
    """Return a console on stdout or stderr; characters outside its encoding are printed as `?`."""
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
    width = None if stream.isatty() else _FILE_WIDTH
    return Console(file=stream, width=width, highlight=False, emoji=False, markup=False)


def print_json(document: Mapping[str, object]) -> None:
    """Print a document as one line of JSON."""
    click.echo(json_text(document))


def json_text(document: Mapping[str, object]) -> str:
    """Return a document as one line of JSON."""
    return json.dumps(document, allow_nan=False)
