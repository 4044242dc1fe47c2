"""The alert and recording rules as a resource of the Prometheus operator."""

from pathlib import Path

_CONFIG = Path(__file__).parents[2] / "config"
RULES = _CONFIG / "prometheus" / "rules"
FILE = _CONFIG / "kubernetes" / "monitoring" / "prometheus-rule.yaml"
_INDENT = "  "
_HEADER = """\
# Made from config/prometheus/rules by `make dashboards`, never edited by hand.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: prober
  labels:
    app.kubernetes.io/name: prober
spec:
  groups:
"""


def prometheus_rule() -> str:
    """Return the text of the resource: the groups of every rule file, word for word."""
    return _HEADER + "".join(_groups(file) for file in sorted(RULES.glob("*.yml")))


def _groups(file: Path) -> str:
    """Return what follows `groups:` in a rule file, indented as the resource needs it.

    Raises ValueError for a file that holds anything beside its groups.
    """
    lines = file.read_text().splitlines()
    start = lines.index("groups:") + 1
    if any(line and not line.startswith("#") for line in lines[: start - 1]):
        raise ValueError(f"{file} holds more than groups")
    body = "\n".join(f"{_INDENT}{line}" if line else "" for line in lines[start:])
    return f"{body}\n"
