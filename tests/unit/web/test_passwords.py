import asyncio
import threading

import bcrypt
import pytest

from prober.web.auth import PasswordVerifier, TooBusyError

ALICE = bcrypt.hashpw(b"secret", bcrypt.gensalt(4))
USERS = {b"alice": ALICE}


class Bcrypt:
    """Checks, and knows what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, bytes]] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def __call__(self, password: bytes, hashed: bytes) -> bool:
        self.may_go_on.wait(60)
        self.asked.append((password, hashed))
        return bcrypt.checkpw(password, hashed)


async def test_a_right_password_is_checked_once() -> None:
    check = Bcrypt()
    passwords = PasswordVerifier(check)
    assert not passwords.is_cached(USERS, b"alice", b"secret")
    assert await passwords.verify(USERS, b"alice", b"secret")
    assert passwords.is_cached(USERS, b"alice", b"secret")
    assert not passwords.is_cached(USERS, b"alice", b"other")
    assert not passwords.is_cached({b"alice": b"another hash"}, b"alice", b"secret")
    assert not passwords.is_cached({}, b"alice", b"secret")
    assert len(check.asked) == 1
    passwords.close()


@pytest.mark.parametrize("password", [b"wrong", b"", b"secret\0", b"x" * 5000])
async def test_a_wrong_password_is_never_remembered(password: bytes) -> None:
    passwords = PasswordVerifier()
    assert not await passwords.verify(USERS, b"alice", password)
    assert not passwords.is_cached(USERS, b"alice", password)
    passwords.close()


async def test_of_a_long_password_bcrypt_reads_72_bytes_as_elsewhere() -> None:
    users = {b"alice": bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4))}
    passwords = PasswordVerifier()
    assert await passwords.verify(users, b"alice", b"x" * 80)
    passwords.close()


async def test_an_unknown_user_costs_as_much_as_a_known_one_and_is_never_right() -> None:
    check = Bcrypt()
    passwords = PasswordVerifier(check)
    assert not await passwords.verify(USERS, b"nobody", b"secret")
    assert check.asked == [(b"secret", ALICE)]
    assert not passwords.is_cached(USERS, b"nobody", b"secret")
    passwords.close()


async def test_the_same_asked_at_once_is_checked_once_and_too_many_are_refused() -> None:
    check = Bcrypt()
    check.may_go_on.clear()
    passwords = PasswordVerifier(check)
    same = [asyncio.create_task(passwords.verify(USERS, b"alice", b"secret")) for _ in range(5)]
    await asyncio.sleep(0)
    assert passwords.is_pending(USERS, b"alice", b"secret")
    guesses = [b"%d" % number for number in range(15)]
    others = [asyncio.create_task(passwords.verify(USERS, b"alice", each)) for each in guesses]
    await asyncio.sleep(0)
    with pytest.raises(TooBusyError):
        await passwords.verify(USERS, b"alice", b"one more")
    check.may_go_on.set()
    assert await asyncio.gather(*same) == [True] * 5
    assert await asyncio.gather(*others) == [False] * 15
    assert len(check.asked) == 16
    passwords.close()


async def test_no_more_than_256_are_remembered() -> None:
    passwords = PasswordVerifier(lambda _password, _hashed: True)
    for number in range(257):
        assert await passwords.verify(USERS, b"alice", b"%d" % number)
    assert not passwords.is_cached(USERS, b"alice", b"0")
    assert passwords.is_cached(USERS, b"alice", b"256")
    passwords.close()
