"""What is read of saved files, word for word: exchanges and notes, or why there are none.

`tests/fixtures/recorded.json` has the files and what is read of them. After a change:
`python -m tests.unit.recorded.test_sentences`, and read the diff. To add a file, add it there with
nothing read.
"""

import json
import re
from pathlib import Path
from typing import Any

from prober.recorded.models import RecordedExchange, RecordedExchangeError
from prober.recorded.parse import parse_recorded

FILE = Path(__file__).parents[2] / "fixtures" / "recorded.json"
# What follows is said by the standard library, in other words in each version.
_OF_PYTHON = re.compile(r"((?:cannot be read|is not base64):).*", re.DOTALL)
CASES: list[dict[str, Any]] = json.loads(FILE.read_text("utf-8"))


def _read(file: str) -> object:
    """Return what is read of a file; each character of `file` is a byte (Latin-1)."""
    try:
        return [_shown(each) for each in parse_recorded(file.encode("latin-1"))]
    except RecordedExchangeError as error:
        return _OF_PYTHON.sub(r"\1", str(error))


def _shown(recorded: RecordedExchange) -> dict[str, object]:
    response = recorded.exchange.response
    return {
        "of": [recorded.tenant, recorded.probe, recorded.reason],
        "exchange": repr(recorded.exchange),  # all fields but the body
        "body": None if response is None else response.body.decode("latin-1"),
        "expectations": repr(recorded.expectations),
        "notes": recorded.notes,
    }


def test_what_is_read_is_as_it_is_written() -> None:
    changed = [
        (case["file"], case["read"], found)
        for case in CASES
        if (found := json.loads(json.dumps(_read(case["file"])))) != case["read"]
    ]
    assert changed == []


if __name__ == "__main__":
    lines = [json.dumps({"file": each["file"], "read": _read(each["file"])}) for each in CASES]
    FILE.write_text("[\n" + ",\n".join(lines) + "\n]\n", "utf-8")
