"""Foreign text made fit to show: one line, bounded, encodable, without secrets. Pure."""

from prober.redaction import NO_SECRETS, Redactor

_ELLIPSIS = "..."
# How much of the text is looked at per character kept: a hostile body must not cost the event loop.
_LOOKED_AT = 4


def one_line(text: str, limit_characters: int, redactor: Redactor = NO_SECRETS) -> str:
    """Return the beginning of `text` in one line of at most `limit_characters` (at least 4).

    What cannot be printed (control and format characters, line ends, lone surrogates) becomes a
    space, runs of spaces become one; a cut ends in `...`. The result can be encoded as UTF-8.
    Secrets are taken out before anything is cut, since the half of one is not found any more.
    """
    if len(text) <= limit_characters and text.isprintable():  # nearly all that is met
        text = redactor.text(text)
        if len(text) <= limit_characters:
            return " ".join(text.split())
    start = text.lstrip()
    head = start[: limit_characters * _LOOKED_AT]
    is_whole = len(head) == len(start)
    redacted = redactor.text(head, is_cut=not is_whole)
    printable = "".join(char if char.isprintable() else " " for char in redacted)
    line = " ".join(printable.split())
    if len(line) <= limit_characters and is_whole:
        return line
    return line[: limit_characters - len(_ELLIPSIS)].rstrip() + _ELLIPSIS
