"""One sign, one colour and one wording for the same thing in every view. Pure.

A colour never stands alone: the sign and the word say the same.
"""

from rich.console import ConsoleOptions
from rich.text import Text

from prober.model import Verdict
from prober.outcomes import Culprit, Outcome, TokenState

_SIGNS = {
    Culprit.NONE: "✓",
    Culprit.UNDECIDED: "?",
    Culprit.PROBER: "!",
}
_ASCII_SIGNS = {"✓": "+", "✗": "x", "·": ".", "█": "#", "░": ".", "▒": "?"}
_STYLES = {
    Culprit.NONE: "green",
    Culprit.CREDENTIAL: "yellow",
    Culprit.REQUEST: "yellow",
    Culprit.PLATFORM: "red",
    Culprit.NETWORK: "blue",
    Culprit.UNDECIDED: "magenta",
    Culprit.PROBER: "magenta",
}
_TOKEN_SIGNS = {
    TokenState.MISSING: "!",
    TokenState.UNVERIFIED: "·",
    TokenState.VALID: "✓",
    TokenState.REJECTED: "✗",
}
_TOKEN_STYLES = {
    TokenState.MISSING: "magenta",
    TokenState.UNVERIFIED: "dim",
    TokenState.VALID: "green",
    TokenState.REJECTED: "yellow",
}


def sign(culprit: Culprit) -> str:
    """Return one character for a verdict's culprit."""
    return _SIGNS.get(culprit, "✗")


def style(culprit: Culprit) -> str:
    """Return the rich style of a verdict's culprit."""
    return _STYLES[culprit]


def token_sign(state: TokenState) -> str:
    """Return one character for a token's state."""
    return _TOKEN_SIGNS[state]


def token_style(state: TokenState) -> str:
    """Return the rich style of a token's state."""
    return _TOKEN_STYLES[state]


def in_ascii(text: str) -> str:
    """Return `text` with our own signs replaced, for a terminal that has ASCII alone."""
    return "".join(_ASCII_SIGNS.get(character, character) for character in text)


def fit(line: Text, options: ConsoleOptions) -> Text:
    """Keep a line a line, and in ASCII where the terminal has nothing else."""
    if options.ascii_only:
        line = Text(in_ascii(line.plain), spans=line.spans)
    line.rstrip()
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def headline(verdict: Verdict) -> str:
    """Return a verdict in two words, the culprit first: `platform: server_error`."""
    if verdict.outcome is Outcome.SUCCESS:
        return f"{verdict.outcome}: {verdict.reason}"
    return f"{verdict.culprit}: {verdict.reason}"


def milliseconds(seconds: float) -> str:
    """Return a duration in milliseconds with one decimal, without the unit: `1,234.5`."""
    return f"{seconds * 1000:,.1f}"
