import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from prober.cli.validate import json_schema

ROOT = Path(__file__).parents[3]
BAD = ROOT / "tests" / "fixtures" / "settings" / "bad"
SCHEMA = Draft202012Validator(json_schema())
KNOWN_TO_THE_SCHEMA = [
    "domain-in-full",
    "duration-of-words",
    "duration-without-unit",
    "no-tenants",
    "objectives-out-of-range",
    "own-probe-without-path",
    "probes-not-a-list",
    "size-without-unit",
    "token-literal",
    "token-missing",
    "token-variable-misnamed",
    "unknown-choice",
    "unknown-key",
    "unknown-key-at-the-top",
    "unknown-key-of-objectives",
]


def content_of(path: Path) -> Any:  # noqa: ANN401 -- whatever stands in it
    """Return a file's content as JSON has it: an editor sees a date as text."""
    return json.loads(json.dumps(yaml.safe_load(path.read_text()), default=str))


def test_the_schema_is_one_of_draft_2020_12() -> None:
    Draft202012Validator.check_schema(json_schema())
    assert json_schema()["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


@pytest.mark.parametrize("name", ["prober.yaml", "prober.example.yaml"])
def test_the_files_we_ship_fit_the_schema(name: str) -> None:
    assert list(SCHEMA.iter_errors(content_of(ROOT / "config" / name))) == []


@pytest.mark.parametrize("name", KNOWN_TO_THE_SCHEMA)
def test_a_mistake_that_one_key_shows_is_the_schemas_too(name: str) -> None:
    assert not SCHEMA.is_valid(content_of(BAD / f"{name}.yaml"))


def test_an_own_probe_and_a_built_in_one_may_be_tuned_alike() -> None:
    defined = json_schema()["$defs"]
    assert isinstance(defined, dict)
    tuned = set(defined["Defaults"]["properties"]) & set(defined["CustomProbe"]["properties"])
    assert tuned <= set(defined["ProbeRef"]["properties"])


def test_every_key_is_described() -> None:
    schema = json_schema()
    assert isinstance(schema["$defs"], dict)
    mappings = [schema, *(each for each in schema["$defs"].values() if "properties" in each)]
    undescribed = [
        f"{mapping['title']}.{key}"
        for mapping in mappings
        for key, value in mapping["properties"].items()
        if "description" not in value
    ]
    assert undescribed == []
