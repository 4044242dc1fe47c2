"""The errors a caller can act on.

ProberError
├── SettingsError        the configuration cannot be used; carries every problem found
├── TokenUnavailableError  a token source holds no usable token; says where and why
├── TlsConfigurationError  a CA bundle or client certificate cannot be loaded
├── HistoryError         there is no history to tell from
├── StateDirectoryError  another prober has the state directory
└── ListenError          the web server cannot bind its address

A failed exchange is no error: it is a value (`model.Failure`) that is judged like an answer.
"""

from dataclasses import dataclass


class ProberError(Exception):
    """The root of the tree; its text is meant for the operator."""


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing wrong in the settings: where it stands, and what would be right."""

    file: str
    line: int | None
    key: str
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class SettingsError(ProberError):
    """The configuration cannot be used; `problems` has all that was found, not the first alone."""

    def __init__(self, problems: tuple[ConfigProblem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


class TokenUnavailableError(ProberError):
    """A token source holds no usable token."""


class TlsConfigurationError(ProberError):
    """A CA bundle or a client certificate cannot be loaded."""


class HistoryError(ProberError):
    """There is no history to tell from; says where, and why."""


class StateDirectoryError(ProberError):
    """Another prober has the state directory."""


class ListenError(ProberError):
    """The web server cannot bind its address."""
