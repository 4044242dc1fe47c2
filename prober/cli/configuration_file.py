"""Where a command finds its configuration. Imported by `prober health`, so without much else."""

from os import environ
from pathlib import Path

import click

from prober.config.state_path import CONFIG_VARIABLE

CONFIG_FILES = (Path("prober.yaml"), Path("/etc/prober/prober.yaml"))
"""Where the configuration is looked for if neither --config nor PROBER_CONFIG names it."""


def configuration_file(given: Path | None) -> Path:
    """Return the configuration file to use; raises click.UsageError if there is none."""
    if given is not None:
        return given
    if environ.get(CONFIG_VARIABLE):
        return Path(environ[CONFIG_VARIABLE])
    found = next((path for path in CONFIG_FILES if path.is_file()), None)
    if found is None:
        places = " and ".join(str(path.absolute()) for path in CONFIG_FILES)
        raise click.UsageError(
            f"there is no configuration: {places} do not exist. Name a file with --config or in"
            f" {CONFIG_VARIABLE}, or let 'prober init' write one"
        )
    return found
