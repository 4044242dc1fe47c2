"""Whatever a file is instead of what it should be: commands say so, and never hang or crash."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import bcrypt
import pytest
import yaml
from click.testing import CliRunner, Result

from prober.cli.main import main

SECRET = "Sk-A1b2-C3d4-E5f6"


def missing(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def nulls(path: Path) -> None:
    path.write_bytes(bytes(4096))


def random_bytes(path: Path) -> None:
    path.write_bytes(random.Random(path.name).randbytes(4096))  # noqa: S311 -- a test's


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(3 * 2**30)  # a hole: it takes no room


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def utf16(path: Path) -> None:
    path.write_bytes(path.read_bytes().decode().encode("utf-16"))


def number(path: Path) -> None:
    path.write_text("5\n")


def items(path: Path) -> None:
    path.write_text("- a\n- {b: c}\n")


def nested(path: Path) -> None:
    path.write_text("[" * 100_000)


def escapes(path: Path) -> None:
    path.write_text('"\\x1b]8;;http://evil\\a": {"\\u202e\\0": 1}\n')


DAMAGES = (
    missing, empty, nulls, random_bytes, cut, huge, directory, fifo, device, loop, utf16, number,
    items, nested, escapes,
)  # fmt: skip
FILES = ("prober.yaml", "more.yaml", "web.yml", "token", "secret", "header", "ca.pem", "client.pem")


def write_all(into: Path) -> None:
    for name in ("token", "secret", "header"):
        (into / name).write_text(SECRET)
    for name in ("ca.pem", "client.pem"):
        (into / name).write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    hashed = bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode()
    (into / "web.yml").write_text(yaml.safe_dump({"basic_auth_users": {"me": hashed}}))
    oauth = {
        "client_id": "c",
        "token_url": "https://identity.invalid/connect/token",
        "client_secret": {"file": "secret"},
    }
    base = {"base_url": "https://platform.invalid/a", "proxy": "none", "probes": ["datasets"]}
    more = {"tenants": [{**base, "name": "more", "token": {"oauth": oauth}}]}
    (into / "more.yaml").write_text(yaml.safe_dump(more))
    own = {"path": "/api/v1/own", "headers": {"X-Api-Key": {"file": "header"}}}
    settings = {
        "web": {"listen": "127.0.0.1:0", "config_file": "web.yml"},
        "state": {"directory": "state"},
        "include": ["more.yaml"],
        "probes": {"own": own},
        "tenants": [
            {
                **base,
                "name": "acme",
                "token": {"file": "token"},
                "ca_file": "ca.pem",
                "client_certificate": {"certificate": "client.pem", "key": "client.pem"},
                "probes": ["own"],
            }
        ],
    }
    (into / "prober.yaml").write_text(yaml.safe_dump(settings))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.__name__)
def test_no_damage_of_a_file_ends_in_a_traceback_or_hangs(
    tmp_path: Path, damage: Callable[[Path], None], name: str
) -> None:
    write_all(tmp_path)
    file = tmp_path / "prober.yaml"
    damage(tmp_path / name)
    for arguments in (
        ("validate", str(file)),
        ("tokens", "--config", str(file)),
        ("report", "acme", "--config", str(file)),
        ("explain", str(tmp_path / name)),
    ):
        if arguments[0] == "explain" and damage in {fifo, huge}:
            continue  # it reads what it is given, as far as its limit
        done = run(*arguments)
        assert done.exception is None or isinstance(done.exception, SystemExit), arguments
        said = done.output
        assert done.exit_code in {0, 1, 2, 10, 11, 12, 13}, said
        assert "Traceback" not in said
        assert "\x1b]8" not in said
        assert SECRET not in said
    if name in {"prober.yaml", "web.yml", "more.yaml"}:
        done = run("validate", str(file))
        assert done.exit_code != 0 or damage in {empty, utf16, cut}, done.output
