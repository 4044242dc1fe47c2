"""The wheel and the sdist: the same bytes from the same commit, wherever and whenever."""

import hashlib
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

from prober.version import UNKNOWN, VERSION

ROOT = Path(__file__).parents[2]
COMMIT = "0123456789abcdef" * 2 + "01234567"


def export(directory: Path) -> Path:
    """Put the tree as git has it there, uncommitted changes included, and no `.git`."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            target = directory / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    return directory


def build(tree: Path, *kinds: str, umask: int = 0o022, **environ: str) -> dict[str, Path]:
    kept = {name: value for name, value in os.environ.items() if name != "SOURCE_REVISION"}
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", *(f"--target={kind}" for kind in kinds)],
        cwd=tree,
        env={**kept, **environ},
        check=True,
        capture_output=True,
        umask=umask,
    )
    return {file.suffix: file for file in (tree / "dist").iterdir()}


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def revision_in(wheel: Path) -> str:
    with ZipFile(wheel) as archive:
        return archive.read("prober/revision.txt").decode().strip()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    tree = export(tmp_path_factory.mktemp("here"))
    return build(tree, "sdist", "wheel", SOURCE_REVISION=COMMIT)


def test_another_place_time_and_umask_build_the_same_bytes(
    built: dict[str, Path], tmp_path: Path
) -> None:
    tree = export(tmp_path / "elsewhere")
    for file in tree.rglob("*"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    again = build(tree, "sdist", "wheel", umask=0o077, SOURCE_REVISION=COMMIT)
    assert {kind: digest(file) for kind, file in again.items()} == {
        kind: digest(file) for kind, file in built.items()
    }


def test_the_sdist_builds_the_same_wheel_and_knows_its_commit(
    built: dict[str, Path], tmp_path: Path
) -> None:
    with tarfile.open(built[".gz"]) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.2 has none
        archive.extractall(tmp_path)  # noqa: S202 -- made above
    (tree,) = tmp_path.iterdir()
    wheel = build(tree, "wheel", SOURCE_REVISION="f" * 40)[".whl"]
    assert revision_in(wheel) == COMMIT
    assert digest(wheel) == digest(built[".whl"])


def test_the_version_names_the_commit_so_that_an_upgrade_upgrades(
    built: dict[str, Path],
) -> None:
    version = f"{VERSION}+g{COMMIT[:12]}"
    assert built[".whl"].name == f"prober-{version}-py3-none-any.whl"
    assert built[".gz"].name == f"prober-{version}.tar.gz"
    with ZipFile(built[".whl"]) as archive:
        metadata = archive.read(f"prober-{version}.dist-info/METADATA").decode()
    assert f"\nVersion: {version}\n" in metadata


def test_a_build_leaves_one_wheel_whatever_was_there(tmp_path: Path) -> None:
    tree = export(tmp_path)
    for commit in (COMMIT, "f" * 40):
        subprocess.run(
            ["make", "dist", f"BIN={Path(sys.executable).parent}", "--assume-old=.venv/.build"],
            cwd=tree,
            env={**os.environ, "SOURCE_REVISION": commit},
            check=True,
            capture_output=True,
        )
        (wheel,) = (tree / "dist").glob("*.whl")
        assert commit[:12] in wheel.name


def test_a_commit_that_nobody_knows_is_said_to_be_unknown(tmp_path: Path) -> None:
    assert revision_in(build(export(tmp_path), "wheel")[".whl"]) == UNKNOWN


def test_all_that_the_package_needs_at_run_time_is_in_the_wheel(built: dict[str, Path]) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "prober"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    tracked = {name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()}
    with ZipFile(built[".whl"]) as archive:
        packed = {name for name in archive.namelist() if name.startswith("prober/")}
    assert packed == tracked | {"prober/revision.txt"}


def test_a_token_that_lies_about_is_not_packed(tmp_path: Path) -> None:
    tree = export(tmp_path)
    (tree / "lab.token").write_text("a-token")
    with tarfile.open(build(tree, "sdist")[".gz"]) as archive:
        names = archive.getnames()
    assert f"prober-{VERSION}/prober/probe.py" in names
    assert not [name for name in names if "lab.token" in name]
