"""Generated sections: Markdown made from the code's own tables.

A document has a section between `<!-- generated: NAME -->` and `<!-- /generated -->`. A test
compares every section with the code, so a document cannot fall behind.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

import yaml

from prober.classifier.oauth_rules import identity_table
from prober.classifier.rules import RuleDescription, describe_rules
from prober.cli.exit_codes import BY_OUTCOME, INTERRUPTED, OTHER_ERROR, USAGE_OR_SETTINGS
from prober.metrics.definitions import METRIC_DEFINITIONS
from tools.docs.commands import command_reference
from tools.docs.configuration import configuration_reference
from tools.docs.http_api import http_api_reference
from tools.docs.log_events import log_event_table
from tools.docs.probes import CHECK_COLUMNS, PROBE_COLUMNS, check_rows, probe_rows
from tools.docs.specimens import specimen_rows

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_RULES = ROOT / "config" / "prometheus" / "rules" / "prober-alerts.yml"
_SECTION = r"(<!-- generated: {name} -->\n).*?(<!-- /generated -->)"


def filled(text: str, sections: Mapping[str, Callable[[], str]]) -> str:
    """Return a document with its sections of these names regenerated."""
    for name, make in sections.items():
        pattern = re.compile(_SECTION.format(name=re.escape(name)), re.DOTALL)
        if pattern.search(text):
            text = pattern.sub(partial(_with_content, make()), text)
    return text


def _with_content(content: str, found: re.Match[str]) -> str:
    return f"{found[1]}\n{content}\n\n{found[2]}"


def _outcome_table(rows: Iterable[RuleDescription]) -> str:
    return table(
        ("rule", "what was seen", "outcome", "reason", "culprit", "responder"),
        (
            (row.number, row.when, row.outcome, f"`{row.reason}`", row.culprit, row.responder)
            for row in rows
        ),
    )


def _specimen_table() -> str:
    return table(
        ("file in `tests/fixtures`", "reason", "culprit", "evidence"),
        specimen_rows(ROOT / "tests" / "fixtures"),
    )


def _metric_table() -> str:
    return table(
        ("name", "type", "labels", "meaning"),
        (
            (f"`{each.name}`", each.kind, ", ".join(each.labels), each.help)
            for each in METRIC_DEFINITIONS
        ),
    )


def _alert_table() -> str:
    groups = yaml.safe_load(_RULES.read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    return table(
        ("alert", "severity", "culprit", "waits for", "summary"),
        (
            (
                _runbook_link(rule),
                rule["labels"].get("severity", "by probe"),
                rule["labels"].get("culprit", "by label"),
                rule.get("for", "0s"),
                _plain(rule["annotations"]["summary"]),
            )
            for rule in rules
        ),
    )


def _runbook_link(rule: Mapping[str, Mapping[str, str]]) -> str:
    page = rule["annotations"]["runbook_url"].rstrip("/").rpartition("/")[2]
    return f"[{rule['alert']}](../runbooks/{page}.md)"


def _plain(summary: str) -> str:
    """Return a summary with `<label>` instead of Prometheus' template expressions."""
    text = re.sub(r"\{\{ if eq \$labels\.(\w+) .*?\{\{ end \}\}", r"<\1>", summary)
    text = re.sub(r"\{\{ with \$labels\.(\w+) \}\}(.*?)\{\{ \. \}\}\{\{ end \}\}", r"\2<\1>", text)
    text = re.sub(r"\{\{ ?\$labels\.(\w+) ?\}\}", r"<\1>", text)
    text = re.sub(r"\{\{[^}]*\}\}", "<value>", text)
    return text.replace("<", "&lt;").replace(">", "&gt;")


def _exit_code_table() -> str:
    codes = {
        code: f"`{outcome}`: see [outcomes](../concepts/outcomes.md)"
        for outcome, code in BY_OUTCOME.items()
    }
    codes[0] = "success"
    codes[OTHER_ERROR] = "any other error; the message is on standard error"
    codes[USAGE_OR_SETTINGS] = "an invalid command line or configuration"
    codes[INTERRUPTED] = "interrupted (Ctrl-C)"
    return table(("code", "meaning"), ((str(code), codes[code]) for code in sorted(codes)))


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


SECTIONS: Mapping[str, Callable[[], str]] = MappingProxyType(
    {
        "outcomes": lambda: _outcome_table(describe_rules()),
        "oauth outcomes": lambda: _outcome_table(identity_table()),
        "specimens": _specimen_table,
        "metrics": _metric_table,
        "alerts": _alert_table,
        "exit codes": _exit_code_table,
        "commands": command_reference,
        "configuration": configuration_reference,
        "log events": log_event_table,
        "HTTP API": http_api_reference,
        "built-in probes": lambda: table(PROBE_COLUMNS, probe_rows()),
        "checks": lambda: table(CHECK_COLUMNS, check_rows()),
    }
)
