"""Takes secrets out of foreign text, in whatever form a server echoes them. Pure.

Looked for is each secret as it is, in any case, and split by white space, control characters or
characters beyond ASCII (zero-width ones among them); percent-encoded in full or in part; escaped as
in JSON, JavaScript or HTML; in hexadecimal; in base64 and base64url wherever it begins in what was
encoded; and in any two of these on top of each other.

The time it takes is proportional to the length of the text, whatever the text is. Give it values
that are decoded already (a string of a JSON document), before they are cut to be shown: of a secret
that was cut, the beginning is found at the end of a text only.
"""

import base64
import binascii
import html
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Final
from urllib.parse import unquote, urlsplit
from weakref import ref

from pydantic import SecretStr

REDACTED = "[redacted]"
MIN_SECRET_CHARACTERS: Final = 4
"""A shorter secret is not looked for: it occurs everywhere, and protects nothing."""
MIN_PREFIX_CHARACTERS: Final = 6
"""At the end of a cut text, the first characters of a secret are removed if there are this many."""
_MAX_SEARCHES = 2
"""Secrets in a text are found one by one, which is slow; with more, all of the text is removed."""
_DEPTH = 2
_MAX_REMEMBERED = 64

_SPLITTING = bytes((*range(0x21), 0x7F))
_BEYOND_ASCII = bytes(range(0x80, 0x100))
_TO_STANDARD_BASE64 = bytes.maketrans(b"-_", b"+/")
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BASE64_CHARACTER = re.compile(r"[A-Za-z0-9+/_-]")
_BASE64_REST = re.compile(r"[A-Za-z0-9+/_-]?={0,2}")
_NOT_BASE64 = bytes(set(range(256)) - set(_BASE64))
_NOT_HEXADECIMAL = bytes(set(range(256)) - set(b"0123456789abcdefABCDEF"))
_READABLE = re.compile(rb"[\t\n\r -~]{8}")
"""Only of what can be read further encodings are undone: random bytes lead nowhere."""
_PERCENT = re.compile(rb"%(?:([0-9a-f]{2})|u([0-9a-f]{4}))", re.IGNORECASE)
"""RFC 3986, 2.1; and what old scripts put into URLs."""
_BACKSLASH = re.compile(
    rb"\\(?:u([0-9a-f]{4})|u\{([0-9a-f]{1,6})\}|x([0-9a-f]{2})|([0-3][0-7]{2})|([^a-z0-9]|[bfnrt]))",
    re.IGNORECASE,
)
"""Of JSON (RFC 8259, 7) and of programming languages."""
_ENTITY = re.compile(rb"&(?:#[0-9]{1,9}|#x[0-9a-f]{1,8}|[a-z][a-z0-9]{1,31});?", re.IGNORECASE)
_NAMED_TOKEN = re.compile(r"(?<=_token)\W{1,5}[\w.~+/=-]{8,}")
"""`access_token=...`, `"refresh_token": "..."`."""
_DOTTED = re.compile(r"(?<![\w-])[\w-]{11,}+(?:\.[\w-]++)+")
_JSON_BEGINNING = "eyJ"
"""The base64url text of `{"`, with which JSON Web Tokens begin (RFC 7519)."""
_OPAQUE = re.compile(
    r"(?<![A-Za-z0-9_.~+/=-])(?=[A-Za-z_.~+/=-]*+[0-9])(?=[A-Z0-9_.~+/=-]*+[a-z])"
    r"(?=[a-z0-9_.~+/=-]*+[A-Z])[A-Za-z0-9_.~+/=-]{24,}"
)
"""Words so long, with digits and letters of both cases, as no language has them."""
_UNFINISHED_ESCAPE = re.compile(
    rb"(?:%u?[0-9a-f]{0,3}|\\u?\{?[0-9a-f]{0,5}|&#?x?[a-z0-9]{0,31})\Z", re.IGNORECASE
)


class Redactor:
    """Takes a few secrets out of texts; holds them, and shows none."""

    __slots__ = (
        "_direct",
        "_is_ascii",
        "_literals",
        "_needles",
        "_plain",
        "_prefixes",
        "_remembered",
        "_shortest",
        "_splitting",
        "_token_shaped",
    )

    def __init__(self, secrets: Iterable[SecretStr], *, token_shaped: bool = False) -> None:
        """Look for `secrets`, and if `token_shaped` for all that looks like a token, too."""
        self._token_shaped = token_shaped
        texts = {secret.get_secret_value() for secret in secrets}
        self._literals = tuple(
            sorted((t.encode() for t in texts if len(t) >= MIN_SECRET_CHARACTERS), key=len)[::-1]
        )
        self._is_ascii = all(literal.isascii() for literal in self._literals)
        self._splitting = _SPLITTING + (_BEYOND_ASCII if self._is_ascii else b"")
        folded = {literal.translate(None, self._splitting) for literal in self._literals}
        plain = {each.lower() for each in folded if len(each) >= MIN_SECRET_CHARACTERS}
        # Base64 whose case was changed cannot be decoded, and is looked for as such.
        cores = {core.lower() for each in folded for core in _base64_cores(each)}
        self._plain = tuple(sorted(plain, key=len, reverse=True))
        self._needles = (*self._plain, *(cores - plain))
        self._shortest = min(map(len, self._needles), default=0)
        self._prefixes = tuple({each[:MIN_PREFIX_CHARACTERS].decode() for each in self._plain})
        self._direct: re.Pattern[str] | None = None
        self._remembered: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Redactor({len(self._literals)} secrets)"

    def text(self, text: str, *, is_cut: bool = False) -> str:
        """Return `text` with `[redacted]` in place of every secret.

        `is_cut`: the text goes on where it comes from. Then its end may be the beginning of a
        secret in any form; else only that of one as it is.
        """
        if self._token_shaped:
            text = _OPAQUE.sub(REDACTED, _DOTTED.sub(_without_json_token, text))
            text = _NAMED_TOKEN.sub(REDACTED, text)
        if not self._needles:
            return text
        if len(text) >= self._shortest:
            text = self._without_whole(text)
        if is_cut or self._has_prefix(text):
            return self._without_cut(text)
        return text

    def remembered(self, text: str) -> str:
        """Return the same as `text`, at once for a text that is given again and again.

        For what is our own, such as the URL of a probe: foreign texts would push it out.
        """
        found = self._remembered.get(text)
        if found is None:
            if len(self._remembered) >= _MAX_REMEMBERED:
                self._remembered.clear()
            found = self._remembered[text] = self.text(text)
        return found

    def pairs(self, pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        """Return names and values as `text` returns each; at once if none holds a secret."""
        if self._token_shaped or not self._are_clean(tuple(chain.from_iterable(pairs))):
            return tuple((self.text(name), self.text(value)) for name, value in pairs)
        return pairs

    def _are_clean(self, texts: Sequence[str]) -> bool:
        """Return whether there is no secret in any of some texts, nor a secret's beginning."""
        # Searched together: no beginning of a secret holds a line feed.
        if not self._needles:
            return True
        if self._has_prefix("\n".join(texts)):
            return False
        return not any(len(text) >= self._shortest and self._holds(text) for text in texts)

    def data(self, data: bytes) -> bytes:
        """Return bytes without the secrets that stand there as they are, however long it is."""
        for literal in self._literals:
            data = data.replace(literal, REDACTED.encode())
        return data

    def _without_whole(self, text: str) -> str:
        if not self._holds(text):
            return text
        # Compiled at the first echo: that takes 0.1 ms for each character of a secret.
        if self._direct is None:
            self._direct = _split_pattern(self._plain, is_ascii=self._is_ascii)
        if self._direct is not None:
            text = self._direct.sub(REDACTED, text)
        for _ in range(_MAX_SEARCHES):
            if not self._holds(text):
                return text
            begin, end = self._first(text)
            text = text[:begin] + REDACTED + text[end:]
        return REDACTED if self._holds(text) else text

    def _first(self, text: str) -> tuple[int, int]:
        """Return where the first secret in a text that holds one begins and ends."""
        end = _least(len(text), lambda length: self._holds(text[:length]))
        begin = end - _least(end, lambda length: self._holds(text[end - length : end]))
        # In base64, the characters before and after it may have a few bits of it as well.
        if begin > 0 and _BASE64_CHARACTER.match(text, begin - 1):
            begin -= 1
        rest = _BASE64_REST.match(text, end)
        return begin, end if rest is None else rest.end()

    def _without_cut(self, text: str) -> str:
        if not self._ends_in_prefix(text):
            return text
        length = _least(len(text), lambda length: self._ends_in_prefix(text[-length:]))
        return text[:-length] + REDACTED

    def _holds(self, text: str) -> bool:
        for view in self._views(text):
            lowered = view.lower()
            for needle in self._needles:
                if needle in lowered:
                    return True
        return False

    def _has_prefix(self, text: str) -> bool:
        lowered = text.lower()
        return any(prefix in lowered for prefix in self._prefixes)

    def _ends_in_prefix(self, text: str) -> bool:
        for view in self._views(text):
            lowered = view.lower()
            if any(_ends_in_prefix(lowered, needle) for needle in self._plain):
                return True
            finished = _UNFINISHED_ESCAPE.sub(b"", lowered)
            if finished != lowered and any(_ends_in_prefix(finished, n) for n in self._plain):
                return True
        return False

    def _views(self, text: str) -> Iterator[bytes]:
        """Yield a text in every reading: as it is, with one encoding undone, and with two."""
        views = [text.encode("utf-8", "surrogatepass").translate(None, self._splitting)]
        yield views[0]
        for depth in range(_DEPTH):
            decoded: list[bytes] = []
            for view in views:
                # What was not read as text before it was encoded, cannot have been encoded before.
                if depth == 0 or _READABLE.search(view):
                    decoded += (each.translate(None, self._splitting) for each in _decoded(view))
            yield from decoded
            views = decoded


def secrets_of_url(url: str) -> tuple[SecretStr, ...]:
    """Return the user information of a URL, and the password in it, as what must not be shown."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ()
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    found = [f"{user}:{password}", password] if password else [user]
    return tuple(SecretStr(each) for each in found if each)


class RedactorCache:
    """Remembers the redactor of each set of secrets as long as somebody holds them."""

    def __init__(self) -> None:
        # By identity: comparing two secrets takes longer than searching a response for one.
        self._known: dict[tuple[int, ...], tuple[tuple[ref[SecretStr], ...], Redactor]] = {}

    def of(self, secrets: Sequence[SecretStr]) -> Redactor:
        """Return the redactor of some secrets."""
        key = tuple(map(id, secrets))
        found = self._known.get(key)
        if found is None or any(r() is not s for r, s in zip(found[0], secrets, strict=True)):
            held = tuple(ref(each, lambda _: self._known.pop(key, None)) for each in secrets)
            found = self._known[key] = held, Redactor(secrets)
        return found[1]


def _without_json_token(found: "re.Match[str]") -> str:
    begin = found[0].find(_JSON_BEGINNING, 0, found[0].index("."))
    return found[0] if begin < 0 else found[0][:begin] + REDACTED


def _decoded(view: bytes) -> Iterator[bytes]:
    """Yield what a text holds when each encoding that it may be in is undone."""
    for marker, escapes, unescaped in _ESCAPES:
        if marker in view:
            found = escapes.sub(unescaped, view)
            if found != view:
                yield found
    digits = view.translate(None, _NOT_HEXADECIMAL)
    if len(digits) >= 2 * MIN_SECRET_CHARACTERS:
        for begin in range(2):
            yield binascii.unhexlify(digits[begin : len(digits) - (len(digits) - begin) % 2])
    encoded = view.translate(_TO_STANDARD_BASE64).translate(None, _NOT_BASE64)
    for begin in range(4):
        size = (len(encoded) - begin) * 6 // 8
        if size >= MIN_SECRET_CHARACTERS:
            whole = encoded[begin:] + b"AAA"
            yield binascii.a2b_base64(whole[: len(whole) // 4 * 4])[:size]


def _of_percent(escape: "re.Match[bytes]") -> bytes:
    byte, character = escape.groups()
    return bytes((int(byte, 16),)) if byte else _character(int(character, 16))


def _of_backslash(escape: "re.Match[bytes]") -> bytes:
    u, braced, x, octal, single = escape.groups()
    if u or braced:
        return _character(int(u or braced, 16))
    if x or octal:
        return bytes((int(x, 16) if x else int(octal, 8),))
    return b" " if single.isalpha() else bytes(single)


def _of_entity(escape: "re.Match[bytes]") -> bytes:
    entity = escape[0].decode()
    found = html.unescape(entity)
    if found == entity:  # names of entities have a case, which may have been changed
        found = html.unescape(entity.lower())
    return found.encode("utf-8", "surrogatepass")


_ESCAPES = (
    (b"%", _PERCENT, _of_percent),
    (b"\\", _BACKSLASH, _of_backslash),
    (b"&", _ENTITY, _of_entity),
)


def _character(number: int) -> bytes:
    return chr(number).encode("utf-8", "surrogatepass") if number <= 0x10FFFF else b""  # noqa: PLR2004


def _base64_cores(secret: bytes) -> Iterator[bytes]:
    """Yield what of the base64 text depends on the secret alone, for each place it can begin at."""
    for offset in range(3):
        whole = b"\0" * offset + secret
        first, last = -(-offset * 8 // 6), len(whole) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            core = encode(whole)[first:last]
            if len(core) >= MIN_PREFIX_CHARACTERS:
                yield core


def _split_pattern(needles: Iterable[bytes], *, is_ascii: bool) -> "re.Pattern[str] | None":
    """Return what finds secrets in any case, with whatever splits them between the characters."""
    between = "[^!-~]*" if is_ascii else r"[\0-\x20\x7f]*"
    longest_first = sorted((each.decode() for each in needles), key=len, reverse=True)
    patterns = [between.join(map(re.escape, each)) for each in longest_first]
    return re.compile("|".join(patterns), re.IGNORECASE) if patterns else None


def _ends_in_prefix(text: bytes, needle: bytes) -> bool:
    begin = text.rfind(needle[:MIN_PREFIX_CHARACTERS], max(0, len(text) - len(needle)))
    return begin >= 0 and len(needle) > MIN_PREFIX_CHARACTERS and needle.startswith(text[begin:])


def _least(most: int, holds: Callable[[int], bool]) -> int:
    """Return a number up to `most` for which something holds, and not for the one before it.

    It must hold for `most`.
    """
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


NO_SECRETS = Redactor(())
