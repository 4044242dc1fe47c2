"""Processes that are killed: their files stay readable, and hold what they are to hold."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from prober.history.reader import HistoryReader
from prober.tokens.store import TokenStore
from tests.unit.metrics.factories import NOW

KILLS = 40

ROOT = Path(__file__).parents[2]

RECORD_WITHOUT_END = """
import sys
from pathlib import Path
from prober.history import sink
from tests.unit.history.test_sink import Calls, a_history, an_answer, until
sink.BATCH_SECONDS = sink._TIDY_SECONDS = 0.01
calls, recorded = Calls(), 0
with a_history(Path(sys.argv[1]), calls) as history:
    while True:
        for _ in range(10):
            history.on_result(an_answer())
        recorded += 10
        writes = calls.writes
        until(lambda: calls.writes >= writes + 2)  # the batch that was under way, and the next
        print(recorded, flush=True)
"""


def test_what_was_reported_as_written_survives_a_crash(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RECORD_WITHOUT_END, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        written = [int(child.stdout.readline()) for _ in range(20)]
        child.send_signal(signal.SIGKILL)
        written += [int(line) for line in child.stdout.read().split("\n")[:-1]]
    kept = HistoryReader(tmp_path).totals("acme", NOW - 60, NOW + 60)["datasets"].runs
    assert written[-1] <= kept <= written[-1] + 10


def unexpected(path: Path, why: str) -> None:
    raise AssertionError(f"{path} was set aside: {why}")


SAVE_WITHOUT_END = """
import sys
from pathlib import Path
from prober.tokens.state_machine import TokenRecord
from prober.tokens.store import TokenStore
file = TokenStore.open(Path(sys.argv[1]), lambda path, why: print("ASIDE", why, flush=True))
before = max((each.rotations for each in file.records().values()), default=0)
print(file.key.hex(), before, flush=True)
for number in range(before + 1, before + 1_000_000):
    file.save({"acme": TokenRecord(rotations=number), "globex": TokenRecord(rotations=number)})
    if number == before + 1:
        print("saving", flush=True)
"""


def test_a_kill_at_any_moment_leaves_a_readable_file(tmp_path: Path) -> None:
    keys: set[str] = set()
    least = 0
    for kill in range(KILLS):
        command = [sys.executable, "-c", SAVE_WITHOUT_END, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            if kill % 10:  # every tenth dies somewhere in its start
                key, found = process.stdout.readline().split()
                keys.add(key)
                assert int(found) >= least
                assert process.stdout.readline() == "saving\n"
                least = int(found) + 1
                time.sleep(kill % 10 * 0.003)
            else:
                time.sleep(kill * 0.0015)
            process.kill()

        file = TokenStore.open(tmp_path, unexpected)
        counts = {each.rotations for each in file.records().values()}
        # Before the first one that has said so, a busy machine may let one save or not.
        assert len(counts) in ({1} if least else {0, 1}), "half of a save was kept"
        assert max(counts, default=0) >= least
        file.close()
    assert len(keys) == 1
