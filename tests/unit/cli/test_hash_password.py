import bcrypt
import pytest
from click.testing import CliRunner

from prober.cli.hash_password import hash_password
from prober.config.web_schema import check_hash


def test_a_line_becomes_a_hash_that_web_yml_takes() -> None:
    done = CliRunner().invoke(hash_password, input="correct horse\nnot this\n")
    assert done.exit_code == 0
    hashed = check_hash(done.stdout.removesuffix("\n"))
    assert bcrypt.checkpw(b"correct horse", hashed.encode())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "is empty"),
        ("\n", "is empty"),
        ("x" * 73, "at most 72 bytes"),
        ("ä" * 37, "at most 72 bytes"),
        ("a\0b", "NUL"),
    ],
)
def test_what_bcrypt_would_not_take_whole_is_refused(given: str, said: str) -> None:
    done = CliRunner().invoke(hash_password, input=given)
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stdout == ""
