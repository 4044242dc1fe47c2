"""`prober init`: asks for an address and a token, tries them, and writes a first configuration."""

import asyncio
import os
import re
import shlex
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import click
import yaml

from prober.cli.options import (
    exit_code_for,
    first_line,
    keep_undecodable_input,
    verdict_line,
)
from prober.cli.session import Session, builtin_probe, session
from prober.config.editor import PRIVATE, EditError, create_file
from prober.config.includes import real_path
from prober.config.loader import load
from prober.config.strict_model import SLUG_PATTERN
from prober.config.tenant_address import TenantAddress, parse_tenant_address
from prober.errors import SettingsError, TokenUnavailableError
from prober.models import ProbeResult, Tenant, TokenSource, TokenSourceKind
from prober.tokens.sources import MAX_TOKEN_BYTES, FileSource, parse_token

CONFIG_NAME, SCRAPE_NAME = "prober.yaml", "prometheus-scrape.yml"
_PUBLIC = 0o644
_LISTEN = "127.0.0.1:9824"
_WIDTH = 2**20  # no text is broken into lines
_TRIED = ("current-user", "datasets", "sources")
_BEARER = re.compile(r"(?:authorization:\s*)?bearer(?:\s+|$)", re.IGNORECASE)
_TOKEN_VARIABLE = "TOKEN"  # noqa: S105 -- a name
_INSTRUCTIONS = (
    "A token: sign in as a user made for prober alone, since a new token invalidates the old one of"
    " its user at once. Then Administration, My Account, API token, Regenerate."
)


@dataclass(frozen=True, slots=True)
class _Token:
    """A token, and the file in which it already is, if it came from one."""

    text: str
    file: Path | None = None


@click.command()
@click.option("--address", help="The tenant's address, as the browser shows it.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file with the token; the configuration names it, and it stays where it is.",
)
@click.option("--token-env", metavar="NAME", help="An environment variable with the token.")
@click.option("--name", help="The tenant's name in metrics and pages. Default: from the address.")
@click.option("--environment", default="production", show_default=True, help="Its environment.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Where to write the files. Default: the current directory.",
)
@click.option("--force", is_flag=True, help="Replace files that exist.")
@click.option("--no-input", is_flag=True, help="Ask nothing: fail if something is missing.")
@click.option("--no-try", is_flag=True, help="Send no request, and write the files anyway.")
def init(  # noqa: PLR0913 -- one argument for each option
    *,
    address: str | None,
    token_file: Path | None,
    token_env: str | None,
    name: str | None,
    environment: str,
    directory: Path,
    force: bool,
    no_input: bool,
    no_try: bool,
) -> None:
    """Write a first configuration: ask for an address and a token, and try them at once.

    Writes prober.yaml, the token in a file that only you can read, and prometheus-scrape.yml. No
    existing file is replaced without --force. If the platform does not accept address and token,
    nothing is written. At most one request a second is sent.

    What no option gives is asked for; the token is not shown. If the input is no terminal, the
    token is its first line.

    \b
    Examples:
      prober init
      prober init --address https://cloud.uipath.com/acme/prod --token-env ACME_TOKEN --no-input
      prober init --address acme/prod --token-file /run/credentials/acme --directory /etc/prober

    Exit status: 0; 10 to 13 if the platform does not accept them (see 'prober probe --help'); 1 if
    a file cannot be written; 2 for an invalid command line.
    """
    keep_undecodable_input()
    found = _address(address, no_input=no_input)
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    chosen = _name(name, found)
    if token_file is not None and token_env is not None:
        raise click.UsageError("give either --token-file or --token-env")
    files = _Files(directory, chosen, token_file)
    if not force:
        files.require_new()
    token = _token(token_file, token_env, no_input=no_input)
    tenant = _tenant(files, _configuration(found, chosen, environment, files, _TRIED))
    succeeded = list(_TRIED)
    if not no_try:
        results = asyncio.run(_try(tenant, token))
        succeeded = [each.probe for each in results if each.verdict.succeeded]
        _require_accepted(results)
    text = _configuration(found, chosen, environment, files, succeeded)
    files.write(token, text, force=force)
    _print_next(files, chosen)


class _Files:
    """The files that are written, and where the token is."""

    def __init__(self, directory: Path, name: str, token_file: Path | None) -> None:
        self.directory = directory
        self.config = directory / CONFIG_NAME
        self.scrape = directory / SCRAPE_NAME
        self.own_token = None if token_file is not None else directory / f"{name}.token"
        self.token_path = self._written_path(token_file) if token_file else f"{name}.token"
        self._require_apart(token_file)

    def _require_apart(self, token_file: Path | None) -> None:
        """Raise click.UsageError if the token's own file would be replaced."""
        for path in (self.config, self.scrape):
            if token_file is not None and os.path.realpath(path) == os.path.realpath(token_file):
                raise click.UsageError(f"--token-file {token_file} is a file that init writes")

    def require_new(self) -> None:
        """Raise EditError if a file exists already."""
        paths = [path for path in (self.config, self.own_token, self.scrape) if path is not None]
        existing = [str(path) for path in paths if os.path.lexists(path)]
        if existing:
            there = " and ".join(existing)
            raise EditError(
                f"{there}: exists, nothing was written; --force replaces existing files"
            )

    def write(self, token: _Token, text: str, *, force: bool) -> None:
        """Write all files, or none."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"{self.directory} cannot be created: {error.strerror}"
            raise EditError(message) from error
        with ExitStack() as undo:
            for path, content, mode in (
                (self.own_token, f"{token.text}\n", PRIVATE),
                (self.config, text, _PUBLIC),
                (self.scrape, _SCRAPE, _PUBLIC),
            ):
                if path is None:
                    continue
                is_new = not os.path.lexists(path)
                create_file(path, content, mode, force=force)
                if is_new:
                    undo.callback(path.unlink, missing_ok=True)
            undo.pop_all()

    def _written_path(self, token_file: Path) -> str:
        """Return the path of a token file as the configuration names it."""
        absolute, directory = token_file.absolute(), self.directory.absolute()
        if absolute.is_relative_to(directory):
            return str(absolute.relative_to(directory))
        return str(absolute)


def _address(given: str | None, *, no_input: bool) -> TenantAddress:
    if given is not None:
        try:
            return parse_tenant_address(given)
        except ValueError as error:
            raise click.BadParameter(f"the address {error}", param_hint="--address") from error
    if no_input:
        raise click.UsageError("--address is missing, and --no-input asks for nothing")
    while True:
        text = click.prompt("Address of the tenant, as the browser shows it", err=True)
        try:
            return parse_tenant_address(text)
        except ValueError as error:
            click.echo(f"The address {error}.", err=True)


def _name(given: str | None, address: TenantAddress) -> str:
    name = address.suggested_name if given is None else given
    if not re.fullmatch(SLUG_PATTERN, name):
        message = f"'{name}': write lower-case letters, digits, '-' and '_' (at most 63)"
        raise click.BadParameter(message, param_hint="--name")
    return name


def _token(file: Path | None, variable: str | None, *, no_input: bool) -> _Token:
    """Return the token from its source; raises click.UsageError without ever quoting it."""
    if file is not None:
        reading = FileSource(file).read(None)
        if reading.secret is None:
            raise click.UsageError(reading.problem)
        return _Token(reading.secret.get_secret_value(), file)
    if variable is not None:
        if not os.environ.get(variable):
            raise click.UsageError(f"the environment variable {variable} is not set, or is empty")
        return _Token(_cleaned(os.environ[variable]))
    if no_input:
        raise click.UsageError("name --token-file or --token-env: --no-input asks for nothing")
    if not sys.stdin.isatty():
        return _Token(_cleaned(first_line(MAX_TOKEN_BYTES)))
    click.echo(_INSTRUCTIONS, err=True)
    return _Token(_cleaned(click.prompt("Token (not shown)", hide_input=True, err=True)))


def _cleaned(text: str) -> str:
    """Return a token without the quotes and 'Bearer' that it was copied with.

    Raises click.UsageError.
    """
    token = text.strip()
    for what, shorter in (
        ("quotes", token.strip("\"'")),
        ("'Bearer'", _BEARER.sub("", token.strip("\"'"), count=1)),
    ):
        if shorter != token:
            click.echo(f"note: left out {what} around the token", err=True)
            token = shorter.strip()
    try:
        return parse_token(token.encode("utf-8", "surrogateescape"), "the token").get_secret_value()
    except TokenUnavailableError as error:
        raise click.UsageError(str(error)) from error


def _configuration(
    address: TenantAddress, name: str, environment: str, files: _Files, probes: Sequence[str]
) -> str:
    keys = "".join(f"    {key}: {_quoted(value)}\n" for key, value in address.keys)
    listed = "".join(f"      - {probe}\n" for probe in probes)
    return (
        "# Written by 'prober init'. 'prober discover' finds further probes, 'prober schema' lists"
        " all keys.\n"
        f'web: {{listen: "{_LISTEN}"}}   # status page, API, and /metrics for Prometheus\n'
        "tenants:\n"
        f"  - name: {name}\n"
        f"{keys}"
        f"    environment: {_quoted(environment)}\n"
        f"    token: {{file: {_quoted(files.token_path)}}}\n"
        f"    probes:\n{listed}"
    )


def _quoted(text: str) -> str:
    """Return a text in YAML's double quotes, in one line, whatever characters it has."""
    return yaml.safe_dump(text, default_style='"', width=_WIDTH).rstrip("\n")


_SCRAPE = f"""\
# For prometheus.yml: add this job to its scrape_configs, or name this file in scrape_config_files.
scrape_configs:
  - job_name: prober
    static_configs: [{{targets: ["{_LISTEN}"]}}]
"""


def _tenant(files: _Files, text: str) -> Tenant:
    """Return the tenant of a configuration that is not written yet, with the token to be tried."""
    try:
        configuration = load(files.config, texts={real_path(files.config): text})
    except SettingsError as error:
        messages = "; ".join(f"{each.key}: {each.message}" for each in error.problems)
        raise click.UsageError(messages) from error
    source = TokenSource(TokenSourceKind.ENVIRONMENT, _TOKEN_VARIABLE)
    return replace(configuration.tenants[0], token=source)


async def _try(tenant: Tenant, token: _Token) -> list[ProbeResult]:
    """Run the first probes once each; only the first one if that fails."""
    async with session(tenant, {_TOKEN_VARIABLE: token.text}) as opened:
        return await _run(opened)


async def _run(opened: Session) -> list[ProbeResult]:
    results = []
    for name in _TRIED:
        result = await opened.send(builtin_probe(name))
        click.echo(f"{name}: {verdict_line(result.verdict)}", err=True)
        results.append(result)
        if name == _TRIED[0] and not result.verdict.succeeded:
            break
    return results


def _require_accepted(results: list[ProbeResult]) -> None:
    """End with the exit status of the outcome if the first probe failed."""
    verdict = results[0].verdict
    if verdict.succeeded:
        return
    click.echo("nothing was written; --no-try writes the files without a try", err=True)
    click.get_current_context().exit(exit_code_for([verdict.outcome]))


def _print_next(files: _Files, name: str) -> None:
    written = [files.config, files.own_token, files.scrape]
    click.echo(f"wrote {', '.join(str(path) for path in written if path is not None)}")
    config = "" if files.directory == Path() else f" --config {shlex.quote(str(files.config))}"
    click.echo("Next:")
    for command, what in (
        (f"prober validate{config} --live", "check the configuration, and the token once more"),
        (f"prober discover {name}{config} --write", "add the probes that are possible"),
        (f"prober run{config}", f"probe; the page is http://{_LISTEN}/"),
    ):
        click.echo(f"  {command:<60} # {what}")
