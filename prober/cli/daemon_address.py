"""Finds the daemon that runs with a configuration file on this machine.

The daemon saves its address in its state directory. That is asked first, since the file on disk may
have been edited after the daemon read it, and may even be invalid: the daemon then goes on with
what it has, and is not unhealthy because of that.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from prober.cli.configuration_file import configuration_file
from prober.config.state_path import state_directory
from prober.config.yaml import read_text, read_yaml
from prober.errors import SettingsError
from prober.state_directory import read_address

_LISTEN_VARIABLE = "PROBER_WEB__LISTEN"
_STATE_VARIABLE = "PROBER_STATE__DIRECTORY"
_DIRECTORY = re.compile(r"^state:\s*(?:\{\s*|\n\s+)directory:\s*[\"']?([^\s\"'}#]+)", re.MULTILINE)
_ANY_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- as configured


class UnknownAddressError(ValueError):
    """The daemon's address cannot be found; the text says what to give instead."""


def local_url(host: str, port: int, *, is_tls: bool = False) -> str:
    """Return the URL of a daemon that listens on `host`, from the same machine."""
    reached = _ANY_ADDRESS.get(host, host)
    scheme = "https" if is_tls else "http"
    return f"{scheme}://{f'[{reached}]' if ':' in reached else reached}:{port}"


def saved_url(config_file: Path, environ: Mapping[str, str]) -> str | None:
    """Return the URL that the daemon with this configuration has saved; None if there is none.

    A relative directory is relative to the file, as everywhere.
    """
    written = environ.get(_STATE_VARIABLE) or _written_directory(config_file)
    return read_address(state_directory(written, config_file.absolute(), environ))


def daemon_urls(config_file: Path, environ: Mapping[str, str]) -> Sequence[str]:
    """Return the URLs of the daemon to try: the saved one, else the configured one.

    TLS may have been turned on since the daemon saved its own. Raises UnknownAddressError, and
    SettingsError if nothing was saved and the file is invalid.
    """
    saved = saved_url(config_file, environ)
    if saved is None:
        return (_configured_url(config_file, environ),)
    return tuple(dict.fromkeys((saved, re.sub("^http:", "https:", saved))))


def urls_to_ask(
    config_file: Path | None, url: str | None, environ: Mapping[str, str]
) -> Sequence[str]:
    """Return `url`, else the URLs of the daemon with a configuration; raises click.UsageError."""
    if url is None:
        try:
            return daemon_urls(configuration_file(config_file), environ)
        except UnknownAddressError as error:
            raise click.UsageError(str(error)) from None
    if config_file is not None:
        raise click.UsageError("give either --config or --url")
    return (url,)


def existing_state(directory: Path, config_file: Path, services: Path = Path("/var/lib")) -> Path:
    """Return the state directory to read: the configured one, or that of the service.

    systemd gives a service its directory by a variable that commands typed by hand do not have. It
    is taken only if the other one does not exist. The service is named like the file.
    """
    service = services / config_file.stem
    return service if not directory.exists() and service.is_dir() else directory


def _configured_url(config_file: Path, environ: Mapping[str, str]) -> str:
    # Late, since a daemon that has saved its address is found without all of this.
    from prober.config.addresses import listen_address  # noqa: PLC0415
    from prober.config.loader import load  # noqa: PLC0415

    try:
        configuration = load(config_file)
    except SettingsError:
        # Where the variable sets the address, the file says nothing about it.
        written = environ.get(_LISTEN_VARIABLE)
        if written is None:
            raise
        host, port = listen_address(written)
        return local_url(host, port)
    web = configuration.web
    if web.port == 0:
        raise UnknownAddressError("web.listen has port 0 (any free port): give --url")
    is_tls = configuration.access.tls is not None
    return local_url(web.host, web.port, is_tls=is_tls) + web.route_prefix


def _written_directory(config_file: Path) -> str | None:
    """Return `state.directory` of a configuration file, None if it has none or cannot be read.

    Nothing else in the file is looked at, and it may be invalid, even as YAML: while somebody edits
    it, the daemon goes on with what it has read before.
    """
    try:
        text = read_text(config_file)
    except SettingsError:
        return None
    document, problems = read_yaml(text, str(config_file))
    state = document.content.get("state")
    directory = state.get("directory") if isinstance(state, Mapping) else None
    if directory is None and problems and (found := _DIRECTORY.search(text)):
        directory = found[1]
    return directory if isinstance(directory, str) and directory else None
