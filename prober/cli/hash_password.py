"""`prober hash-password`: a password as web.yml has it."""

import sys

import bcrypt
import click

_MAX_BYTES = 72
_COST = 10  # about 50 ms, as Prometheus' documentation has it


@click.command()
def hash_password() -> None:
    """Ask for a password and print its bcrypt hash, for basic_auth_users of web.yml.

    A line of standard input is taken where that is no terminal.

    \b
    Example:
      prober hash-password
      echo "$PASSWORD" | prober hash-password
    """
    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline(_MAX_BYTES * 4).rstrip("\r\n")
    written = password.encode()
    if not written:
        raise click.UsageError("the password is empty: write one, on one line")
    if len(written) > _MAX_BYTES:
        raise click.UsageError(f"write at most {_MAX_BYTES} bytes: bcrypt ignores what follows")
    if b"\0" in written:
        raise click.UsageError("the password has a NUL character, which bcrypt does not take")
    click.echo(bcrypt.hashpw(written, bcrypt.gensalt(_COST)).decode())
