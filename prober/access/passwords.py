"""Is this password right? bcrypt in a thread of its own, one at a time, and seldom."""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import bcrypt

_MOST_REMEMBERED = 256
_MOST_WAITING = 16
_BCRYPT_READS_BYTES = 72  # and no more: what follows was never hashed

Check = Callable[[bytes, bytes], bool]


class TooBusyError(Exception):
    """So many passwords wait to be checked that this one cannot."""


class Passwords:
    """Checks passwords; a right one is remembered by a keyed hash, so that it costs nothing again.

    A name that is unknown is checked against somebody's hash all the same: it takes as long.
    """

    def __init__(self, check: Check = bcrypt.checkpw) -> None:
        self._check = check
        self._key = secrets.token_bytes(32)
        self._right: dict[bytes, None] = {}
        self._checking: dict[bytes, asyncio.Task[bool]] = {}
        self._thread = ThreadPoolExecutor(1, "passwords")  # at most one core is taken from probes

    def is_remembered(self, users: Mapping[bytes, bytes], user: bytes, password: bytes) -> bool:
        """Tell whether this was found right before, and the user's hash is the same."""
        return user in users and self._digest(user, users[user], password) in self._right

    def is_being_checked(self, users: Mapping[bytes, bytes], user: bytes, password: bytes) -> bool:
        """Tell whether the same is being checked for somebody else right now."""
        return self._digest(user, users.get(user, b""), password) in self._checking

    async def is_right(self, users: Mapping[bytes, bytes], user: bytes, password: bytes) -> bool:
        """Tell whether the password is the user's; raises TooBusyError."""
        digest = self._digest(user, users.get(user, b""), password)
        task = self._checking.get(digest)
        if task is None:
            if len(self._checking) >= _MOST_WAITING:
                raise TooBusyError
            hashed = users.get(user) or self._somebodys(users, user)
            task = asyncio.create_task(self._ask(hashed, password), name="check password")
            self._checking[digest] = task
            task.add_done_callback(lambda _: self._checking.pop(digest))
        is_right = await asyncio.shield(task) and user in users
        if is_right:
            self._remember(digest)
        return is_right

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, hashed: bytes, password: bytes) -> bool:
        loop = asyncio.get_running_loop()
        shortened = password[:_BCRYPT_READS_BYTES]
        try:
            return await loop.run_in_executor(self._thread, self._check, shortened, hashed)
        except ValueError:  # a NUL byte: no password that could have been hashed
            return False

    def _somebodys(self, users: Mapping[bytes, bytes], user: bytes) -> bytes:
        """Return always the same hash for the same name, whose cost is then the name's."""
        number = int.from_bytes(self._digest(user, b"", b"")[:8])
        return list(users.values())[number % len(users)]

    def _remember(self, digest: bytes) -> None:
        while len(self._right) >= _MOST_REMEMBERED:
            del self._right[next(iter(self._right))]
        self._right[digest] = None

    def _digest(self, user: bytes, hashed: bytes, password: bytes) -> bytes:
        parts = (user, hashed, password)
        framed = b"".join(len(part).to_bytes(4) + part for part in parts)
        return hmac.digest(self._key, framed, hashlib.sha256)
