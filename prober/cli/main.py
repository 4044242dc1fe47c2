"""The `prober` command. Subcommands are imported when they are used, to start quickly."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any, NoReturn

import click

from prober.cli.exit_codes import INTERRUPTED, OTHER_ERROR, USAGE_OR_SETTINGS
from prober.errors import ProberError, SettingsError, escaped
from prober.version import current_version


@dataclass(frozen=True, slots=True)
class _Entry:
    """The import location of a command, and its line in the command list."""

    module: str
    attribute: str
    summary: str


COMMANDS: Mapping[str, _Entry] = MappingProxyType(
    {
        "run": _Entry("prober.cli.run", "run", "Run the daemon: probe all tenants on schedule."),
        "validate": _Entry(
            "prober.cli.validate", "validate", "Check a configuration and list all problems."
        ),
        "init": _Entry("prober.cli.init", "init", "Write a first configuration, and try it."),
        "discover": _Entry(
            "prober.cli.discover",
            "discover",
            "List what a token can see, and add the probes that are possible.",
        ),
        "permissions": _Entry(
            "prober.cli.permissions",
            "permissions",
            "Show which permissions the probes of a tenant need and have.",
        ),
        "probe": _Entry("prober.cli.probe", "probe", "Probe a tenant once and show the evidence."),
        "tokens": _Entry(
            "prober.cli.tokens", "token", "Show the tokens of all tenants: state, times, sharing."
        ),
        "status": _Entry(
            "prober.cli.status", "status", "Show what the running daemon knows of all tenants."
        ),
        "report": _Entry(
            "prober.cli.report",
            "report_command",
            "Write a report about a tenant, for the supplier.",
        ),
        "health": _Entry(
            "prober.cli.health", "health", "Check whether a running daemon is healthy."
        ),
        "explain": _Entry(
            "prober.cli.explain", "explain", "Classify a saved response, without network access."
        ),
        "schema": _Entry(
            "prober.cli.validate",
            "schema",
            "Print the JSON Schema of the configuration, for editors.",
        ),
        "hash-password": _Entry(
            "prober.cli.hash_password", "hash_password", "Hash a password for web.yml."
        ),
        "completion": _Entry(
            "prober.cli.manual", "completion", "Print a script for the shell to complete commands."
        ),
        "man": _Entry("prober.cli.manual", "man", "Print the manual page."),
        "kubernetes": _Entry(
            "prober.cli.kubernetes",
            "kubernetes",
            "Print Kubernetes objects, so that a pod holds only its own tokens.",
        ),
        "simulate": _Entry(
            "prober.cli.simulate", "simulate", "Run a simulated platform with faults on demand."
        ),
        "demo": _Entry(
            "prober.cli.demo",
            "demo",
            "Run everything on this machine against a simulated platform.",
        ),
    }
)


class LazyGroup(click.Group):
    """A group with lazily imported commands and uniform error handling."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of `COMMANDS`, in which new users need them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command, or return None for an unknown name."""
        del ctx
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command = getattr(import_module(entry.module), entry.attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{entry.module}:{entry.attribute} is not a command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest similar names for an unknown one; click only knows imported commands."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            raise click.exceptions.NoSuchCommand(name, possibilities=COMMANDS, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 -- click's signature
        """Run a command. A ProberError becomes a message on stderr and an exit status."""
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            _end(ctx, [str(problem) for problem in error.problems], USAGE_OR_SETTINGS)
        except ProberError as error:
            _end(ctx, [escaped(line) for line in f"prober: {error}".split("\n")], OTHER_ERROR)
        except click.ClickException as error:
            # It may quote a path or a value of a file that others write.
            message = "\n".join(map(escaped, error.message.split("\n")))
            setattr(error, "message", message)  # noqa: B010 -- click declares it as final
            raise
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)


def _end(ctx: click.Context, lines: list[str], status: int) -> NoReturn:
    for line in lines:
        click.echo(line, err=True)
    ctx.exit(status)


def _print_version(ctx: click.Context, _option: click.Parameter, requested: bool) -> None:  # noqa: FBT001 -- click's signature
    if requested and not ctx.resilient_parsing:
        build = current_version()
        click.echo(f"prober {build.version} (revision {build.revision})")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and the commit, and exit.",
)
def main() -> None:
    """Probe the Communications Mining API of each tenant and name the culprit of each failure.

    \b
    Start with:
      prober demo                see it work, against a simulated platform
      prober init                write a configuration for your first tenant
      prober probe acme-prod     run its probes once
      prober run                 run the daemon: http://127.0.0.1:9824/
    """
