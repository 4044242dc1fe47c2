"""The dashboards as they are checked in, and what they ask Prometheus."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

GRAFANA = Path(__file__).parents[2] / "config" / "grafana"
FILES = sorted((GRAFANA / "dashboards").glob("*.json"))
DASHBOARDS: Mapping[str, dict[str, Any]] = MappingProxyType(
    {file.stem: json.loads(file.read_text()) for file in FILES}
)


class Asked(NamedTuple):
    """One query: who asks it, and whether about now alone."""

    where: str
    expression: str
    is_instant: bool


def panels(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what shows something: all but the headings of rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def annotations(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = dashboard.get("annotations", {}).get("list", [])
    return found


def variables(dashboard: Mapping[str, Any], kind: str = "query") -> list[dict[str, Any]]:
    return [each for each in dashboard["templating"]["list"] if each["type"] == kind]


def fields(table: Mapping[str, Any]) -> set[str]:
    """Return the fields that a table's steps name: in columns, left out, or turned into columns."""
    named: set[str] = set()
    for step in table["transformations"]:
        options = step["options"]
        named |= {*options.get("renameByName", ()), *options.get("excludeByName", ())}
        named |= {options[key] for key in ("rowField", "columnField") if key in options}
    return named


def label_values(variable: Mapping[str, Any]) -> tuple[str, str]:
    """Return the metric, matchers and all, and the label whose values fill a variable."""
    found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
    assert found, variable
    return found[1], found[2]


def asked() -> Iterator[Asked]:
    """Every query of every panel and annotation."""
    for uid, dashboard in DASHBOARDS.items():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                where = f"{uid}: {panel['title']}, {target['refId']}"
                yield Asked(where, target["expr"], target.get("instant", False))
        for annotation in annotations(dashboard):
            yield Asked(f"{uid}: {annotation['name']}", annotation["expr"], is_instant=False)


def concrete(expression: str, rate: str = "5m", time_range: str = "1h") -> str:
    """Put values for Grafana's variables, as its own `All` would."""
    expression = expression.replace("$__rate_interval", rate).replace("$__range", time_range)
    expression = re.sub(r"\$(job|environment|tenant|probe|instance)\b", ".+", expression)
    return expression.replace("$location", ".*")
