"""Which build this is: its version, and the commit that it was made from.

A wheel and an sdist bear their commit in a file that `hatch_build.py` puts into them; a checkout is
asked itself, by reading what git keeps. The standard library alone: the build imports this file.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

UNKNOWN = "unknown"
FILE_NAME = "revision.txt"
_PACKAGE = Path(__file__).parent
_REVISION = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True, slots=True)
class Build:
    """A version, and the full hash of a commit or `unknown`."""

    version: str
    revision: str = UNKNOWN


@cache
def current_version() -> Build:
    """Return the build that runs."""
    return Build(version("prober"), git_revision(_PACKAGE.parent))


def git_revision(root: Path) -> str:
    """Return the commit that the tree at `root` was built from or stands at, or `unknown`."""
    try:
        built = (root / _PACKAGE.name / FILE_NAME).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return _head_revision(root / ".git")
    except (OSError, ValueError):
        return UNKNOWN
    return validate_revision(built)


def validate_revision(text: str) -> str:
    """Return what is a commit's full hash, and `unknown` for anything else."""
    return text if _REVISION.fullmatch(text) else UNKNOWN


def _head_revision(git: Path) -> str:
    try:
        git = _directory(git)
        head = _read(git / "HEAD")
        if not head.startswith("ref: "):
            return validate_revision(head)
        return validate_revision(_target(git, head.removeprefix("ref: ")))
    except (OSError, ValueError):
        return UNKNOWN


def _directory(git: Path) -> Path:
    """Follow the file that stands for the directory in a second worktree and in a submodule."""
    if git.is_dir():
        return git
    return git.parent / _read(git).removeprefix("gitdir: ")


def _target(git: Path, ref: str) -> str:
    """Return what a branch points at: loose or packed, in the directory all worktrees share."""
    shared = git / _read(git / "commondir") if (git / "commondir").exists() else git
    if (shared / ref).exists():
        return _read(shared / ref)
    lines = _read(shared / "packed-refs").splitlines()
    return next((line.split()[0] for line in lines if line.endswith(f" {ref}")), UNKNOWN)


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8").strip()
