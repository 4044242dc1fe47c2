"""What `make mutants` leaves out, and what it makes of the results."""

import ast
import tomllib
from pathlib import Path

import pytest

from tools.mutants.changes import find_change, reason_without_effect
from tools.mutants.generate import mutate
from tools.mutants.score import (
    Equivalent,
    added_lines,
    equivalent_to,
    killed_ratio,
    sample,
    survivors,
)

ROOT = Path(__file__).parents[2]
DIFF = """\
# prober.stats.slo.x_f__mutmut_1: survived
--- a
+++ b
@@ -1 +1 @@
-    for a in zip(b, c, strict=True):
+    for a in zip(b, c, strict=False):
"""


def test_a_sample_is_the_same_for_the_same_seed() -> None:
    names = [f"m{n}" for n in range(100)]
    assert sample(names, 10, 1) == sample(reversed(names), 10, 1) != sample(names, 10, 2)
    assert sample(names, None, 1) == sample(names, 1000, 1) == sorted(names)


def test_what_no_test_noticed_survives() -> None:
    statuses = {"a": "killed", "b": "survived", "c": "no tests", "d": "timeout"}
    assert survivors(statuses) == ["b", "c"]


def test_equivalent_mutants_do_not_count() -> None:
    known = [Equivalent("prober.stats.*", r"strict=False", "a guard")]
    name = "prober.stats.slo.x_f__mutmut_1"
    assert equivalent_to(name, added_lines(DIFF), known) is known[0]
    assert equivalent_to("prober.other.x", added_lines(DIFF), known) is None
    assert killed_ratio(100, surviving=10, equivalent=5) == 90 / 95
    assert killed_ratio(5, surviving=5, equivalent=5) == 1.0


def test_every_equivalent_has_a_reason() -> None:
    content = tomllib.loads((ROOT / "tools" / "mutants" / "equivalent.toml").read_text())
    assert all(Equivalent(**each).reason for each in content["equivalent"])


def test_the_files_to_change_and_the_tests_exist() -> None:
    content = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]
    for pattern in content["only_mutate"]:
        assert list(ROOT.glob(pattern)), pattern
    for path in content["pytest_add_cli_args_test_selection"]:
        assert (ROOT / path).exists(), path


def _reason(before: str, after: str) -> str | None:
    def function(line: str) -> ast.FunctionDef:
        (node,) = ast.parse(f"def f(a, b):\n    return {line}").body
        assert isinstance(node, ast.FunctionDef)
        return node

    return reason_without_effect(find_change(function(before), function(after)))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("list(zip(a, b, strict=True))", "list(zip(a, b, strict=False))"),
        ("list(zip(a, b, strict=True))", "list(zip(a, b, strict=None))"),
        ("list(zip(a, b, strict=True))", "list(zip(a, b))"),
        ("a.encode('utf-8')", "a.encode('UTF-8')"),
        ("a.decode('ascii', 'replace')", "a.decode('ASCII', 'replace')"),
        ("cast('Mapping[str, int]', a)", "cast('XXMapping[str, int]XX', a)"),
        ("cast(int, a)", "cast(None, a)"),
        ("float('-inf')", "float('-INF')"),
        ("a.execute('SELECT min(at) FROM failure')", "a.execute('SELECT MIN(AT) FROM FAILURE')"),
    ],
)
def test_changes_without_effect_make_no_mutant(before: str, after: str) -> None:
    assert _reason(before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("list(zip(a, b, strict=True))", "list(zip(a, strict=True))"),
        ("list(zip(a, b, strict=True))", "list(zip(a, None, strict=True))"),
        ("f(a, b, strict=True)", "f(a, b, strict=False)"),
        ("a.encode('utf-8')", "a.encode('latin-1')"),
        ("a.encode('ascii', 'replace')", "a.encode('ascii', 'REPLACE')"),
        ("a.get('utf-8')", "a.get('UTF-8')"),
        ("cast(int, a + 1)", "cast(int, a + 2)"),
        ("cast(int, a)", "cast(int, None)"),
        ("a.execute(\"SELECT 'a' FROM b\")", "a.execute(\"SELECT 'A' FROM B\")"),
        ("a.execute('SELECT 1', (b,))", "a.execute('SELECT 1', )"),
        ("float('inf')", "float('-inf')"),
        ("float('inf')", "float('XXinfXX')"),
        ("a < b", "a <= b"),
        ("a < 1", "a < 2"),
        ("{'a': a, 'b': b}", "{'a': a, 'c': a}"),
    ],
)
def test_changes_with_an_effect_make_a_mutant(before: str, after: str) -> None:
    assert _reason(before, after) is None


def test_a_mutant_has_a_name_a_function_and_a_diff(tmp_path: Path) -> None:
    source = "class A:\n    def f(self, x: int) -> bool:\n        return x < 1\n"
    code, mutants = mutate("prober/stats/a.py", source, tmp_path)
    assert {m.function for m in mutants} == {"prober.stats.a.x\u01c1A\u01c1f"}
    assert "+        return x <= 1\n" in "".join(m.diff for m in mutants)
    assert all(m.name.startswith(m.function) and m.name.rpartition(".")[2] in code for m in mutants)
    again = mutate("prober/stats/a.py", source, tmp_path)  # from the cache
    assert (again[0], [m.name for m in again[1]]) == (code, [m.name for m in mutants])
