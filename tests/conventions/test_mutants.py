"""What `make mutants` makes of the results of mutmut."""

import tomllib
from pathlib import Path

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
