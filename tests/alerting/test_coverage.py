"""The coverage table in the docs is what the rules do; no cell is silent without a reason."""

from dataclasses import replace

import pytest

from tests.alerting.coverage import (
    CELLS,
    DRIFT,
    DRIFT_STEP,
    PAGE,
    PATTERNS,
    ROWS,
    Cell,
    Sent,
    measured,
    page,
    reason,
    unexplained,
    words,
)

pytestmark = pytest.mark.prometheus

LINES = PAGE.read_text().splitlines()


@pytest.fixture(scope="module", params=ROWS, ids=" ".join)
def cells(request: pytest.FixtureRequest) -> dict[Cell, list[Sent]]:
    return measured(request.param)


def test_no_cell_is_silent_or_notified_twice_without_a_reason(
    cells: dict[Cell, list[Sent]],
) -> None:
    assert unexplained(cells) == []


def test_every_cell_blames_the_right_one(cells: dict[Cell, list[Sent]]) -> None:
    for cell, sent in cells.items():
        culprit = cell.culprit.partition(":")[0]
        decided = culprit == "undecided" and cell.scope == "two locations"
        for each in sent:
            assert each.culprits == (
                "platform" if decided and "flap" not in cell.pattern else culprit,
            )


def test_the_page_says_the_same(cells: dict[Cell, list[Sent]]) -> None:
    for cell, sent in cells.items():
        # Prometheus 3 leaves out the first sample of a window: an evaluation more, or one less.
        shifts = (0, DRIFT_STEP // 60) if cell.pattern == DRIFT else (0,)
        possible = [
            words(cell, [replace(each, minutes=each.minutes + shift) for each in sent], [])
            for shift in shifts
        ]
        written = cell_of_the_page(cell)
        assert any(text in written for text in possible), f"{possible}: run `make coverage`"


def cell_of_the_page(cell: Cell) -> str:
    start = LINES.index(f"## {cell.pattern.capitalize()}")
    head = next(line for line in LINES[start:] if line.startswith("| responsible"))
    row = next(line for line in LINES[start:] if line.startswith(f"| {cell.culprit} |"))
    place = [each.strip() for each in head.split("|")].index(cell.scope)
    return row.split("|")[place].strip()


def test_every_combination_is_a_cell() -> None:
    empty = {cell for cell in CELLS if reason(cell)}
    assert len(CELLS) == len(set(CELLS)) == 6 * 8 * 6
    assert all(cell_of_the_page(cell).startswith("(") == (cell in empty) for cell in CELLS)


def test_the_page_has_a_table_for_each_pattern() -> None:
    text = page({cell: [] for cell in CELLS}, "## References")
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        *(f"## {pattern.capitalize()}" for pattern in PATTERNS),
        "## More than one notification",
        "## References",
    ]
