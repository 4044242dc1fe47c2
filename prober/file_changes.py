"""Reports within a second which of some files may have changed, without reading them all the time.

A path is watched where its last name is, and wherever it leads through a symbolic link or ends for
now. So a file that is written, replaced or created later is noticed, and so is a directory:
Kubernetes replaces a mounted volume by renaming the link `..data`. The file itself is watched too,
for it may be written through another path (a hard link, a bind mount). Of the directories on the
way it only matters whether they go: other changes in /tmp do not wake the daemon.

Not noticed are changes by other hosts on a network file system, a writer that never closes the
file, and paths in directories that may not be read: a caller must also look by itself, at longer
intervals. The same holds where there is no inotify.
"""

import asyncio
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

from prober.inotify import Inotify

_COLLECT_SECONDS = 0.1
"""Events are read this long after the first: a busy directory wakes the daemon ten times a second
at most, and a file that is written in several steps is looked at once."""
_MAX_LINKS = 40  # as many as Linux follows
_MAX_ROUNDS = 3

_T = TypeVar("_T")
_WatchedPaths = dict[str, set[Path]]
"""By the name of an entry of a directory: the paths that lead through it.

"" is what is watched, if it goes; `_ITSELF` is a file with its content; `_ANY` is every entry.
"""
_ANY, _ITSELF = "/", "/."


Look = Callable[[Path], str | bool]
"""Returns the target of a symbolic link; of anything else, whether it exists."""


def look(path: Path) -> str | bool:
    """See `Look`; blocks as long as the disk does."""
    try:
        return os.readlink(path)  # noqa: PTH115 -- as it is written
    except OSError:
        return path.exists()


def steps_of(path: Path, look: Look) -> Iterator[tuple[Path, str]]:
    """Yield what to watch on the way to an absolute path, as (directory, name of its entry). Pure.

    Of a directory that is only passed through, the name is empty. The way ends with the first
    entry that does not exist.
    """
    pending = [part for part in reversed(path.parts) if part != "/"]
    directory, links = Path("/"), 0
    while pending:
        name = pending.pop()
        if name == "..":
            directory = directory.parent
            continue
        target = look(directory / name)
        if target is True and pending:
            directory /= name
            yield directory, ""
            continue
        yield directory, name
        if isinstance(target, bool):
            return
        links += 1
        if links > _MAX_LINKS:
            return
        if target.startswith("/"):
            directory = Path("/")
        pending += [part for part in reversed(Path(target).parts) if part != "/"]


class FileChanges:
    """Waits for changes of files. For one task; lives on its event loop."""

    def __init__(self) -> None:
        self._paths: frozenset[Path] = frozenset()
        self._directories: frozenset[Path] = frozenset()
        self._watches: dict[int, _WatchedPaths] = {}
        self._changed: set[Path] = set()
        self._has_changed = asyncio.Event()
        self._inotify: Inotify | None = None
        self._collecting: asyncio.TimerHandle | None = None

    async def watch(self, paths: Iterable[Path], directories: Iterable[Path] = ()) -> None:
        """Watch these files from now on, all entries of these directories, and nothing else."""
        wanted = frozenset(paths), frozenset(directories)
        if wanted == (self._paths, self._directories):
            return
        self._paths, self._directories = wanted
        if self._inotify is None and (self._paths or self._directories):
            with suppress(OSError):
                self._inotify = Inotify()
                asyncio.get_running_loop().add_reader(self._inotify.fd, self._on_readable)
        await self._update()

    async def wait(self, timeout_seconds: float) -> frozenset[Path]:
        """Return what may have changed since the last call; nothing after the timeout.

        A change that happens after this has returned will be returned by the next call.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._has_changed.wait()
        if not self._has_changed.is_set():
            return frozenset()
        self._has_changed.clear()
        changed = frozenset(self._changed)
        self._changed.clear()
        # Before the caller looks at the files: a directory may be new, a link may lead elsewhere.
        await self._update()
        return changed

    def close(self) -> None:
        """Watch nothing any more."""
        if self._collecting is not None:
            self._collecting.cancel()
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.fd)
            self._inotify.close()
        self._inotify = None

    def _on_readable(self) -> None:
        assert self._inotify is not None  # noqa: S101 -- it is readable
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._inotify.fd)
        self._collecting = loop.call_later(_COLLECT_SECONDS, self._collect)

    def _collect(self) -> None:
        inotify = self._inotify
        assert inotify is not None  # noqa: S101 -- `close` cancels this
        for event in inotify.read():
            by_name = None if event.watch is None else self._watches.get(event.watch)
            if by_name is None:  # all, or a watch that is being added in a thread right now
                self._changed |= self._paths | self._directories
            else:
                names = (event.name, _ANY) if event.name else ("", _ITSELF, _ANY)
                for name in names:
                    self._changed |= by_name.get(name, set())
        if self._changed:
            self._has_changed.set()
        asyncio.get_running_loop().add_reader(inotify.fd, self._on_readable)

    async def _update(self) -> None:
        """Bring the watches up to date with the paths and with where they lead now."""
        if self._inotify is not None:
            wanted = (self._paths, self._directories)
            self._watches = await asyncio.to_thread(
                _add_watches, self._inotify, wanted, frozenset(self._watches)
            )


def _add_watches(
    inotify: Inotify, watched: tuple[Iterable[Path], Iterable[Path]], before: Iterable[int]
) -> dict[int, _WatchedPaths]:
    """Watch every step of every path, and remove the watches of other directories and files."""
    watches: dict[int, _WatchedPaths] = {}
    wanted = _directories_of(*watched)
    for _ in range(_MAX_ROUNDS):
        watches = {}
        for place, by_name in wanted.items():
            with suppress(OSError):  # it is gone, may not be read, or there are too many watches
                watch = inotify.add(place, only_leaving=by_name.keys() == {""})
                into = watches.setdefault(watch, defaultdict(set))
                for name, leading in by_name.items():
                    into[name] |= leading
        # What was created before it was watched would not be noticed: look once more.
        found, wanted = wanted, _directories_of(*watched)
        if found == wanted:
            break
    for gone in frozenset(before) - watches.keys():
        inotify.remove(gone)
    return watches


def _directories_of(
    paths: Iterable[Path], directories: Iterable[Path]
) -> Mapping[Path, _WatchedPaths]:
    """Return the directories that paths lead through, and where they lead to; blocks."""
    look_once = cache(look)  # many paths lead through the same directories
    found: dict[Path, _WatchedPaths] = defaultdict(lambda: defaultdict(set))
    every = frozenset(directories)
    for path in (*paths, *every):
        last = Path("/")
        for directory, name in steps_of(path.absolute(), look_once):
            found[directory][name].add(path)
            if name:
                found[directory][""].add(path)
            last = directory / name
        found[last][_ANY if path in every else _ITSELF].add(path)
    return found


async def until_still(look: Callable[[], _T], still_seconds: float) -> _T:
    """Return what `look` returns once it has returned the same for so long; it runs in a thread.

    A file is often written in several steps: while it changes it is half written.
    """
    seen = await asyncio.to_thread(look)
    while True:
        await asyncio.sleep(still_seconds)
        before, seen = seen, await asyncio.to_thread(look)
        if seen == before:
            return seen
