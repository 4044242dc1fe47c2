"""The grammar that HTTP's list headers share (RFC 9110 5.6): lists, tokens, quoted strings. Pure.

All patterns take linear time: no alternative shares a first character with its neighbour, and an
unclosed quote runs to the end of the text instead of being tried again.
"""

import re
from collections.abc import Iterable

TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 -- a grammar's token

_ATOM = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[^",;]++|[,;]', re.DOTALL)
_BEARER = re.compile(r"[ \t]*bearer(?:[ \t]+(?![ \t=])|[ \t]*\Z)", re.IGNORECASE)


def split_outside_quotes(text: str, delimiter: str) -> list[str]:
    """Return the parts of `text` between delimiters (`,` or `;`) that stand outside of quotes."""
    if '"' not in text:
        return text.split(delimiter)
    cuts = [atom.start() for atom in _ATOM.finditer(text) if atom.group() == delimiter]
    return [
        text[before + 1 : after]
        for before, after in zip([-1, *cuts], [*cuts, len(text)], strict=True)
    ]


def asks_for_bearer(header_values: Iterable[str]) -> bool:
    """Tell whether one of the challenges in `WWW-Authenticate` values has the scheme `Bearer`.

    A challenge and its parameters are separated by commas alike: a scheme is a word with no `=`
    behind it (RFC 9110 11.6.1).
    """
    return any(
        _BEARER.match(part) is not None
        for value in header_values
        for part in split_outside_quotes(value, ",")
    )
