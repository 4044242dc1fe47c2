"""The table of firing alerts, each with a link to its runbook."""

from collections import defaultdict
from pathlib import Path

import yaml

from tools.grafana.field_config import AGO, CULPRIT
from tools.grafana.layout import TENANT_OF_ROW
from tools.grafana.panels import RUNBOOKS, About, AnyPanel, Column, Query, Size, listing

_RULES = Path(__file__).parents[2] / "config" / "prometheus" / "rules"
_SHOWN = "severity, culprit, alertname, tenant, runbook"
_OURS = 'alertname=~"Prober.+"'


def firing(scope: str) -> str:
    """Return the query of our alerts that fire."""
    return f'ALERTS{{{scope}, {_OURS}, alertstate="firing"}}'


def alerts(scope: str, size: Size) -> AnyPanel:
    """Return the table of them."""
    since = f"ALERTS_FOR_STATE{{{scope}, {_OURS}}} * 1000"
    labelled = _with_runbook(f"{firing(scope)} * ignoring (alertstate) {since}")
    page = f"{RUNBOOKS}/${{__data.fields.runbook}}/"
    return listing(
        About(
            "Firing alerts",
            "Responsible shows who has to act, severity when: page means now, ticket means next"
            " working day. The name links to the runbook.",
            nothing="No alert is firing.",
        ),
        [Query(f"max by ({_SHOWN}) ({labelled})", "since")],
        [
            Column("severity", "Severity"),
            Column("culprit", "Responsible", CULPRIT),
            Column("alertname", "Alert", link=("Runbook", page)),
            Column("tenant", "Tenant", link=TENANT_OF_ROW),
            Column("since", "Since", AGO),
            Column("runbook", "runbook", hidden=True),
        ],
        size,
        "Severity",
    )


def _pages() -> dict[str, list[str]]:
    """Return the alerts of each page, both in the order of their names."""
    found = defaultdict(list)
    for file in sorted(_RULES.glob("*.yml")):
        for group in yaml.safe_load(file.read_text())["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    found[Path(rule["annotations"]["runbook_url"]).stem].append(rule["alert"])
    return {page: sorted(found[page]) for page in sorted(found)}


def _with_runbook(query: str) -> str:
    """Give each alert the label `runbook`: its own name, or that of the page that it shares."""
    labelled = f'label_replace({query}, "runbook", "$1", "alertname", "(.+)")'
    for page, names in _pages().items():
        if names != [page]:
            every = "|".join(names)
            labelled = f'label_replace({labelled}, "runbook", "{page}", "alertname", "{every}")'
    return labelled
