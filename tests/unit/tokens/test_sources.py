import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from prober.errors import TokenUnavailableError
from prober.models import OAuthClient, TokenSource, TokenSourceKind
from prober.tokens.sources import (
    MAX_TOKEN_BYTES,
    FileSource,
    SourceReading,
    is_stable,
    open_source,
    parse_token,
)

SECRET = "3f9c0d1e-not-a-real-token"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "acme.token"
    path.write_text(SECRET)
    return path


def shown(sighting: SourceReading) -> str:
    return sighting.problem if sighting.secret is None else sighting.secret.get_secret_value()


@pytest.mark.parametrize(
    "content",
    [
        SECRET.encode(),
        f"{SECRET}\n".encode(),
        f"\r\n  {SECRET}\t\r\n".encode(),
        b"\xef\xbb\xbf" + f"{SECRET}\n".encode(),
        SECRET.encode() + b" " * (MAX_TOKEN_BYTES - len(SECRET)),
    ],
    ids=["bare", "newline", "white-space-around", "bom", "as-long-as-may-be"],
)
def test_a_token_is_found_in_what_editors_make_of_it(content: bytes) -> None:
    assert parse_token(content, "here").get_secret_value() == SECRET


@pytest.mark.parametrize(
    ("content", "reported"),
    [
        (b"", "here is empty: write the token into it"),
        (b" \n", "here is empty: write the token into it"),
        (b"\xef\xbb\xbf", "here is empty: write the token into it"),
        (
            f"{SECRET} {SECRET}".encode(),
            "here contains white space: only one token is allowed",
        ),
        (
            f"{SECRET}\n# old".encode(),
            "here contains white space: only one token is allowed",
        ),
        (f"{SECRET}ü".encode(), "here has characters that are not allowed in an HTTP header"),
        (f"{SECRET}\0".encode(), "here has characters that are not allowed in an HTTP header"),
        (SECRET.encode() + b"\xff", "here is not UTF-8 text"),
        (SECRET.encode("utf-16"), "here is not UTF-8 text"),
        (SECRET.encode() * 1000, "here is longer than 16384 bytes"),
    ],
)
def test_what_is_no_token_is_told_without_telling_it(content: bytes, reported: str) -> None:
    with pytest.raises(TokenUnavailableError) as caught:
        parse_token(content, "here")
    assert str(caught.value) == reported
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_token_does_not_show_itself() -> None:
    assert SECRET not in repr(parse_token(SECRET.encode(), "here"))


def test_a_variable_holds_a_token_and_is_read_anew() -> None:
    environ = {"ACME_TOKEN": SECRET}
    source = open_source(TokenSource(TokenSourceKind.ENVIRONMENT, "ACME_TOKEN"), environ)
    assert shown(source.read(None)) == SECRET
    environ.clear()
    assert shown(source.read(None)) == "the environment variable ACME_TOKEN is not set"


def test_a_variable_of_odd_bytes_is_told() -> None:
    source = open_source(TokenSource(TokenSourceKind.ENVIRONMENT, "T"), {"T": "\udcff"})
    assert shown(source.read(None)) == "the environment variable T is not UTF-8 text"


def test_of_an_oauth_source_the_clients_secret_is_read(file: Path) -> None:
    client = OAuthClient("prober", TokenSource(TokenSourceKind.FILE, str(file)))
    source = TokenSource(TokenSourceKind.OAUTH, "https://id.example/token", client=client)
    assert shown(open_source(source, {}).read(None)) == SECRET


def test_a_file_that_did_not_change_is_not_read_again(file: Path) -> None:
    source = FileSource(file)
    known = source.read(None)
    assert source.read(known) is known


def test_a_want_of_files_says_nothing_about_the_token(file: Path) -> None:
    source = FileSource(file)
    known = source.read(None)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        again, first = source.read(known), FileSource(file).read(None)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert again is known
    assert shown(first) == f"the token file {file} cannot be read: Too many open files"


def in_place(file: Path, content: str) -> None:
    file.write_text(content)


def in_place_keeping_its_time(file: Path, content: str) -> None:
    before = file.stat()
    file.write_text(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def by_renaming(file: Path, content: str) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_text(content)
    before = file.stat()
    os.utime(fresh, ns=(before.st_atime_ns, before.st_mtime_ns))
    fresh.replace(file)


@pytest.mark.parametrize("write", [in_place, in_place_keeping_its_time, by_renaming])
@pytest.mark.parametrize("content", ["another-token", SECRET[::-1]], ids=["other", "same-length"])
def test_a_changed_file_is_read_again(
    file: Path, content: str, write: Callable[[Path, str], None]
) -> None:
    source = FileSource(file)
    known = source.read(None)
    time.sleep(0.02)  # longer than the tick of any kernel's file times
    write(file, content)
    assert shown(source.read(known)) == content


def test_a_symbolic_link_that_points_elsewhere_is_followed(tmp_path: Path) -> None:
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "token").write_text(f"token-{version}")
    (tmp_path / "..data").symlink_to("one")
    link = tmp_path / "token"
    link.symlink_to("..data/token")  # as Kubernetes mounts a secret
    source = FileSource(link)
    known = source.read(None)
    assert shown(known) == "token-one"
    (tmp_path / "..next").symlink_to("two")
    (tmp_path / "..next").replace(tmp_path / "..data")
    assert shown(source.read(known)) == "token-two"


def test_a_file_that_is_gone_is_told_and_read_when_it_is_back(file: Path) -> None:
    source = FileSource(file)
    known = source.read(None)
    file.unlink()
    lost = source.read(known)
    assert shown(lost) == f"the token file {file} cannot be read: No such file or directory"
    file.write_text(SECRET)
    assert shown(source.read(lost)) == SECRET


def test_what_is_no_file_is_no_token_file_and_is_not_opened(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe):
        assert shown(FileSource(path).read(None)) == f"the token file {path} is not a regular file"


@pytest.mark.parametrize(
    ("changed_at", "seen_since", "believed"),
    [
        (99.0, 100.0, True),
        (99.75, 100.0, True),
        (99.8, 100.0, False),
        (99.8, 99.75, True),
        (None, 100.0, False),
        (None, 99.75, True),
        (4e9, 100.0, False),
        (4e9, 99.75, True),
    ],
    ids=[
        "old-file",
        "left-alone-just-long-enough",
        "just-written",
        "just-written-but-looks-agree",
        "unknown-time",
        "unknown-time-but-looks-agree",
        "a-time-in-the-future",
        "a-time-in-the-future-but-looks-agree",
    ],
)
def test_a_look_is_believed_once_the_file_was_left_alone(
    changed_at: float | None, seen_since: float, believed: bool
) -> None:
    assert is_stable(SourceReading(changed_at=changed_at), seen_since, 100.0) is believed


def test_a_path_that_can_be_none_is_a_problem_of_its_source_alone() -> None:
    source = TokenSource(TokenSourceKind.FILE, "/tmp/a\0b")  # noqa: S108 -- never opened
    assert "is not a path" in open_source(source, {}).read(None).problem


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('"a-token"', "without them"),
        ("'a-token'", "without them"),
        ("\u201ca-token\u201d", "without them"),
        ("Bearer a-token", "begins with 'Bearer'"),
        ("bearer  a-token\n", "begins with 'Bearer'"),
        ("ACME_TOKEN=a-token", "the form NAME=value"),
        ("export ACME_TOKEN=a-token", "the form NAME=value"),
    ],
)
def test_it_is_said_what_stands_beside_a_token(content: str, why: str) -> None:
    with pytest.raises(TokenUnavailableError, match=why) as caught:
        parse_token(content.encode(), "the file")
    assert "a-token" not in str(caught.value)


@pytest.mark.parametrize("content", ["abc==", "ABC_DEF==", "Bearer", "a=b", "AB=cd", "a_b=c"])
def test_a_token_may_look_odd(content: str) -> None:
    assert parse_token(content.encode(), "the file").get_secret_value() == content
