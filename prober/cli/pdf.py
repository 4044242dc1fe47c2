"""Prints an HTML file as PDF by Chromium, where there is one."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import click

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_TIMEOUT_SECONDS = 120


def print_pdf(html: str) -> bytes:
    """Return a document as PDF; raises UsageError if there is no Chromium, or it fails."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        raise click.UsageError(
            f"a PDF is printed by Chromium, and there is none (looked for {', '.join(_NAMES)}):"
            " install it, or write --output FILE.html and print that in a browser"
        )
    with tempfile.TemporaryDirectory(prefix="prober-") as directory:
        source, target = Path(directory, "report.html"), Path(directory, "report.pdf")
        source.write_text(html, encoding="utf-8")
        # The file loads nothing; without a user namespace of its own, root has no sandbox.
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        command = [
            program, "--headless", "--disable-gpu", "--no-pdf-header-footer",
            f"--user-data-dir={directory}/profile", *sandbox,
            f"--print-to-pdf={target}", source.as_uri(),
        ]  # fmt: skip
        try:
            subprocess.run(  # noqa: S603 -- a program by its path, and our own arguments
                command, capture_output=True, timeout=_TIMEOUT_SECONDS, check=True
            )
            return target.read_bytes()
        except (OSError, subprocess.SubprocessError) as error:
            raise click.UsageError(
                f"{program} could not print the report: {error}; write --output FILE.html instead"
            ) from error
