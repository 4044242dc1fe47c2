"""`prober hash-password`: hashes a password for web.yml."""

import sys

import bcrypt
import click

from prober.cli.options import first_line, keep_undecodable_input

_MAX_BYTES = 72
_MAX_LINE_BYTES = 1024
_COST = 10  # about 50 ms, as Prometheus' documentation recommends


@click.command()
def hash_password() -> None:
    """Read a password and print its bcrypt hash, for basic_auth_users of web.yml.

    Prompts on a terminal; otherwise reads one line of standard input.

    \b
    Example:
      prober hash-password
      echo "$PASSWORD" | prober hash-password
    """
    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        keep_undecodable_input()
        password = first_line(_MAX_LINE_BYTES)
    try:
        written = password.encode()
    except UnicodeEncodeError as error:
        raise click.UsageError("the password is not UTF-8 text: browsers send UTF-8") from error
    if not written:
        raise click.UsageError("the password is empty: enter it on one line")
    if len(written) > _MAX_BYTES:
        raise click.UsageError(f"write at most {_MAX_BYTES} bytes: bcrypt ignores the rest")
    if b"\0" in written:
        raise click.UsageError("the password has a NUL character, which bcrypt does not accept")
    click.echo(bcrypt.hashpw(written, bcrypt.gensalt(_COST)).decode())
