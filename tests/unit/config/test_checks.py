from typing import Any

import pytest
from pydantic import ValidationError

from prober.classifier.expectations import check_expression
from prober.config.builtin_probes import CATALOGUE
from prober.config.check_schema import CheckConfig
from prober.config.checks import MAX_CHECKS, check_problems, resolve_checks
from prober.config.resolve import check_custom
from prober.config.schema import CustomProbe
from prober.models import AlertSeverity, Check, CheckKind
from prober.outcomes import Culprit
from tests.unit.config.factories import probe_and_problems

BASE = (Check("age", CheckKind.TIMESTAMP, "at", max_age_seconds=60, phrase="last seen"),)
MINE = {"path": "/api/v1/x"}


def resolved(*written: dict[str, Any], base: tuple[Check, ...] = BASE) -> tuple[Any, Any]:
    return resolve_checks(base, [CheckConfig.model_validate(each) for each in written])


def test_a_new_check_is_added_as_written() -> None:
    checks, problems = resolved(
        {
            "name": "backlog",
            "value": "n",
            "each": "rows",
            "item": "[a, b]",
            "kind": "number",
            "max": 5,
            "for": 3,
            "culprit": "platform",
            "severity": "page",
        }
    )
    assert problems == []
    assert checks[1] == Check(
        "backlog",
        CheckKind.NUMBER,
        "n",
        each="rows",
        item="[a, b]",
        max=5.0,
        for_runs=3,
        culprit=Culprit.PLATFORM,
        severity=AlertSeverity.PAGE,
    )


def test_a_check_of_the_same_name_is_changed() -> None:
    checks, problems = resolved({"name": "age", "max_age": "3h", "culprit": "request"})
    assert problems == []
    (check,) = checks
    assert (check.max_age_seconds, check.culprit, check.value) == (10_800, Culprit.REQUEST, "at")
    assert check.phrase == "last seen"


def test_another_value_is_no_longer_described_by_the_words_of_the_first() -> None:
    checks, _ = resolved({"name": "age", "value": "other"})
    assert (checks[0].value, checks[0].phrase) == ("other", "")


def test_a_check_can_be_turned_off() -> None:
    assert resolved({"name": "age", "enabled": False}) == ((), [])


@pytest.mark.parametrize(
    ("written", "path", "words"),
    [
        ({"name": "new", "kind": "count"}, (0, "value"), "a new check needs it; there are age"),
        ({"name": "new", "value": "x"}, (0, "kind"), "a new check needs it"),
        ({"name": "nope", "enabled": False}, (0, "name"), "no check 'nope' to turn off"),
        ({"name": "aeg", "enabled": False}, (0, "name"), "did you mean 'age'?"),
        ({"name": "agee", "value": "x"}, (0, "kind"), "did you mean 'age'?"),
        ({"name": "age", "max": 1}, (0, "max"), "not a limit of a timestamp: write max_age"),
        ({"name": "n", "value": "x", "kind": "text", "equals": 1}, (0, "equals"), "text in quotes"),
        ({"name": "n", "value": "x", "kind": "boolean", "equals": 1}, (0, "equals"), "true or"),
        ({"name": "n", "value": "x", "kind": "number", "equals": "1"}, (0, "equals"), "a number"),
        ({"name": "n", "value": "x", "kind": "number", "equals": True}, (0, "equals"), "a number"),
        ({"name": "n", "value": "x", "kind": "count", "min": 2, "max": 1}, (0, "min"), "greater"),
        ({"name": "n", "value": "x", "kind": "count", "item": "y"}, (0, "item"), "needs 'each'"),
        (
            {"name": "n", "value": "x", "kind": "count", "divided_by": "y"},
            (0, "divided_by"),
            "kind number",
        ),
        ({"name": "n", "value": "x", "kind": "count", "for": 2}, (0, "for"), "needs a limit"),
    ],
)
def test_what_is_wrong_is_named(
    written: dict[str, Any], path: tuple[object, ...], words: str
) -> None:
    _, problems = resolved(written)
    assert [where for where, _ in problems] == [path]
    assert words in problems[0][1]


def test_two_checks_of_one_name_are_an_error() -> None:
    _, problems = resolved({"name": "age", "max_age": "3h"}, {"name": "age", "max_age": "4h"})
    assert problems == [((1, "name"), "there are two checks 'age': give one of them another name")]


def test_a_probe_has_a_bounded_number_of_checks() -> None:
    written = [{"name": f"c{n}", "value": "x", "kind": "count"} for n in range(MAX_CHECKS + 1)]
    _, problems = resolved(*written, base=())
    assert problems == [((), f"has {MAX_CHECKS + 1} checks: write at most {MAX_CHECKS}")]


@pytest.mark.parametrize(
    "written",
    [
        {"name": "Bad Name"},
        {"name": "a", "value": "no ["},
        {"name": "a", "value": "nofunction(x)"},
        {"name": "a", "kind": "other"},
        {"name": "a", "max": float("inf")},
        {"name": "a", "for": 0},
        {"name": "a", "culprit": "none"},
        {"name": "a", "severity": "info"},
        {"name": "a", "one_of": []},
        {"name": "a", "max_age": 60},
        {"name": "a", "unknown": 1},
    ],
)
def test_an_invalid_value_is_refused(written: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CheckConfig.model_validate(written)


# Probes


def test_a_custom_probe_and_its_use_may_both_have_checks() -> None:
    own = {**MINE, "checks": [{"name": "a", "value": "x", "kind": "count", "min": 1}]}
    use = {"use": "mine", "checks": [{"name": "a", "min": 5}]}
    probe, problems = probe_and_problems(use, own)
    assert problems == []
    assert probe is not None
    assert [(check.name, check.min) for check in probe.checks] == [("a", 5.0)]


def test_what_is_wrong_with_a_definition_is_said_there_alone() -> None:
    own = {**MINE, "checks": [{"name": "a", "value": "x", "kind": "count", "max_age": "1h"}]}
    assert [path for path, _ in check_custom(CustomProbe.model_validate(own))] == [
        ("checks", 0, "max_age")
    ]
    _, problems = probe_and_problems({"use": "mine"}, own)
    assert problems == []


def test_a_built_in_check_can_be_changed_where_its_probe_is_used() -> None:
    probe, problems = probe_and_problems(
        {
            "use": "mailbox-sync",
            "bucket": "0123456789abcdef",
            "checks": [
                {"name": "sync-age", "max_age": "6h"},
                {"name": "mailboxes", "enabled": False},
            ],
        }
    )
    assert problems == []
    assert probe is not None
    assert [(check.name, check.max_age_seconds) for check in probe.checks] == [("sync-age", 21_600)]


def test_a_problem_of_a_built_in_check_names_its_key() -> None:
    _, problems = probe_and_problems(
        {"use": "datasets", "checks": [{"name": "datasets", "max_age": "6h"}]}
    )
    assert [path for path, _ in problems] == [("checks", 0, "max_age")]


@pytest.mark.parametrize("built_in", CATALOGUE.values(), ids=lambda each: each.name)
def test_built_in_checks_are_valid_and_blame_the_tenant_for_its_own_data(built_in: Any) -> None:  # noqa: ANN401
    names = [check.name for check in built_in.checks]
    assert len(set(names)) == len(names) <= MAX_CHECKS
    for check in built_in.checks:
        assert check_problems(check) == []
        of_platform = check.name == "user" or built_in.name == "canary"
        assert check.culprit is (Culprit.PLATFORM if of_platform else Culprit.TENANT)
        assert check.phrase
        for expression in (check.value, check.each, check.item, check.divided_by):
            assert expression is None or check_expression(expression) is None
