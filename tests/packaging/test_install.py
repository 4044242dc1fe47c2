"""docs/how-to/systemd.md: what can be run is run, in a directory that stands for the root."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.packaging.dockerfile import DOCKERFILE, ROOT, stages
from tests.programs import PROBER

DOCUMENT = "".join(
    (ROOT / "docs" / "how-to" / f"{name}.md").read_text() for name in ("systemd", "docker")
)
UNIT = (ROOT / "systemd" / "prober.service").read_text()
NEEDS_A_HOST = ("python3", "/opt/prober/bin/pip", "systemctl", "docker")  # see image_check.py


def commands() -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def run(command: str, root: Path) -> None:
    words = [
        re.sub(r"^/(?=etc/|run/)", f"{root}/", word)
        for word in shlex.split(command.replace("/opt/prober/bin/prober", PROBER))
    ]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True, input=b"a-token\n")


@pytest.mark.systemd
def test_its_commands_run_in_their_order(tmp_path: Path) -> None:
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    ran = []
    for command in commands():
        program, *words = command.split()
        if program == "make":
            assert words[0] in targets
        elif program == "install" or (program.endswith("prober") and words[0] != "health"):
            run(command, tmp_path)
            ran.append(program)
        elif program == "systemd-creds":
            run(command.replace(" encrypt ", " encrypt --with-key=tpm2-absent "), tmp_path)
            ran.append(program)
        else:
            assert program in {*NEEDS_A_HOST, "/opt/prober/bin/prober"}, command
    assert len(ran) == 6
    written = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    assert written == {
        "etc/prober/prober.yaml",
        "etc/systemd/system/prober.service",
        "etc/credstore.encrypted/acme-prod",
    }
    kept = (tmp_path / "etc/credstore.encrypted/acme-prod").read_text()
    assert "a-token" not in kept


@pytest.mark.parametrize("path", ["/opt/prober/bin/prober", "/etc/prober/prober.yaml"])
def test_its_paths_are_those_of_the_unit_and_of_the_image(path: str) -> None:
    assert path in DOCUMENT
    assert path in UNIT
    assert path in DOCKERFILE.read_text()


def test_what_it_says_of_the_container_is_the_dockerfiles() -> None:
    final = stages(DOCKERFILE.read_text(), {})[-1]
    environ = dict(word.split("=") for env in final.all("ENV") for word in env.words)
    assert f"`{environ['PROBER_WEB__LISTEN']}`, by `PROBER_WEB__LISTEN`" in DOCUMENT
    assert final.only("VOLUME").rest == environ["STATE_DIRECTORY"] == "/var/lib/prober"
    assert f"user and group {final.only('USER').rest.partition(':')[0]}" in DOCUMENT


def test_the_credential_that_it_loads_is_the_one_that_it_reads() -> None:
    assert "\nLoadCredentialEncrypted=acme-prod:/etc/credstore.encrypted/acme-prod\n" in DOCUMENT
    assert "#LoadCredentialEncrypted=acme-prod:/etc/credstore.encrypted/acme-prod\n" in UNIT
    assert "{file: /run/credentials/prober.service/acme-prod}" in DOCUMENT
