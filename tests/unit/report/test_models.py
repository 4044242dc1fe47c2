"""The report as JSON, compared with a specimen but for the numbers of its pictures.

`python -m tests.unit.report.test_models` writes the specimen anew.
"""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.unit.report.test_markdown import morning

SPECIMEN = Path(__file__).parents[2] / "fixtures" / "report" / "morning.json"
PICTURES = {"strip", "series", "series_by_probe"}


def as_json(directory: Path) -> Any:  # noqa: ANN401 -- a JSON document
    return json.loads(json.dumps(asdict(morning(directory)), allow_nan=False))


def without_pictures(document: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in document.items() if name not in PICTURES}


def test_json_is_as_the_specimen(tmp_path: Path) -> None:
    document, specimen = without_pictures(as_json(tmp_path)), json.loads(SPECIMEN.read_text())
    for each in (document, specimen):
        assert len(str(each.pop("data_sha256"))) == 64  # sums differ in their last bit from 3.12 on
    assert document == specimen


def test_the_numbers_of_the_pictures_go_along(tmp_path: Path) -> None:
    document = as_json(tmp_path)
    assert [slot["runs"] for slot in document["strip"]] == [18, 0]
    assert list(document["series_by_probe"]) == ["datasets", "sources"]
    assert [point["failures"] for point in document["series"]["points"]] == [2] * 6 + [0] * 3


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        written = json.dumps(without_pictures(as_json(Path(directory))), indent=1)
        SPECIMEN.write_text(written + "\n")
