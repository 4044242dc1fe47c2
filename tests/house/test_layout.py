"""The house's own rules: small rooms, no drawers of leftovers, laws that stand in one place."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (ROOT / "prober", ROOT / "dashboards")
MODULES = sorted(module for package in PACKAGES for module in package.rglob("*.py"))
MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 50
LEFTOVER_NAMES = {"utils", "helpers", "manager", "common", "base", "misc"}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_fits_in_one_sitting(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= MAX_MODULE_LINES
    assert module.stem not in LEFTOVER_NAMES


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_function_fits_on_a_screen(module: Path) -> None:
    long = [
        node.name
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION_LINES
    ]
    assert long == []


def test_a_package_says_what_it_answers_and_imports_nothing() -> None:
    for package in (module for module in MODULES if module.name == "__init__.py"):
        body = ast.parse(package.read_text()).body
        assert len(body) == 1, package
        assert isinstance(body[0], ast.Expr), package


def test_no_committed_file_names_a_registry_or_this_machine() -> None:
    named = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    hosts = "|".join(["py" + "pi.org", "python" + "hosted.org", "/" + "work/", "npm" + "js.org"])
    for name in filter(None, named.stdout.split("\0")):
        file = ROOT / name
        if file.is_file() and file.suffix not in {".png", ".gz"}:
            assert not re.search(hosts, file.read_text(errors="replace")), name
