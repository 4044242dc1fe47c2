from pathlib import Path

import pytest

from prober.history.reader import HistoryReader
from prober.history.retention import Retention
from prober.history.values import MAX_SERIES_PER_PROBE
from prober.history.writer import HistoryWriter, RunEntry
from prober.models import Check, CheckKind, CheckResult
from prober.render.checks import ValueRange
from tests.unit.history.test_writer import a_file, written
from tests.unit.stats.factories import NOW, a_run

CHECK = Check("rows", CheckKind.COUNT, "rows", each="x")
DAY = 86_400.0


def valued(at: float, **values: float | None) -> RunEntry:
    results = tuple(CheckResult(CHECK, item, value, False, "") for item, value in values.items())
    return RunEntry(a_run(at), None, checks=results)


def points(reader: HistoryReader, days: float = 1.0, step: int = 900) -> dict[str, list[float]]:
    found = reader.values("acme", NOW, NOW + days * DAY, step)
    assert {(each.probe, each.check, each.kind) for each in found} <= {
        ("datasets", "rows", CheckKind.COUNT)
    }
    return {each.item: [value for _, value in each.points] for each in found}


def test_the_last_value_of_each_quarter_of_an_hour_is_kept(tmp_path: Path) -> None:
    reader = written(
        tmp_path,
        [valued(0, a=1, b=5), valued(60, a=2, b=5)],
        [valued(120, a=3, b=5), valued(900, a=4, b=None)],
    )
    assert points(reader) == {"a": [3.0, 4.0], "b": [5.0]}
    (series, _) = reader.values("acme", NOW, NOW + DAY, 900)
    assert series.points == ((NOW, 3.0), (NOW + 900, 4.0))


def test_a_longer_step_has_its_last_value(tmp_path: Path) -> None:
    reader = written(tmp_path, [valued(900 * n, a=n) for n in range(8)])
    assert points(reader, step=3600) == {"a": [3.0, 7.0]}


def test_a_restart_continues_the_line(tmp_path: Path) -> None:
    written(tmp_path, [valued(0, a=1)])
    assert points(written(tmp_path, [valued(900, a=2), valued(7200, a=3)])) == {
        "a": [1.0, 2.0, 3.0]
    }


def test_only_a_tenant_and_a_range_are_read(tmp_path: Path) -> None:
    reader = written(tmp_path, [valued(0, a=1), valued(DAY, a=2)])
    assert points(reader, days=0.5) == {"a": [1.0]}
    assert reader.values("other", NOW, NOW + DAY, 900) == ()
    assert HistoryReader(tmp_path / "none").values("acme", NOW, NOW + DAY, 900) == ()


def test_new_names_in_every_response_do_not_fill_the_file(tmp_path: Path) -> None:
    file = a_file(tmp_path)
    file.write([valued(60 * n, **{f"item-{n}": n, "stays": n}) for n in range(500)])
    assert _count(file, "value_series") == MAX_SERIES_PER_PROBE
    file.close()
    found = points(HistoryReader(tmp_path))
    assert len(found) == MAX_SERIES_PER_PROBE
    assert "stays" in found
    assert {"item-499", "item-310"} < found.keys()


def test_what_is_old_goes_with_its_names(tmp_path: Path) -> None:
    file = a_file(tmp_path)
    for day in range(40):
        file.write([valued(day * DAY, a=day, **({"old": 1} if day == 0 else {}))])
    retention = Retention(30 * DAY, 2**30, lambda *_: None)
    for turn in range(400):
        retention.enforce(file, NOW + 40 * DAY + turn * 30)
    assert _count(file, "value_series") == 1
    assert points(HistoryReader(tmp_path), days=41)["a"] == [float(n) for n in range(11, 40)]
    file.close()


def test_a_series_that_retention_deleted_can_come_back(tmp_path: Path) -> None:
    file = a_file(tmp_path)
    file.write([valued(0, a=1)])
    with file.connection:
        file.connection.execute("DELETE FROM value_series")
    file.write([valued(40 * DAY, a=2)])
    file.close()
    found = HistoryReader(tmp_path).values("acme", NOW + 39 * DAY, NOW + 41 * DAY, 900)
    assert [each.points for each in found] == [((NOW + 40 * DAY, 2.0),)]


def test_the_range_of_each_value_is_read_without_texts(tmp_path: Path) -> None:
    file = a_file(tmp_path)
    file.write([valued(900 * n, a=value) for n, value in enumerate((3, 1, 5, 2))])
    text = CheckResult(Check("text", CheckKind.TEXT, "t"), "", 7.0, False, "")
    file.write([RunEntry(a_run(3600.0), None, checks=(text,))])
    file.close()
    reader = HistoryReader(tmp_path)
    assert reader.value_ranges("acme", NOW, NOW + DAY) == (
        ValueRange("datasets", "rows", "a", CheckKind.COUNT, 1.0, 5.0, 2.0),
    )
    assert reader.value_ranges("acme", NOW, NOW + 1800)[0].greatest == 3.0
    assert reader.value_ranges("other", NOW, NOW + DAY) == ()


def test_no_more_lines_are_read_than_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = written(tmp_path, [valued(900 * n, **{f"item-{n}": n}) for n in range(10)])
    monkeypatch.setattr("prober.history.reader.MAX_VALUE_SERIES", 3)
    assert set(points(reader)) == {"item-7", "item-8", "item-9"}
    assert len(reader.value_ranges("acme", NOW, NOW + DAY)) == 3


def _count(file: HistoryWriter, table: str) -> int:
    (count,) = file.connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
    return int(count)
