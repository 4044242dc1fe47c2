"""Where configuration and state are. Pure; light to import, since health checks run it often."""

from collections.abc import Mapping
from pathlib import Path

CONFIG_VARIABLE = "PROBER_CONFIG"
"""Names the configuration file, for the command line."""


def state_directory(written: str | None, file: Path, environ: Mapping[str, str]) -> Path:
    """Return the directory for state; `file` is the configuration file, absolute.

    $STATE_DIRECTORY belongs to one systemd unit. The other defaults are shared by all probers of a
    user, so the name of the configuration file keeps them apart.
    """
    if written is not None:
        return file.parent / written
    by_systemd = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if by_systemd:
        return Path(by_systemd)
    home = environ.get("HOME") or "/"
    base = environ.get("XDG_STATE_HOME") or f"{home}/.local/state"
    return Path(base, "prober", file.stem)
