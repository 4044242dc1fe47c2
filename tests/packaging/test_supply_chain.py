"""What is installed is what was locked, and the list of it says so."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ROOT / "requirements"


def entries(lock: str) -> dict[str, str]:
    """Return what each package's entry says, by name."""
    text = (LOCKS / lock).read_text()
    return {
        re.split(r"[=<> ;]", entry, maxsplit=1)[0]: entry
        for entry in re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)
        if entry
    }


def versions(lock: str) -> dict[str, str]:
    return {name: re.split(r"[ ;\\]", entry)[0] for name, entry in entries(lock).items()}


@pytest.mark.parametrize("lock", ["runtime.txt", "build.txt", "development.txt"])
def test_every_package_is_pinned_by_version_and_hash(lock: str) -> None:
    assert entries(lock)
    for name, entry in entries(lock).items():
        assert re.match(rf"{name}==\S+ ", entry), name
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), name


def test_what_runs_and_what_builds_was_tested_in_the_same_versions() -> None:
    tested = versions("development.txt")
    for lock in ("runtime.txt", "build.txt"):
        assert versions(lock).items() <= tested.items()
    assert not versions("runtime.txt").keys() & versions("build.txt").keys()


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    # A lock has names in their normal form (PEP 503).
    needed = {
        re.sub(r"[-_.]+", "-", re.split(r"[=<>;, ]", text)[0]).lower()
        for text in project["project"]["dependencies"]
    }
    assert needed <= versions("runtime.txt").keys()
    built_by = {re.split(r"[=<>;, ]", text)[0] for text in project["build-system"]["requires"]}
    assert built_by <= versions("build.txt").keys()


def sbom(file: Path) -> bytes:
    """Make the list as `make sbom` does; the tool itself validates it against the schema."""
    command = re.search(r"cyclonedx-py (requirements .*)", (ROOT / "Makefile").read_text())
    assert command is not None
    assert "--validate" in command[1]
    made = command[1].replace("dist/prober.cdx.json", str(file)).split()
    tool = Path(sys.executable).with_name("cyclonedx-py")
    subprocess.run([tool, *made], cwd=ROOT, check=True, capture_output=True)
    return file.read_bytes()


def test_the_list_of_what_runs_is_complete_and_the_same_every_time(tmp_path: Path) -> None:
    listed = json.loads(sbom(tmp_path / "sbom.json"))
    assert "serialNumber" not in listed
    assert "timestamp" not in listed["metadata"]
    assert listed["bomFormat"] == "CycloneDX"
    assert listed["metadata"]["component"]["name"] == "prober"
    found = {part["name"]: f"{part['name']}=={part['version']}" for part in listed["components"]}
    assert found == versions("runtime.txt")
    for part in listed["components"]:
        assert any(reference.get("hashes") for reference in part["externalReferences"]), part[
            "name"
        ]
