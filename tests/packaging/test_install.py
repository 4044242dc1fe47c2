"""docs/how-to: the commands of the guides are ones that there are. `make system-test` runs them."""

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest

from prober.cli.main import COMMANDS, main
from prober.config.loader import load
from tests.packaging.dockerfile import DOCKERFILE, ROOT, stages
from tests.packaging.guides import blocks

SYSTEMD = ROOT / "docs" / "how-to" / "systemd.md"
DOCKER = ROOT / "docs" / "how-to" / "docker.md"
UNIT = (ROOT / "systemd" / "prober.service").read_text()
GUIDES = [SYSTEMD, DOCKER]


def lines(guide: Path) -> list[str]:
    return [line for block in blocks(guide) for line in block.commands.splitlines()]


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_its_blocks_are_shell(guide: Path) -> None:
    assert len(blocks(guide)) > 3
    for block in blocks(guide):
        subprocess.run(["sh", "-n"], input=block.commands, text=True, check=True)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_what_it_makes_are_targets(guide: Path) -> None:
    targets = re.findall(r"^([a-z0-9-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    made = [line.split()[1] for line in lines(guide) if line.startswith("make ")]
    assert made
    assert set(made) <= set(targets)


def options_of(command: str) -> set[str]:
    context = click.Context(main, **main.context_settings)
    found = main.get_command(context, command)
    assert found is not None
    return {each for parameter in found.params for each in parameter.opts}


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_the_commands_of_prober_that_it_types_exist(guide: Path) -> None:
    typed = [
        shlex.split(line)[number + 1 :]
        for line in lines(guide)
        for number, word in enumerate(shlex.split(line))
        if word.rpartition("/")[2] == "prober" and shlex.split(line)[number + 1 :][:1]
    ]
    commands = [words for words in typed if words[0] in COMMANDS]
    assert {words[0] for words in commands} >= {"validate", "health"}
    for words in commands:
        options = {word for word in words if word.startswith("--")}
        assert options <= options_of(words[0]), words


@pytest.mark.parametrize("path", ["/opt/prober/bin/prober", "/etc/prober/prober.yaml"])
def test_its_paths_are_those_of_the_unit_and_of_the_image(path: str) -> None:
    assert path in UNIT
    assert path in DOCKERFILE.read_text()
    assert all(path in guide.read_text() for guide in GUIDES)


def test_what_it_says_of_the_container_is_the_dockerfiles() -> None:
    final, document = stages(DOCKERFILE.read_text(), {})[-1], DOCKER.read_text()
    environ = dict(word.split("=") for env in final.all("ENV") for word in env.words)
    assert f"set by `PROBER_WEB__LISTEN` to `{environ['PROBER_WEB__LISTEN']}`" in document
    assert final.only("VOLUME").rest == environ["STATE_DIRECTORY"] == "/var/lib/prober"
    assert f"user and group {final.only('USER').rest.partition(':')[0]}" in document


def test_the_configuration_that_it_installs_is_valid_and_names_what_the_unit_names() -> None:
    configuration = load(ROOT / "systemd" / "prober.yaml")
    assert str(configuration.state_directory) == "/var/lib/prober"
    assert "StateDirectory=prober" in UNIT
    (tenant,) = configuration.tenants
    assert tenant.token.location == "/etc/prober/tokens/acme-prod"
    assert f"/dev/stdin {tenant.token.location}" in SYSTEMD.read_text()


def test_the_credential_that_it_loads_is_the_one_that_it_reads() -> None:
    document = SYSTEMD.read_text()
    assert "LoadCredentialEncrypted=acme-prod:/etc/credstore.encrypted/acme-prod" in document
    assert "#LoadCredentialEncrypted=acme-prod:/etc/credstore.encrypted/acme-prod\n" in UNIT
    assert "/run/credentials/prober.service/acme-prod" in document
