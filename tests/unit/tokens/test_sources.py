import os
from pathlib import Path

import pytest

from prober.errors import TokenUnavailableError
from prober.model import TokenSource, TokenSourceKind
from prober.tokens.sources import MAX_TOKEN_BYTES, FileSource, open_source, parse_token

SECRET = "3f9c0d1e-not-a-real-token"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "acme.token"
    path.write_text(SECRET)
    return path


def read(source: FileSource) -> str:
    return source.read().get_secret_value()


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
    ("content", "told"),
    [
        (b"", "here is empty: write the token into it"),
        (b" \n", "here is empty: write the token into it"),
        (b"\xef\xbb\xbf", "here is empty: write the token into it"),
        (
            f"{SECRET} {SECRET}".encode(),
            "here has white space inside: one token alone may be there",
        ),
        (
            f"{SECRET}\n# old".encode(),
            "here has white space inside: one token alone may be there",
        ),
        (f"{SECRET}ü".encode(), "here has characters that no HTTP header can carry"),
        (f"{SECRET}\0".encode(), "here has characters that no HTTP header can carry"),
        (SECRET.encode() + b"\xff", "here is not UTF-8 text"),
        (SECRET.encode("utf-16"), "here is not UTF-8 text"),
        (SECRET.encode() * 1000, "here is longer than 16384 bytes"),
    ],
)
def test_what_is_no_token_is_told_without_telling_it(content: bytes, told: str) -> None:
    with pytest.raises(TokenUnavailableError) as caught:
        parse_token(content, "here")
    assert str(caught.value) == told
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_token_does_not_show_itself() -> None:
    assert SECRET not in repr(parse_token(SECRET.encode(), "here"))


def test_a_variable_holds_a_token_and_is_read_anew() -> None:
    environ = {"ACME_TOKEN": SECRET}
    source = open_source(TokenSource(TokenSourceKind.ENVIRONMENT, "ACME_TOKEN"), environ)
    assert source.read().get_secret_value() == SECRET
    environ.clear()
    with pytest.raises(
        TokenUnavailableError, match="the environment variable ACME_TOKEN is not set"
    ):
        source.read()


def test_a_variable_of_odd_bytes_is_told() -> None:
    source = open_source(TokenSource(TokenSourceKind.ENVIRONMENT, "T"), {"T": "\udcff"})
    with pytest.raises(TokenUnavailableError, match="the environment variable T is not UTF-8 text"):
        source.read()


def test_a_file_holds_a_token(file: Path) -> None:
    source = open_source(TokenSource(TokenSourceKind.FILE, str(file)), {})
    assert source.read().get_secret_value() == SECRET


def test_a_file_that_did_not_change_is_not_read_again(file: Path) -> None:
    source = FileSource(file)
    assert source.read() is source.read()


def test_a_file_changed_in_place_is_read_again(file: Path) -> None:
    source = FileSource(file)
    read(source)
    file.write_text("another-token")
    assert read(source) == "another-token"


def test_a_file_of_equal_length_changed_in_place_is_read_again(file: Path) -> None:
    source = FileSource(file)
    read(source)
    file.write_text(SECRET[::-1])
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))  # coarse clocks give both one time
    assert read(source) == SECRET[::-1]


def test_a_file_renamed_over_is_read_again(file: Path) -> None:
    source = FileSource(file)
    read(source)
    status = file.stat()
    fresh = file.with_suffix(".new")
    fresh.write_text(SECRET[::-1])
    os.utime(fresh, ns=(status.st_atime_ns, status.st_mtime_ns))
    fresh.replace(file)
    assert read(source) == SECRET[::-1]


def test_a_symbolic_link_that_points_elsewhere_is_followed(tmp_path: Path) -> None:
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "token").write_text(f"token-{version}")
    (tmp_path / "..data").symlink_to("one")
    link = tmp_path / "token"
    link.symlink_to("..data/token")  # as Kubernetes mounts a secret
    source = FileSource(link)
    assert read(source) == "token-one"
    (tmp_path / "..next").symlink_to("two")
    (tmp_path / "..next").replace(tmp_path / "..data")
    assert read(source) == "token-two"


def test_a_file_that_is_gone_is_told_and_read_when_it_is_back(file: Path) -> None:
    source = FileSource(file)
    read(source)
    file.unlink()
    with pytest.raises(TokenUnavailableError) as caught:
        source.read()
    assert str(caught.value) == f"the token file {file} cannot be read: No such file or directory"
    file.write_text(SECRET)
    assert read(source) == SECRET


def test_a_directory_is_no_token_file(tmp_path: Path) -> None:
    with pytest.raises(TokenUnavailableError, match="cannot be read: Is a directory"):
        FileSource(tmp_path).read()


def test_a_token_that_went_bad_is_not_served_from_before(file: Path) -> None:
    source = FileSource(file)
    read(source)
    file.write_text("")
    for _ in range(2):
        with pytest.raises(TokenUnavailableError, match="is empty"):
            source.read()
