"""How the history's file is read beside the daemon that writes it."""

import sqlite3
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prober.history.schema import FILE_NAME, FORMAT
from prober.sqlite_file import as_os_error, open_to_read


class Reader:
    """Opens the file in a directory for each question; methods block and raise OSError."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """Yield a connection that sees one moment, None if there is no usable file."""
        connection = open_to_read(self._path, FORMAT)
        if connection is None:
            yield None
            return
        try:
            with as_os_error(self._path):
                connection.execute("BEGIN")
                yield connection
        finally:
            connection.close()

    def rows(self, query: str, values: tuple[object, ...]) -> list[Any]:
        """Return all rows of a query, none without a usable file."""
        with self.reading() as connection:
            return [] if connection is None else connection.execute(query, values).fetchall()

    def stream(self, query: str, values: tuple[object, ...]) -> Generator[Any, None, None]:
        """Yield the rows of a query one by one, so that they are not all held in memory.

        Close it if it is not read to its end: it holds the file open.
        """
        with self.reading() as connection:
            if connection is not None:
                connection.execute("PRAGMA temp_store = MEMORY")  # there may be no other place
                yield from connection.execute(query, values)
