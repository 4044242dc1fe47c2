"""Tenant and probe by name, a shard by number; what is not there is answered with what is.

The exit status of commands that judge: one for each outcome.

Where commands print: consoles that never fail for a character, and JSON one document a line.
"""

import io
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

import click
from rich.console import Console

from prober.models import Probe, Shard, Tenant
from prober.outcomes import Outcome

_LISTED = 10
_SHARD = re.compile(r"([0-9]{1,4})/([0-9]{1,4})", re.ASCII)


class _ShardType(click.ParamType[Shard]):
    """INDEX/COUNT, from 0."""

    name = "INDEX/COUNT"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Shard:
        """Return the shard, or say what would be one."""
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
    required=True,
    help="The YAML file that says what to watch; see config/prober.yaml.",
)

web_config_option = click.option(
    "--web-config-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="TLS and users of the web server, as Prometheus has them; in place of web.config_file.",
)


def choose_tenant(tenants: Iterable[Tenant], name: str) -> Tenant:
    """Return the tenant of that name; raises click.BadParameter with suggestions."""
    by_name = {tenant.name: tenant for tenant in tenants}
    if name not in by_name:
        raise click.BadParameter(_unknown("tenant", name, list(by_name)), param_hint="TENANT")
    return by_name[name]


def choose_probes(tenant: Tenant, name: str | None) -> Sequence[Probe]:
    """Return the probe of that name, or all for None; raises click.BadParameter likewise."""
    if name is None:
        return tenant.probes
    by_name = {probe.name: probe for probe in tenant.probes}
    if name not in by_name:
        message = _unknown(f"probe of '{tenant.name}'", name, list(by_name))
        raise click.BadParameter(message, param_hint="PROBE")
    return [by_name[name]]


def _unknown(what: str, name: str, known: list[str]) -> str:
    near = get_close_matches(name, known)
    if near:
        return f"there is no {what} named '{name}'; did you mean {_listed(near)}?"
    if not known:
        return f"there is no {what} named '{name}'; there is none at all"
    return f"there is no {what} named '{name}'; there are {_listed(known)}"


def _listed(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_LISTED])
    return shown if len(names) <= _LISTED else f"{shown} and {len(names) - _LISTED} more"


BY_OUTCOME = MappingProxyType(
    {
        Outcome.SUCCESS: 0,
        Outcome.AUTH_FAILURE: 10,
        Outcome.API_ERROR: 11,
        Outcome.NETWORK_FAILURE: 12,
        Outcome.PROBER_FAULT: 13,
    }
)
OTHER_ERROR = 1
USAGE_OR_SETTINGS = 2
INTERRUPTED = 130

# What hides more comes first: a prober that cannot ask has learned nothing about anything else.
_BY_SEVERITY = (
    Outcome.PROBER_FAULT,
    Outcome.NETWORK_FAILURE,
    Outcome.AUTH_FAILURE,
    Outcome.API_ERROR,
    Outcome.SUCCESS,
)

# One per line, as click prints it under \b.
HELP = """\b
Exit status:
  0   success
  10  auth_failure: the credential
  11  api_error: the platform, or what was asked of it
  12  network_failure: the way to the platform
  13  prober_fault: the prober itself
  2   a command line or a configuration that cannot be used
  1   any other error

Of several results the worst counts: prober_fault, then network_failure, auth_failure, api_error,
success."""


def exit_code_for(outcomes: Iterable[Outcome]) -> int:
    """Return the exit status of the worst outcome; 0 for none."""
    seen = set(outcomes)
    return next((BY_OUTCOME[outcome] for outcome in _BY_SEVERITY if outcome in seen), 0)


# Without a terminal rich would fold at 80; a file or a pager folds by itself, or need not.
_WIDTH_OF_A_FILE = 120


def console(*, stderr: bool = False) -> Console:
    """Return a console on stdout or stderr; what its encoding lacks is printed as `?`."""
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
    width = None if stream.isatty() else _WIDTH_OF_A_FILE
    return Console(file=stream, width=width, highlight=False, emoji=False, markup=False)


def print_json(document: Mapping[str, object]) -> None:
    """Print one document in one line."""
    click.echo(json_text(document))


def json_text(document: Mapping[str, object]) -> str:
    """Return one document in one line."""
    return json.dumps(document, allow_nan=False)
