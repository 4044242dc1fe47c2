"""A pytest plugin that runs mutants: `pytest -p tools.mutants.worker --mutants FILE`.

It collects the tests and runs them once, to see which functions each of them reaches. Then it
forks for each mutant: the child activates it and runs the tests that reach its function, those of
the same package first, until one fails. So a mutant takes milliseconds, not an interpreter's start.

FILE is JSON, of which it reads `mutants` (from a mutant's name to its function's) and `jobs`; it
adds `statuses` (from the name to `killed`, `timeout`, `survived` or `no tests`) and `imported`,
the functions that are called while modules are imported: there, a fork comes too late.
"""

import contextlib
import gc
import json
import math
import os
import resource
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Never

import pytest
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state

from tools.mutants.score import own_tests

_MAX_MEMORY_BYTES = 3 * 2**29
_MIN_CPU_SECONDS = 5
_CPU_RATIO = 5
"""A mutant may take so many times the time of its tests, then it counts as an endless loop."""
_WAIT_SECONDS = 120.0
"""A child that waits longer is ended: it waits for something that never comes."""
_POLL_SECONDS = 0.005
_OTHER_SECONDS = 3.0
"""So much time of tests of other modules is run for a mutant."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that names the file of mutants."""
    parser.addoption("--mutants", type=Path, required=True)


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin that replaces the loop over the tests."""
    config.pluginmanager.register(_Loop(config), "mutants-loop")


@dataclass(slots=True)
class _Seen:
    """What the first run found: the tests of each function, and how long they take."""

    tests: dict[str, list[pytest.Item]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    imported: frozenset[str] = frozenset()
    failed: list[str] = field(default_factory=list)


class _Loop:
    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._is_child = False
        self._seen = _Seen()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """End a child at the first failure, which kills its mutant."""
        if report.failed and self._is_child:
            os._exit(1)
        if report.failed:
            self._seen.failed.append(report.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run all tests once, then the mutants."""
        file: Path = self._config.getoption("--mutants")
        plan = json.loads(file.read_text("utf-8"))
        self._record(session.items)
        if self._seen.failed:
            raise session.Failed("tests fail without any mutant")
        gc.collect()
        gc.freeze()  # a child's collector would copy all pages
        plan["statuses"] = self._run_all(plan["mutants"], plan["jobs"])
        plan["imported"] = sorted(self._seen.imported)
        file.write_text(json.dumps(plan), "utf-8")
        return True

    def _record(self, items: Sequence[pytest.Item]) -> None:
        reached: set[str] = state()._stats  # noqa: SLF001 -- mutmut has no other access
        self._seen.imported = frozenset(reached)
        for item, following in zip(items, [*items[1:], None], strict=True):
            reached.clear()
            began = time.perf_counter()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            self._seen.seconds[item.nodeid] = time.perf_counter() - began
            for function in reached:
                self._seen.tests.setdefault(function, []).append(item)
        for function, tests in self._seen.tests.items():
            self._seen.tests[function] = self._chosen(function, tests)

    def _chosen(self, function: str, tests: Sequence[pytest.Item]) -> list[pytest.Item]:
        """Return the tests of the function's own package or module, and a few seconds of others.

        The fast ones come first. Some functions are reached by nearly all tests.
        """
        seconds, own = self._seen.seconds, own_tests(function)
        ordered = sorted(tests, key=lambda item: seconds[item.nodeid])
        others = [item for item in ordered if not item.nodeid.startswith(own)]
        spent = accumulate(seconds[item.nodeid] for item in others)
        few = [item for item, sum_ in zip(others, spent, strict=True) if sum_ < _OTHER_SECONDS]
        return [item for item in ordered if item.nodeid.startswith(own)] + few

    def _run_all(self, mutants: Mapping[str, str], jobs: int) -> dict[str, str]:
        statuses = {name: "no tests" for name, of in mutants.items() if of not in self._seen.tests}
        pending = [name for name in mutants if name not in statuses]
        pending.sort(key=lambda name: self._seconds(mutants[name]), reverse=True)
        running: dict[int, tuple[str, float]] = {}
        while pending or running:
            while pending and len(running) < jobs:
                name = pending.pop()
                pid = self._start(name, mutants[name])
                running[pid] = (name, time.monotonic() + _WAIT_SECONDS)
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid in running:
                name, _ = running.pop(pid)
                statuses[name] = _status(os.waitstatus_to_exitcode(status))
                self._show(name, statuses[name], len(statuses), len(mutants))
                continue
            for late in [p for p, (_, until) in running.items() if time.monotonic() > until]:
                os.kill(late, signal.SIGKILL)
            time.sleep(_POLL_SECONDS)
        return statuses

    def _start(self, name: str, function: str) -> int:
        seconds = math.ceil(_CPU_RATIO * self._seconds(function))
        pid = os.fork()
        if pid == 0:
            self._run(name, self._seen.tests[function], _MIN_CPU_SECONDS + seconds)
        return pid

    def _seconds(self, function: str) -> float:
        """Return how long a mutant of a function takes that survives."""
        return sum(self._seen.seconds[item.nodeid] for item in self._seen.tests[function])

    def _run(self, name: str, tests: Sequence[pytest.Item], cpu_seconds: int) -> Never:
        """Run the tests of a mutant in this child, which ends with 1 at the first failure."""
        with contextlib.suppress(BaseException):
            self._is_child = True
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
            resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY_BYTES, _MAX_MEMORY_BYTES))
            self._config.pluginmanager.unregister(name="terminalreporter")
            set_mutant_under_test(name)
            for item, following in zip(tests, [*tests[1:], None], strict=True):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            os._exit(0)
        os._exit(1)

    def _show(self, name: str, status: str, done: int, of: int) -> None:
        """Print a mutant that survives at once, and from time to time how many are done."""
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is None:
            return
        if status == "survived":
            reporter.write_line(f"survived: {name}")
        if done % 100 == 0 or done == of:
            reporter.write_line(f"{done} of {of} mutants")


def _status(exit_code: int) -> str:
    if exit_code in {-signal.SIGXCPU, -signal.SIGKILL}:
        return "timeout"
    return "survived" if exit_code == 0 else "killed"
