"""Changes are noticed by notification: the longest wait ends only with one."""

import asyncio
import os
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from prober.file_changes import FileChanges, look, steps_of, until_still
from prober.inotify import ChangeEvent, Inotify, parse_events

PATIENCE_SECONDS = 60.0


@pytest.fixture
async def changes() -> AsyncIterator[FileChanges]:
    watched = FileChanges()
    yield watched
    watched.close()


def kubernetes_volume(directory: Path, content: str = "a") -> Path:
    """Lay out a mounted Secret: token -> ..data/token, ..data -> the newest directory."""
    directory.mkdir()
    version = directory / "..2026_01"
    version.mkdir()
    (version / "token").write_text(content)
    (directory / "..data").symlink_to(version.name)
    (directory / "token").symlink_to("..data/token")
    return directory / "token"


def swap_volume(directory: Path, number: int) -> None:
    """Replace the content as kubelet does: a new directory, and one rename of a link."""
    version = directory / f"..2026_{number:02}"
    version.mkdir()
    (version / "token").write_text("b")
    (directory / "..data_tmp").symlink_to(version.name)
    (directory / "..data_tmp").rename(directory / "..data")


def rewrite(path: Path) -> None:
    path.write_text("new")


def replace(path: Path) -> None:
    new = path.with_name("new")
    new.write_text("new")
    new.rename(path)


def write_through_hard_link(path: Path) -> None:
    with (path.parent.parent / "link").open("r+") as file:
        file.write("new")


def replace_directory(path: Path) -> None:
    new = path.parent.with_name("new-directory")
    new.mkdir()
    (new / path.name).write_text("new")
    path.parent.rename(path.parent.with_name("old-directory"))
    new.rename(path.parent)


@pytest.mark.parametrize(
    "act",
    [
        rewrite,
        replace,
        Path.unlink,
        write_through_hard_link,
        replace_directory,
        lambda path: path.chmod(0o600),
    ],
)
async def test_a_change_is_noticed(
    tmp_path: Path, changes: FileChanges, act: Callable[[Path], None]
) -> None:
    path = tmp_path / "tokens" / "acme"
    path.parent.mkdir()
    path.write_text("old")
    path.chmod(0o640)
    (tmp_path / "link").hardlink_to(path)
    await changes.watch([path])
    act(path)
    assert await changes.wait(PATIENCE_SECONDS) == {path}


@pytest.mark.parametrize("act", [rewrite, replace])
async def test_every_change_is_noticed_not_only_the_first(
    tmp_path: Path, changes: FileChanges, act: Callable[[Path], None]
) -> None:
    path, other = tmp_path / "acme", tmp_path / "other"
    await changes.watch([path, other])
    for _ in range(3):
        act(path)
        assert await changes.wait(PATIENCE_SECONDS) == {path}
    other.write_text("x")
    assert await changes.wait(PATIENCE_SECONDS) == {other}


async def test_a_kubernetes_volume_that_is_swapped_is_noticed_each_time(
    tmp_path: Path, changes: FileChanges
) -> None:
    path = kubernetes_volume(tmp_path / "secret")
    await changes.watch([path])
    for number in (2, 3):
        swap_volume(tmp_path / "secret", number)
        assert await changes.wait(PATIENCE_SECONDS) == {path}
    (tmp_path / "secret/..2026_03/token").write_text("c")
    assert await changes.wait(PATIENCE_SECONDS) == {path}


async def test_a_file_in_directories_that_are_made_later_is_noticed(
    tmp_path: Path, changes: FileChanges
) -> None:
    path = tmp_path / "a" / "b" / "token"
    await changes.watch([path])
    (tmp_path / "a").mkdir()
    assert await changes.wait(PATIENCE_SECONDS) == {path}
    (tmp_path / "a" / "b").mkdir()
    path.write_text("x")
    assert await changes.wait(PATIENCE_SECONDS) == {path}
    path.write_text("y")
    assert await changes.wait(PATIENCE_SECONDS) == {path}


async def test_a_link_that_leads_elsewhere_is_noticed_and_followed(
    tmp_path: Path, changes: FileChanges
) -> None:
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "token").write_text(version)
    (tmp_path / "current").symlink_to(tmp_path / "one")
    path = tmp_path / "current" / "token"
    await changes.watch([path])
    (tmp_path / "next").symlink_to(tmp_path / "two")
    (tmp_path / "next").rename(tmp_path / "current")
    assert await changes.wait(PATIENCE_SECONDS) == {path}
    (tmp_path / "two" / "token").write_text("three")
    assert await changes.wait(PATIENCE_SECONDS) == {path}


async def test_a_neighbour_is_no_change(tmp_path: Path, changes: FileChanges) -> None:
    path = tmp_path / "acme"
    path.write_text("x")
    await changes.watch([path])
    (tmp_path / "neighbour").write_text("x")
    path.read_text()
    assert await changes.wait(0.3) == frozenset()


async def test_every_entry_of_a_directory_is_noticed(tmp_path: Path, changes: FileChanges) -> None:
    path, directory = tmp_path / "main", tmp_path / "later"
    await changes.watch([path], [directory])
    directory.mkdir()
    assert await changes.wait(PATIENCE_SECONDS) == {directory}
    (directory / "a").write_text("x")
    assert await changes.wait(PATIENCE_SECONDS) == {directory}
    (directory / "a").unlink()
    assert await changes.wait(PATIENCE_SECONDS) == {directory}
    path.write_text("x")
    assert await changes.wait(PATIENCE_SECONDS) == {path}


async def test_changes_beside_directories_on_the_way_are_not_noticed(
    tmp_path: Path, changes: FileChanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[object] = []
    monkeypatch.setattr(FileChanges, "_on_readable", woken.append)
    (tmp_path / "a" / "b").mkdir(parents=True)
    await changes.watch([tmp_path / "a" / "b" / "token"])
    (tmp_path / "busy").write_text("x")
    (tmp_path / "a" / "busy").mkdir()
    await changes.wait(0.2)
    assert woken == []


async def test_what_is_watched_no_more_is_no_change(tmp_path: Path, changes: FileChanges) -> None:
    before, after = tmp_path / "before" / "x", tmp_path / "after" / "x"
    for path in (before, after):
        path.parent.mkdir()
        path.write_text("x")
    await changes.watch([before])
    await changes.watch([after])
    before.write_text("y")
    after.write_text("y")
    assert await changes.wait(PATIENCE_SECONDS) == {after}


async def test_dropped_events_mean_that_anything_may_have_changed(
    tmp_path: Path, changes: FileChanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / name for name in ("a", "b")]
    await changes.watch(paths)
    read = Inotify.read

    def overflowing(self: Inotify) -> list[ChangeEvent]:
        list(read(self))
        return [ChangeEvent(None, "")]

    monkeypatch.setattr(Inotify, "read", overflowing)
    (tmp_path / "neighbour").write_text("x")
    assert await changes.wait(PATIENCE_SECONDS) == frozenset(paths)


async def test_without_notification_every_wait_lasts_its_time(
    tmp_path: Path, changes: FileChanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Inotify) -> None:
        raise OSError("too many instances")

    monkeypatch.setattr(Inotify, "__init__", refuse)
    path = tmp_path / "acme"
    await changes.watch([path])
    path.write_text("x")
    assert changes._inotify is None
    assert await changes.wait(0.01) == frozenset()


async def test_a_directory_that_may_not_be_watched_harms_no_other(
    tmp_path: Path, changes: FileChanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = Inotify.add

    def refusing(self: Inotify, path: Path, *, only_leaving: bool = False) -> int:
        if path.name == "secret":
            raise PermissionError("not for you")
        return add(self, path, only_leaving=only_leaving)

    monkeypatch.setattr(Inotify, "add", refusing)
    (tmp_path / "secret").mkdir()
    hidden, path = tmp_path / "secret" / "x", tmp_path / "y"
    await changes.watch([hidden, path])
    path.write_text("x")
    assert await changes.wait(PATIENCE_SECONDS) == {path}


def test_a_path_is_followed_through_its_links(tmp_path: Path) -> None:
    links: dict[str, str | bool] = {
        "/a": True,
        "/a/l": "../b/./c",
        "/b": True,
        "/b/c": "/d",
        "/d": True,
        "/d/token": True,
    }
    steps = list(steps_of(Path("/a/l/token"), lambda path: links[str(path)]))
    passed = {"/a", "/b", "/d"}
    assert [str(directory / name) for directory, name in steps] == list(links)
    assert {str(directory) for directory, name in steps if not name} == passed
    assert look(tmp_path) is True
    assert look(tmp_path / "nothing") is False


def test_the_way_ends_with_what_does_not_exist_and_with_a_loop() -> None:
    missing = steps_of(Path("/a/b/c"), lambda path: path == Path("/a"))
    assert list(missing) == [(Path("/a"), ""), (Path("/a"), "b")]
    loop = list(steps_of(Path("/a"), lambda _: "/a"))
    assert 1 < len(loop) < 100


def test_events_are_read_with_their_names() -> None:
    def event(watch: int, mask: int, name: bytes) -> bytes:
        return struct.pack("iIII", watch, mask, 0, len(name)) + name

    content = event(1, 0x8, b"a\xff\0\0") + event(2, 0x8000, b"") + event(3, 0x400, b"")
    content += event(-1, 0x4000, b"")
    assert list(parse_events(content)) == [
        ChangeEvent(1, os.fsdecode(b"a\xff")),
        ChangeEvent(3, ""),
        ChangeEvent(None, ""),
    ]


async def test_what_is_being_written_is_taken_once_it_is_still() -> None:
    looks = iter([1, 2, 3, 3, 4])
    assert await asyncio.wait_for(until_still(lambda: next(looks), 0.0), PATIENCE_SECONDS) == 3
