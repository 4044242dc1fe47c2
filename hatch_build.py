"""Put the commit into what is built, and into its version.

The commit comes from $SOURCE_REVISION, an unpacked sdist, or the checkout.

The same commit gives the same bytes, wherever and whenever it is built.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent))
from prober.version import FILE_NAME, distribution_version, git_revision, validate_revision


def source_revision(root: Path) -> str:
    """Return the commit that is built."""
    named = os.environ.get("SOURCE_REVISION")
    is_sdist = (root / "prober" / FILE_NAME).exists()
    return git_revision(root) if named is None or is_sdist else validate_revision(named)


def project_version() -> str:
    """Return the version of what is built; `pyproject.toml` names this function."""
    return distribution_version(source_revision(Path(__file__).parent))


class RevisionHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds `prober/revision.txt`; an editable install reads its checkout instead."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the file beside what is built."""
        if version == "editable":
            return
        revision = source_revision(Path(self.root))
        self._made = tempfile.TemporaryDirectory()
        file = Path(self._made.name, FILE_NAME)
        file.write_text(f"{revision}\n", encoding="ascii")
        file.chmod(0o644)
        build_data["force_include"][str(file)] = f"prober/{FILE_NAME}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Take it away again."""
        del version, build_data, artifact_path
        if hasattr(self, "_made"):
            self._made.cleanup()
