"""Notes: a file that cannot be used is reported, never waited for, and never overwritten."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from prober.history.annotations import (
    FILE_NAME,
    Annotations,
    AnnotationStore,
    IncidentNote,
    read_annotations,
    write_annotations,
)
from prober.sqlite import quarantine

NOTE = IncidentNote("acme:1", 1_764_000_000.0, "alice", "the supplier restarted it")
OTHER = IncidentNote("acme:2", 1_764_000_060.0, "bob", "", acknowledges=True)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def containing(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


DAMAGED: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (containing(b""), "corrupt"),
    "cut off": (containing(b'{"notes": [{"incident": "a'), "corrupt"),
    "another document": (containing(b"[1, 2]"), "corrupt"),
    "another type": (containing(b'{"notes": [{"incident": 1}]}'), "corrupt"),
    "zeros": (containing(bytes(4096)), "corrupt"),
    "not UTF-8": (containing(b'{"notes": "\xff\xfe"}'), "corrupt"),
    "nested": (containing(b"[" * 100_000), "corrupt"),
    "too long": (containing(bytes(16 * 1024 * 1024 + 1)), "longer"),
    "a pipe": (pipe, "not a regular file"),
    "a device": (a_device, "not a regular file"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_what_cannot_be_used_is_reported_and_set_aside(tmp_path: Path, kind: str) -> None:
    create, expected = DAMAGED[kind]
    create(tmp_path / FILE_NAME)
    reported: list[tuple[Path, str]] = []

    def on_damaged(file: Path, reason: str) -> None:
        reported.append((quarantine(file), reason))

    async def add() -> None:
        store = AnnotationStore(tmp_path, on_damaged)
        assert await store.load() == Annotations()
        await store.add_note(NOTE)

    asyncio.run(add())
    [(renamed, reason)] = reported
    assert expected in reason
    assert os.path.lexists(renamed)
    assert read_annotations(tmp_path) == Annotations((NOTE,))


def test_a_reader_renames_nothing(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("{")
    assert read_annotations(tmp_path) == Annotations()
    assert [each.name for each in tmp_path.iterdir()] == [FILE_NAME]


def test_a_file_that_could_not_be_read_is_not_replaced(tmp_path: Path) -> None:
    write_annotations(tmp_path, Annotations((NOTE,)))
    file = tmp_path / FILE_NAME
    away = file.rename(tmp_path / "away")
    file.symlink_to(file)  # a loop: opening it fails for root as well

    async def add() -> None:
        store = AnnotationStore(tmp_path)
        for attempt in (store.load(), store.add_note(OTHER)):
            with pytest.raises(OSError, match="Too many levels"):
                await attempt
        file.unlink()
        away.rename(file)
        await store.add_note(OTHER)

    asyncio.run(add())
    assert read_annotations(tmp_path) == Annotations((NOTE, OTHER))


def test_a_missing_file_is_not_damaged(tmp_path: Path) -> None:
    def on_damaged(file: Path, reason: str) -> None:
        raise AssertionError(file, reason)

    assert asyncio.run(AnnotationStore(tmp_path, on_damaged).load()) == Annotations()
