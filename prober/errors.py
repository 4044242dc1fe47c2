"""Exceptions that a caller can act on. All derive from ProberError; their text is for the user.

A request that fails is not an exception: it is a value (`prober.models.Failure`), which is
classified like a response.
"""

from dataclasses import dataclass


class ProberError(Exception):
    """The base of all errors of prober."""


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One problem in the settings: where it is, and what to write instead.

    `file` is a file name or the name of an environment variable; `line` is None where there is no
    line, as for variables; `key` is a key path such as `tenants[0].token`, or empty.
    """

    file: str
    line: int | None
    key: str
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        key = f"{self.key}: " if self.key else ""
        return escaped(f"{place}: {key}{self.message}")


def escaped(text: str) -> str:
    """Return text with unprintable characters, also line ends, in the form of Python's escapes.

    Keys and values of a file are written by others; a terminal would obey control sequences.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


class SettingsError(ProberError):
    """The configuration is invalid; `problems` has all problems, not only the first."""

    def __init__(self, problems: tuple[ConfigProblem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


class TokenUnavailableError(ProberError):
    """A token source has no usable token; the text says which source and why."""


class TlsConfigurationError(ProberError):
    """A CA bundle or a client certificate cannot be loaded."""


class ReportChangedError(ProberError):
    """A report is not as it was written."""


class HistoryError(ProberError):
    """There is no history to read; the text says where it was expected, and why it is missing."""


class StateDirectoryError(ProberError):
    """Another prober uses the state directory."""


class ListenError(ProberError):
    """The web server cannot bind its address."""
