"""The Dockerfile's promises; `make image-check` runs it without Docker."""

import re
from fnmatch import fnmatch

import pytest

from prober.cli.main import COMMANDS
from prober.version import VERSION
from tests.packaging.dockerfile import DOCKERFILE, ROOT, Stage, stages


@pytest.fixture(scope="module")
def parsed() -> list[Stage]:
    return stages(DOCKERFILE.read_text(), {"BASE": "plain"})


@pytest.fixture(scope="module")
def final(parsed: list[Stage]) -> Stage:
    return parsed[-1]


def test_every_stage_stands_on_the_one_base(parsed: list[Stage]) -> None:
    assert [(stage.name, stage.base) for stage in parsed] == [
        ("python", "plain"),
        ("build", "python"),
        ("final", "python"),
    ]
    assert stages(DOCKERFILE.read_text(), {})[0].base == "debian:trixie-slim"
    assert ":latest" not in DOCKERFILE.read_text()


def test_it_runs_as_an_unprivileged_user(parsed: list[Stage], final: Stage) -> None:
    owner = final.only("USER").rest
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", owner)  # numbers: Kubernetes' runAsNonRoot
    assert [copy.flags for copy in final.all("COPY")] == [("--from=build",)]
    user, group = owner.split(":")
    made = f"install --directory --owner={user} --group={group} --mode=0700 /var/lib/prober"
    assert made in parsed[0].only("RUN").rest


def test_its_labels_are_of_this_version_and_of_the_commit(final: Stage) -> None:
    labels = dict(re.findall(r'([a-z.]+)="([^"]*)"', final.only("LABEL").rest))
    assert {name.rpartition(".")[2]: value for name, value in labels.items()} == {
        "title": "prober",
        "description": "Synthetic health prober for the UiPath Communications Mining API",
        "version": VERSION,
        "revision": "${SOURCE_REVISION}",
    }
    assert [each.rest for each in final.all("ARG")] == ["SOURCE_REVISION=unknown"]


def test_it_needs_no_shell_when_it_runs(final: Stage) -> None:
    for name in ("ENTRYPOINT", "CMD", "HEALTHCHECK"):
        assert final.only(name).exec_form, name
    assert not final.all("RUN")


def test_what_it_runs_are_commands_that_there_are(final: Stage) -> None:
    program = final.only("ENTRYPOINT").exec_form
    check = final.only("HEALTHCHECK").exec_form
    started = final.only("CMD").exec_form
    assert program is not None and check is not None and started is not None  # noqa: PT018
    assert check[:1] == program[-1:]
    assert program[:-1] == ["/usr/bin/tini", "-e", "143", "--"]
    assert {check[1], started[0]} <= COMMANDS.keys()
    assert check[2:] == started[1:]  # one configuration


def test_everything_installed_is_locked_or_built_here(parsed: list[Stage]) -> None:
    text = " ".join(run.rest for stage in parsed for run in stage.all("RUN"))
    installs = [part for part in text.split("&&") if re.search(r"\bpip\b.* install ", part)]
    assert len(installs) == 3
    for part in installs:
        assert "--no-deps" in part
        assert "--no-index" in part or "--require-hashes" in part
        assert "--no-index" in part or "--only-binary=:all:" in part
    for lock in re.findall(r"--requirement (\S+)", text):
        assert (ROOT / lock).is_file()


def test_the_builder_gets_what_it_copies_and_nothing_else(parsed: list[Stage]) -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*"
    let_in = {line.removeprefix("!") for line in patterns if line.startswith("!")}
    copies = [copy for stage in parsed for copy in stage.all("COPY") if not copy.flags]
    assert let_in == {source for copy in copies for source in copy.words[:-1]}
    for source in let_in:
        assert (ROOT / source).exists(), source
    assert any(fnmatch("prober/__pycache__", line.replace("**", "*")) for line in patterns)
