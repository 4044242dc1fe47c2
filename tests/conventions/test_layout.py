"""Layout rules: modules and functions stay readable, packages import nothing."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (ROOT / "prober", ROOT / "tools")
MODULES = sorted(module for package in PACKAGES for module in package.rglob("*.py"))
MAX_MODULE_LINES = 700
MAX_FUNCTION_LINES = 50


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_at_most_700_lines(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= MAX_MODULE_LINES


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_function_is_at_most_50_lines(module: Path) -> None:
    long = [
        node.name
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION_LINES
    ]
    assert long == []


def test_a_package_has_a_docstring_and_imports_nothing() -> None:
    for package in (module for module in MODULES if module.name == "__init__.py"):
        body = ast.parse(package.read_text()).body
        assert len(body) == 1, package
        assert isinstance(body[0], ast.Expr), package


PROGRAMS = {
    "prometheus": re.compile(r'"(?:promtool|amtool)"|import .*\b(?:promtool|amtool|prometheus)\b'),
    "netns": re.compile(r'"unshare"'),
    "systemd": re.compile(r'"systemd-\w+"'),
}


@pytest.mark.parametrize("marker", PROGRAMS)
def test_what_needs_a_program_is_marked(marker: str) -> None:
    """Else `-m "not prometheus"` and the like would not do without it."""
    sources = {path: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    unmarked = [
        path.name
        for path, source in sources.items()
        if PROGRAMS[marker].search(source)
        and f"pytest.mark.{marker}" not in source
        and path != Path(__file__)
        and not (marker == "netns" and "stage: Stage" in source)
    ]
    assert unmarked == []
