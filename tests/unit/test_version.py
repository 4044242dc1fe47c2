from pathlib import Path

import pytest
from click.testing import CliRunner

from prober.cli.main import main
from prober.version import UNKNOWN, current_version, git_revision, validate_revision

COMMIT, OTHER = "0123456789abcdef" * 2 + "01234567", "f" * 40
PACKED = (
    f"# pack-refs with: peeled fully-peeled sorted\n{OTHER} refs/heads/x\n{COMMIT} refs/heads/a/b\n"
)


def tree(root: Path, **files: str) -> Path:
    """Write files whose names are given with `__` for `/`."""
    for name, text in files.items():
        file = root / name.replace("__", "/").replace("dot_git", ".git")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.mark.parametrize(
    "files",
    [
        {"prober__revision.txt": f"{COMMIT}\n", "dot_git__HEAD": f"{OTHER}\n"},
        {"dot_git__HEAD": f"{COMMIT}\n"},
        {"dot_git__HEAD": "ref: refs/heads/main\n", "dot_git__refs__heads__main": f"{COMMIT}\n"},
        {
            "dot_git__HEAD": "ref: refs/heads/main\n",
            "dot_git__refs__heads__main": f"{COMMIT}\n",
            "dot_git__packed-refs": f"{OTHER} refs/heads/main\n",
        },
        {"dot_git__HEAD": "ref: refs/heads/a/b\n", "dot_git__packed-refs": PACKED},
        {
            "dot_git": "gitdir: main.git/worktrees/w\n",
            "main.git__worktrees__w__HEAD": "ref: refs/heads/w\n",
            "main.git__worktrees__w__commondir": "../..\n",
            "main.git__refs__heads__w": f"{COMMIT}\n",
        },
    ],
    ids=["built", "detached", "a branch", "loose before packed", "packed", "another worktree"],
)
def test_the_commit_is_found_where_git_or_the_build_has_put_it(
    tmp_path: Path, files: dict[str, str]
) -> None:
    assert git_revision(tree(tmp_path, **files)) == COMMIT


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"prober__revision.txt": "unknown\n", "dot_git__HEAD": COMMIT},
        {"prober__revision.txt": "é", "dot_git__HEAD": COMMIT},
        {"dot_git__HEAD": "ref: refs/heads/unborn\n"},
        {"dot_git__HEAD": "ref: refs/heads/unborn\n", "dot_git__packed-refs": PACKED},
        {"dot_git__HEAD": COMMIT.upper()},
        {"dot_git": "gitdir: nowhere\n"},
    ],
    ids=["nothing", "built from nowhere", "not ascii", "unborn", "not packed", "no hash", "lost"],
)
def test_where_there_is_none_it_is_unknown(tmp_path: Path, files: dict[str, str]) -> None:
    assert git_revision(tree(tmp_path, **files)) == UNKNOWN


@pytest.mark.parametrize("text", [f"{COMMIT}\n", COMMIT[1:], f"{COMMIT} ", "", 'x"y', "g" * 40])
def test_nothing_but_a_full_hash_is_one(text: str) -> None:
    assert validate_revision(text) == UNKNOWN


def test_hashes_of_both_kinds_are() -> None:
    assert validate_revision(COMMIT) == COMMIT
    assert validate_revision("ab" * 32) == "ab" * 32


def test_this_build_knows_itself() -> None:
    assert current_version().version
    assert current_version().revision == git_revision(Path(__file__).parents[2])
    reported = CliRunner().invoke(main, ["--version"])
    assert (
        reported.output
        == f"prober {current_version().version} (revision {current_version().revision})\n"
    )
