"""What another user may read: by owner, group and mode of a file and of all directories above."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from prober.cli.validate import validate
from prober.config.user_access import User, barrier_for, find_user

MINE, OTHER = os.getuid(), 65_500
STRANGER = User("stranger", OTHER, frozenset({OTHER}))
MEMBER = User("member", OTHER, frozenset({OTHER, os.getgid()}))
OWNER = User("owner", MINE, frozenset({OTHER}))


@pytest.fixture
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a directory that everybody may enter, and so may all above it."""
    made = tmp_path_factory.mktemp("open")
    for path in (made, *made.parents):
        if path.stat().st_uid == MINE and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o055)
    return made


@pytest.mark.parametrize(
    ("mode", "stranger", "member", "owner"),
    [
        (0o644, True, True, True),
        (0o640, False, True, True),
        (0o600, False, False, True),
        (0o604, True, False, True),  # its class decides, although all others may
        (0o044, True, True, MINE == 0),
    ],
)
def test_the_first_class_that_fits_decides(
    directory: Path, mode: int, stranger: bool, member: bool, owner: bool
) -> None:
    file = directory / "token"
    file.touch()
    file.chmod(mode)
    for user, may in ((STRANGER, stranger), (MEMBER, member), (OWNER, owner)):
        assert (barrier_for(file, user) is None) is may, user


def test_a_directory_on_the_way_is_a_barrier_also_behind_a_link(directory: Path) -> None:
    closed = directory / "closed"
    closed.mkdir()
    (closed / "token").touch()
    (closed / "token").chmod(0o644)
    (directory / "link").symlink_to(closed / "token")
    closed.chmod(0o750)
    for file in (closed / "token", directory / "link"):
        assert barrier_for(file, STRANGER) == closed
        assert barrier_for(file, MEMBER) is None
    assert barrier_for(directory / "missing", STRANGER) is None  # that is another warning


@pytest.mark.parametrize(
    ("text", "uid", "gids"),
    [("65532", 65532, {65532}), ("65532:7,8", 65532, {65532, 7, 8}), ("root:65", 0, {0, 65})],
)
def test_users_are_named_or_numbered(text: str, uid: int, gids: set[int]) -> None:
    user = find_user(text)
    assert (user.name, user.uid) == (text, uid)
    assert user.gids >= gids


@pytest.mark.parametrize(
    "text", ["", "no-such-user", "0:no-such-group", "0:", "-1", "0:1,,2", "\x1b"]
)
def test_who_is_not_there_is_no_user(text: str) -> None:
    with pytest.raises(ValueError, match="there is no"):
        find_user(text)


def test_validate_names_what_the_daemons_user_may_not_read(directory: Path) -> None:
    file = directory / "prober.yaml"
    file.write_text(
        "tenants:\n"
        "  - {name: a, domain: a, token: {file: token}}\n"
        "  - {name: b, domain: b, token: {env: B}, ca_file: ca.pem}\n"
    )
    for name in ("token", "ca.pem"):
        (directory / name).write_text("x")
        (directory / name).chmod(0o600)
    file.chmod(0o644)
    done = CliRunner().invoke(validate, [str(file), "--as-user", f"{OTHER}"])
    assert done.exit_code == 1
    assert [line for line in done.stderr.splitlines() if "may not" in line] == [
        f"{file}:2: tenants[0].token.file: {OTHER} may not read {directory}/token",
        f"{file}:3: tenants[1].ca_file: {OTHER} may not read {directory}/ca.pem",
    ]
    for name in ("token", "ca.pem"):
        (directory / name).chmod(0o644)
    assert CliRunner().invoke(validate, [str(file), "--as-user", f"{OTHER}"]).exit_code == 0
    assert CliRunner().invoke(validate, [str(file), "--as-user", "no-such"]).exit_code == 2
