"""Write all dashboards and the PrometheusRule: `python -m tools.grafana`, or `make dashboards`."""

import json
from collections.abc import Mapping
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from tools.grafana.overview import overview
from tools.grafana.prometheus_rule import FILE, prometheus_rule
from tools.grafana.self_monitoring import self_monitoring
from tools.grafana.tenant import tenant
from tools.grafana.tokens import tokens

DIRECTORY = Path(__file__).parents[2] / "config" / "grafana" / "dashboards"


def written() -> Mapping[str, str]:
    """Return the text of each dashboard's file, by its uid."""
    boards = (overview(), tenant(), tokens(), self_monitoring())
    return {
        str(board.uid): json.dumps(board, cls=JSONEncoder, indent=1, ensure_ascii=False) + "\n"
        for board in boards
    }


def main() -> None:
    """Write them."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    for uid, text in written().items():
        (DIRECTORY / f"{uid}.json").write_text(text)
    FILE.write_text(prometheus_rule())


if __name__ == "__main__":
    main()
