"""A server that knows all secrets and echoes them, encoded, wherever a response has room.

It is API, proxy and identity server at once: the head of a request decides which.
"""

import asyncio
import base64
import html
import json
import re
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from urllib.parse import unquote_to_bytes

from tests.unit.test_redaction import ENCODINGS

WINDOW = 12
"""So many characters of a secret, one after another, are never there by chance."""
_SPLITTING = re.compile("[^!-~]+")
_STATUSES = ("200 OK", "400 Bad Request", "403 Forbidden", "404 Not Found", "500 Oops", "502 Bad")
_IN_HEADERS = sorted(set(ENCODINGS) - {"split", "a NUL after each"})


def a_secret(chance: Random, alphabet: str = "+/-._~=") -> str:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    drawn = "".join(chance.choice(letters + alphabet) for _ in range(chance.randint(24, 60)))
    return f"{chance.choice(letters)}{drawn}{chance.choice(letters)}"


class EchoingServer:
    """Echoes in chains of at most two encodings; `secrets` are by a part of a request's head."""

    def __init__(self, chance: Random, secrets: Mapping[str, Sequence[str]]) -> None:
        self._chance, self._all_secrets = chance, secrets
        self._secrets: Sequence[str] = ()
        self.requests = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server:
            yield server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        if found := re.search(r"(?i)content-length: (\d+)", head):
            await reader.readexactly(int(found[1]))
        self.requests += 1
        self._secrets = next(known for name, known in self._all_secrets.items() if name in head)
        is_identity = "/connect/token" in head
        if is_identity:  # the token is not known before, and so not in other forms
            *self._secrets, issued = self._secrets
        body = self._identity_body(issued) if is_identity else self._body()
        fields = [f"X-{name}: {self._echo(headers=True)}" for name in ("Request-Id", "Echo", "Way")]
        fields += [f"Server: {self._echo(headers=True)}", f"Content-Length: {len(body)}"]
        if self._chance.random() < 0.5:
            fields.append("Server-Timing: total;dur=0.01")
        if self._chance.random() < 0.2:
            fields.append(f"Location: https://elsewhere.test/?t={self._echo(headers=True)}")
        if self._chance.random() < 0.2:
            fields.append(f"WWW-Authenticate: Bearer realm={self._echo(headers=True)}")
        status = self._chance.choice(_STATUSES[1:3] if is_identity else _STATUSES)
        if is_identity and b'"token_type": "Bearer"' in body:
            status = "200 OK"
        if self._chance.random() < 0.05:
            fields.append(f"X {self._echo(headers=True)}")  # no header at all
        response = f"HTTP/1.1 {status} {self._echo(headers=True)}\r\n" + "\r\n".join(fields)
        writer.write(response.encode("utf-8", "replace") + b"\r\nConnection: close\r\n\r\n" + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    def _echo(self, *, headers: bool = False) -> str:
        echo = self._chance.choice(self._secrets)
        names = _IN_HEADERS if headers else sorted(ENCODINGS)
        for _ in range(self._chance.randint(1, 2)):
            echo = ENCODINGS[self._chance.choice(names)](echo, self._chance.randint)
        return echo

    def _body(self) -> bytes:
        echo, before = self._echo(), "x" * self._chance.choice((0, 150, 480))
        document = {
            "status": self._chance.choice(("error", "error", "ok", "what")),
            "message": f"{before} you sent {echo}",
            "path": f"/api/{self._echo()}",
            "title": self._echo(),
            "errorCode": self._echo(),
        }
        items = [{"id": "0123456789abcdef", "name": self._echo(), "owner": self._echo()}]
        lists = dict.fromkeys(("datasets", "sources", "projects", "streams", "buckets"), items)
        user = {"email": self._echo(), "global_permissions": [self._echo()]}
        forms = (
            json.dumps({"status": "ok", "user": user, **lists}),
            json.dumps(document),
            json.dumps(document, ensure_ascii=False),
            f'{{"status": "error", "message": "you sent {echo}"}}',
            f"<html><title>{self._echo()}</title>{before}{echo}</html>",
            f"{before} {echo}",
        )
        return self._chance.choice(forms).encode("utf-8", "replace")

    def _identity_body(self, issued: str) -> bytes:
        if self._chance.random() < 0.5:
            document: dict[str, object] = {"error": self._echo()}
            document["error_description"] = f"client {self._echo()} and token {issued}"
        else:
            document = {"access_token": issued, "token_type": "Bearer", "expires_in": 300}
            if self._chance.random() < 0.3:
                document["token_type"] = self._echo()
        return json.dumps(document).encode()


def found_in(texts: Iterable[str], secrets: Iterable[str]) -> str | None:
    """Return a part of a secret that a text has in any of the usual encodings, None if none has."""
    windows = {
        secret[start : start + WINDOW].lower()
        for secret in secrets
        for start in range(len(secret) - WINDOW + 1)
    }
    for text in texts:
        for view in _views(text):
            lowered = _SPLITTING.sub("", view).lower()
            for start in range(len(lowered) - WINDOW + 1):
                if lowered[start : start + WINDOW] in windows:
                    return f"{lowered[max(0, start - 60) : start + 80]!r}"
    return None


def _views(text: str, depth: int = 2) -> Iterator[str]:
    yield text
    if depth == 0:
        return
    for view in {html.unescape(text), _unescaped(text), unquote_to_bytes(text).decode("latin-1")}:
        if view != text:
            yield from _views(view, depth - 1)
    for run in re.findall(r"[0-9a-fA-F]{24,}", text):
        yield from _views(bytes.fromhex(run[: len(run) // 2 * 2]).decode("latin-1"), depth - 1)
    for run in re.findall(r"[A-Za-z0-9+/_-]{16,}", text.replace("\\/", "/")):
        standard = run.replace("-", "+").replace("_", "/")
        for start in range(4):
            part = standard[start:]
            decoded = base64.b64decode(part[: len(part) // 4 * 4])
            yield from _views(decoded.decode("latin-1"), depth - 1)


def _unescaped(text: str) -> str:
    return re.sub(
        r"\\(?:u([0-9a-fA-F]{4})|(/))",
        lambda found: chr(int(found[1], 16)) if found[1] else "/",
        text,
    )


def inflated(content: bytes) -> str:
    """Return stored bytes as text; as they are, if they are not compressed."""
    for bits in (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        try:
            return zlib.decompress(content, bits).decode("utf-8", "replace")
        except zlib.error:
            continue
    return content.decode("utf-8", "replace")
