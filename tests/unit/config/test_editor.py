import os
import stat
from pathlib import Path

import pytest

from prober.config.editor import EditError, create_file, replace_file, with_probes
from prober.config.yaml import read_yaml
from prober.file_signature import file_signature

NEW = [{"use": "sources"}, {"use": "dataset", "dataset": "ops/mail"}]
BLOCK = """\
# the head
web: {listen: "127.0.0.1:9824"}   # a comment

tenants:
  # the first
  - name: a     # name
    domain: 'a'
    probes:
      - datasets     # one
      # between
      - {use: source, source: ops/x}
    # after
  - {name: b, domain: b}
# the end
"""


def changed_lines(before: str, after: str) -> list[str]:
    kept = before.splitlines()
    return [line for line in after.splitlines() if line not in kept]


def test_probes_are_added_and_nothing_else_changes() -> None:
    edited = with_probes(BLOCK, 0, NEW)
    assert changed_lines(BLOCK, edited) == [
        "      - sources",
        "      - {use: dataset, dataset: ops/mail}",
    ]
    assert set(BLOCK.splitlines()) <= set(edited.splitlines())


def test_a_tenant_without_probes_gets_a_list_with_the_inherited_ones() -> None:
    edited = with_probes(BLOCK, 1, NEW, ["standard", {"use": "quotas", "interval": "5m"}])
    (line,) = changed_lines(BLOCK, edited)
    assert line.strip() == (
        "- {name: b, domain: b, probes: [standard, {use: quotas, interval: 5m}, sources,"
        " {use: dataset, dataset: ops/mail}]}"
    )


def test_a_long_list_in_one_line_gets_many_and_comments_stay_behind_it() -> None:
    text = "tenants:\n  - name: a\n    probes: [datasets]   # mine\n\n  # next\n  - {name: b}\n"
    more = [{"use": f"p{n}"} for n in range(8)]
    lines = with_probes(text, 0, more).splitlines()
    assert lines[2].split() == ["probes:", "#", "mine"]
    assert lines[3:] == [
        "      - datasets",
        *[f"      - p{n}" for n in range(8)],
        "",
        "  # next",
        "  - {name: b}",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "x-p: &p [datasets]\ntenants:\n- {name: a, probes: *p}\n- {name: b, probes: *p}\n",
        "x-p: &p\n  probes: [datasets]\ntenants:\n- <<: *p\n  name: a\n- {<<: *p, name: b}\n",
        "tenants:\n- name: a\n  probes: &p [datasets]\n- name: b\n  probes: *p\n",
    ],
)
@pytest.mark.parametrize("number", [0, 1])
def test_a_shared_list_becomes_the_tenants_own(text: str, number: int) -> None:
    document, problems = read_yaml(with_probes(text, number, NEW), "f")
    assert problems == ()
    tenants = document.content["tenants"]
    assert isinstance(tenants, list)
    assert tenants[number]["probes"] == ["datasets", *[NEW[0]["use"]], NEW[1]]
    assert tenants[1 - number]["probes"] == ["datasets"]


@pytest.mark.parametrize(
    "text", ["tenants: []\n", "tenants: {a: 1}\n", "a: [\n", "[]\n", "", "tenants: [3]\n"]
)
def test_what_cannot_be_edited_is_an_error(text: str) -> None:
    with pytest.raises(EditError, match="by hand"):
        with_probes(text, 0, NEW)


def test_a_file_is_replaced_with_its_mode_and_through_a_link(tmp_path: Path) -> None:
    file, link = tmp_path / "f.yaml", tmp_path / "link.yaml"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)
    replace_file(link, "new", file_signature(link))
    assert link.is_symlink()
    assert file.read_text() == "new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.yaml", "link.yaml"]


def test_a_file_that_was_changed_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text("old")
    signature = file_signature(file)
    file.write_text("of another process")
    with pytest.raises(EditError, match="changed meanwhile"):
        replace_file(file, "new", signature)
    assert file.read_text() == "of another process"
    assert [path.name for path in tmp_path.iterdir()] == ["f.yaml"]


def test_a_private_file_has_no_wider_mode_at_any_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []
    opened = os.open

    def spy(path: os.PathLike[str], flags: int, mode: int = 0o777) -> int:
        number = opened(path, flags, mode)
        modes.append(stat.S_IMODE(os.fstat(number).st_mode))
        return number

    before = os.umask(0)
    try:
        monkeypatch.setattr(os, "open", spy)
        create_file(tmp_path / "token", "secret", 0o600)
        create_file(tmp_path / "public", "text", 0o644)
    finally:
        os.umask(before)
    assert [mode for mode in modes if mode & 0o077] == [
        stat.S_IMODE(tmp_path.stat().st_mode) for _ in range(2) if tmp_path.stat().st_mode & 0o077
    ]
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "public").stat().st_mode) == 0o644


@pytest.mark.parametrize("kind", ["file", "link", "dangling"])
def test_an_existing_file_is_replaced_only_with_force(tmp_path: Path, kind: str) -> None:
    target, path = tmp_path / "target", tmp_path / "path"
    if kind == "file":
        path.write_text("old")
    else:
        path.symlink_to(target)
        if kind == "link":
            target.write_text("old")
    with pytest.raises(EditError, match="exists"):
        create_file(path, "new", 0o600)
    assert target.exists() == (kind == "link")
    create_file(path, "new", 0o600, force=True)
    assert not path.is_symlink()
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not target.exists() or target.read_text() == "old"


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EditError, match="cannot be written: No such file"):
        create_file(tmp_path / "no" / "file", "x", 0o600)


def test_names_that_look_like_something_else_are_quoted() -> None:
    odd = {"use": "stream-fetch", "dataset": "1e3", "stream": "no", "project": "2026-01-01"}
    document, _ = read_yaml(with_probes("tenants:\n- {name: a}\n", 0, [odd]), "f")
    assert document.content["tenants"] == [{"name": "a", "probes": [odd]}]
