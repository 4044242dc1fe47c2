from pathlib import Path

from prober.history.reader import HistoryReader, RetentionHorizon
from prober.outcomes import Reason
from tests.unit.history.test_writer import BAD, ran, written
from tests.unit.stats.factories import NOW


def test_failures_of_a_span_are_found_the_oldest_first(tmp_path: Path) -> None:
    entries = [ran(at, BAD) for at in (0.0, 60.0, 120.0)]
    written(tmp_path, [*entries, ran(60.0, Reason.DNS, tenant="other"), ran(61.0)])
    heads = HistoryReader(tmp_path).failure_summaries("acme", NOW, NOW + 120, limit=9)
    assert [(each.probe, each.at, each.reason) for each in heads] == [
        ("datasets", NOW, BAD),
        ("datasets", NOW + 60, BAD),
    ]
    assert len(HistoryReader(tmp_path).failure_summaries("acme", NOW, NOW + 120, limit=1)) == 1


def test_documents_are_found_by_number_however_many(tmp_path: Path) -> None:
    written(tmp_path, [ran(float(n), BAD) for n in range(1200)])
    found = HistoryReader(tmp_path).failure_documents(range(1, 2000))
    assert len(found) == 1200
    assert found[7]["verdict"]["reason"] == "server_error"


def test_slots_in_which_anything_is_known_are_found(tmp_path: Path) -> None:
    written(tmp_path, [ran(0.0), ran(901.0, tenant="other"), ran(902.0), ran(2700.0)])
    assert HistoryReader(tmp_path).recorded_buckets(NOW, NOW + 2700) == {NOW, NOW + 900}


def test_without_a_file_there_are_none(tmp_path: Path) -> None:
    calls = HistoryReader(tmp_path)
    assert calls.failure_summaries("acme", 0.0, NOW, limit=9) == ()
    assert calls.slow_requests("acme", 0.0, NOW, limit=9) == ()
    assert calls.failure_documents([1]) == {}
    assert calls.retention_horizon() == RetentionHorizon()
