"""docs/reference/limits.md is correct: its constants, defaults and tests exist."""

import ast
import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest
from pydantic import BaseModel

from prober.config.schema import ConfigFile

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "reference" / "limits.md"
_ROW = re.compile(
    r"\| (?P<what>[^|]+) \| (?P<setting>setting )?`(?P<where>[\w.]+)`"
    r" \| (?P<bound>[\d.]+(?:[smhd]|[KM]iB)?)[^|]*"
    r" \| [^|]+ \| `(?P<file>[\w/.]+)::(?P<test>\w+)` \|"
)


@dataclass(frozen=True)
class Row:
    what: str
    where: str
    is_setting: bool
    bound: str
    test: tuple[str, str]


def rows() -> list[Row]:
    return [
        Row(
            found["what"],
            found["where"],
            found["setting"] is not None,
            found["bound"],
            (found["file"], found["test"]),
        )
        for found in map(_ROW.fullmatch, TABLE.read_text().splitlines())
        if found is not None
    ]


def value_of(row: Row) -> object:
    if row.is_setting:
        return default_of(row.where)
    module, _, name = row.where.rpartition(".")
    return getattr(import_module(module), name)


def default_of(setting: str) -> object:
    *sections, key = setting.split(".")
    model: object = ConfigFile
    for section in sections:
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        model = model.model_fields[section].annotation
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    return model.model_fields[key].default


def test_every_line_of_the_tables_is_a_row() -> None:
    lines = [each for each in TABLE.read_text().splitlines() if each.startswith("| ")]
    assert len(rows()) == len(lines) - len([each for each in lines if "| where |" in each])
    assert len(rows()) > 30


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.what)
def test_a_bound_is_where_the_table_says(row: Row) -> None:
    assert str(value_of(row)) == row.bound


@pytest.mark.parametrize(
    ("file", "name"), sorted(set(re.findall(r"`(tests/[\w/.]+)::(\w+)`", TABLE.read_text())))
)
def test_a_bound_has_its_test(file: str, name: str) -> None:
    functions = {
        node.name
        for node in ast.walk(ast.parse((ROOT / file).read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert name in functions
