"""Documents: generated sections match the code, links exist, examples are valid."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from prober.cli.main import COMMANDS, main
from prober.config.loader import load
from prober.config.schema import ConfigFile
from tests.benchmarks.results import from_document, markdown
from tools.docs.sections import DOCS, ROOT, SECTIONS, filled

README = ROOT / "README.md"
BENCHMARKS = DOCS / "benchmarks.json"
PERFORMANCE = DOCS / "explanation" / "performance.md"
ARCHITECTURE = DOCS / "explanation" / "architecture.md"
PAGES = [
    page
    for page in (*ROOT.glob("*.md"), *sorted(DOCS.rglob("*.md")))
    if page.name not in {"CHANGELOG.md", "renames.md"}
]
MAX_README_WORDS = 900

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def bench_table() -> str:
    return markdown(*from_document(json.loads(BENCHMARKS.read_text())))


def with_bench_table(text: str) -> str:
    return filled(text, {"benchmarks": bench_table})


@each_page
def test_generated_sections_are_those_of_the_code(page: Path) -> None:
    text = page.read_text()
    assert with_bench_table(filled(text, SECTIONS)) == text, "run: make reference"


def test_every_generated_section_is_in_a_document() -> None:
    text = "".join(page.read_text() for page in PAGES)
    assert {
        name for name in (*SECTIONS, "benchmarks") if f"<!-- generated: {name} -->" not in text
    } == set()


def test_the_architecture_page_names_every_module_of_the_package() -> None:
    drawn = ARCHITECTURE.read_text().partition("<!-- map -->")[2].partition("<!-- /map -->")[0]
    named = set(re.findall(r"`([a-z_]+(?:\.py|/))`", drawn))
    modules = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in (ROOT / "prober").iterdir()
        if not path.name.startswith("__") and path.name != "py.typed"
    }
    assert named == modules


def test_the_readme_is_short() -> None:
    assert len(README.read_text().split()) <= MAX_README_WORDS


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and mkdocs make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", page.read_text(), re.MULTILINE | re.DOTALL)


def examples() -> Iterator[Any]:
    """Yield each YAML example that is a configuration, or a part of one."""
    for page in PAGES:
        for text in blocks(page, "yaml"):
            content = yaml.safe_load(text)
            if isinstance(content, dict) and content.keys() <= ConfigFile.model_fields.keys():
                where = page.relative_to(ROOT)
                yield pytest.param(content, id=f"{where}: {' '.join(content)}")


ONE_TENANT = {"name": "one", "domain": "one", "token": {"env": "ONE"}, "probes": ["datasets"]}


@pytest.mark.parametrize("content", list(examples()))
def test_a_configuration_example_is_valid(content: dict[str, Any], tmp_path: Path) -> None:
    content.setdefault("tenants", [ONE_TENANT])
    content.get("web", {}).pop("config_file", None)  # the page shows how to write it
    content.get("web", {}).pop("enable_run_now", None)  # which needs that file
    file = tmp_path / "prober.yaml"
    file.write_text(yaml.safe_dump(content))
    load(file)


def documented_commands() -> Iterator[Any]:
    for page in PAGES:
        for block in blocks(page, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                if found := re.match(r"(?:(?:\S*/)?prober) ([a-z].*?)(?:\s+#.*)?$", line):
                    yield pytest.param(found[1], id=f"{page.relative_to(ROOT)}: {found[1]}")


@pytest.mark.parametrize("arguments", list(documented_commands()))
def test_a_documented_command_is_one_that_exists(
    arguments: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROBER_CONFIG", str(ROOT / "config" / "prober.yaml"))
    name, *rest = re.split(r" (?:[|;&>]|2>)", arguments, maxsplit=1)[0].split()
    assert name in COMMANDS
    parent = click.Context(main, info_name="prober", **main.context_settings)
    command = main.get_command(parent, name)
    assert command is not None
    with suppress(click.exceptions.Exit):  # --help
        command.make_context(name, rest, parent=parent).close()
