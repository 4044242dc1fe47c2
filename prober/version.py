"""The version of the running build, and the commit that it was built from.

A wheel or an sdist has the commit in a file that `hatch_build.py` writes. In a checkout it is read
from git's files. Uses the standard library only, since the build imports this module.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

VERSION = "0.2.0"
UNKNOWN = "unknown"
_REVISION_DIGITS = 12
FILE_NAME = "revision.txt"
_PACKAGE = Path(__file__).parent
_REVISION = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True, slots=True)
class Build:
    """A version, and the full hash of its commit or `unknown`."""

    version: str
    revision: str = UNKNOWN


@cache
def current_version() -> Build:
    """Return the running build."""
    return Build(VERSION, git_revision(_PACKAGE.parent))


def distribution_version(revision: str) -> str:
    """Return the version of a wheel: it names the commit, so that pip tells two of them apart.

    PEP 440 calls what follows the plus a local version.
    """
    return VERSION if revision == UNKNOWN else f"{VERSION}+g{revision[:_REVISION_DIGITS]}"


def git_revision(root: Path) -> str:
    """Return the commit that the tree at `root` was built from or has checked out."""
    try:
        built = (root / _PACKAGE.name / FILE_NAME).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return _head_revision(root / ".git")
    except (OSError, ValueError):
        return UNKNOWN
    return validate_revision(built)


def validate_revision(text: str) -> str:
    """Return `text` if it is the full hash of a commit (SHA-1 or SHA-256), else `unknown`."""
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
    """Return the git directory: in a worktree or a submodule, `.git` is a file that names it."""
    if git.is_dir():
        return git
    return git.parent / _read(git).removeprefix("gitdir: ")


def _target(git: Path, ref: str) -> str:
    """Return the commit of a branch, from a loose or a packed ref.

    Worktrees keep HEAD for themselves, but share the refs of the main repository.
    """
    shared = git / _read(git / "commondir") if (git / "commondir").exists() else git
    if (shared / ref).exists():
        return _read(shared / ref)
    lines = _read(shared / "packed-refs").splitlines()
    return next((line.split()[0] for line in lines if line.endswith(f" {ref}")), UNKNOWN)


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8").strip()
