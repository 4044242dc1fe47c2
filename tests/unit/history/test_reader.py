import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from prober.history import reader
from prober.history.reader import HistoryReader, RetentionHorizon
from prober.outcomes import Reason
from prober.stats.incidents import Incident
from tests.unit.history.test_writer import BAD, a_file, ran, written
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


STREAKS = st.lists(
    st.tuples(
        st.sampled_from(["acme", "beta"]),
        st.sampled_from(["platform", "network"]),
        st.integers(0, 40).map(lambda n: 100 * n),  # when it started, and how long it lasted
        st.one_of(st.none(), st.integers(0, 9).map(lambda n: 100 * n)),
    ),
    max_size=30,
)


@example([("acme", "platform", 3000, 400), ("acme", "platform", 3600, 50)], 1, None, 0)
@settings(max_examples=25)
@given(STREAKS, st.integers(1, 6), st.sampled_from([None, "acme"]), st.integers(0, 2000))
def test_the_newest_incidents_are_the_same_however_little_is_read(
    rows: list[tuple[str, str, int, int | None]], limit: int, tenant: str | None, since: int
) -> None:
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        file = a_file(Path(directory))
        with file.connection:
            for name in ("acme", "beta"):
                file.connection.execute(
                    "INSERT INTO probe (tenant, name) VALUES (?, 'datasets')", (name,)
                )
            file.connection.executemany(
                "INSERT INTO failure_streak (probe, reason, culprit, rule, evidence, started_at,"
                " last_failed_at, ended_at, failures, in_maintenance) VALUES ((SELECT id FROM probe"
                " WHERE tenant = ?), 'server_error', ?, '11', '', ?, ?, ?, 1, 0)",
                (
                    (name, culprit, at, at, None if length is None else at + length)
                    for name, culprit, at, length in rows
                ),
            )
        file.close()
        history, found = HistoryReader(Path(directory)), []
        for lookbacks in ((), (500.0, 1500.0)):
            patch.setattr(reader, "LOOKBACKS_SECONDS", lookbacks)
            pages: list[Incident] = []
            while True:
                before = pages[-1].key if pages else None
                page = history.incidents(since, 4000, tenant, limit=limit, before=before)
                pages += page
                if len(page) < limit:
                    break
            found.append(pages)
        assert found[0] == found[1]
