"""The shipped rules, in the order in which one needs another, evaluated over the whole past.

Recording rules are filled in by promtool. Alert expressions are range queries to a real Prometheus;
`for` and `keep_firing_for` are applied afterwards, and what fires is given back as ALERTS.
"""

import json
import re
import subprocess
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.alerting.notifications import Firing
from tests.alerting.test_rules import EVERY_RULE, GROUPS, name_of, read_for
from tests.calm import world
from tests.calm.samples import START
from tests.prometheus import READY, running_at_any_port

STEP_SECONDS = 60
SLOW_STEP_SECONDS = 240
# promtool evaluates a group at an offset that is a hash of the names of its file and its own: with
# these, 26.6 s of each minute and 132.3 s of each four. A record is seen for less than a minute, so
# the names must not depend on the run.
RULE_FILE, FAST_GROUP, SLOW_GROUP = "rules.yml", "fast0", "slow0"
SLOW_OFFSET_SECONDS = 133
QUERY_SECONDS = 6 * 86_400  # 11,000 points are the most that a query may have
BLOCK = "168h"
"""promtool requests a block at a time, and each rule has blocks of its own: many small are slow."""
LEFT_OUT = re.compile(r"ProberToken(Rotated|Shared)|Watchdog|ratio6h")
"""Rules that page no one, and those of probes that run less often than every three minutes."""
SECONDS = {"s": 1, "m": 60, "h": 3600}
LEFT_OUT_MINUTES = tuple(world.LEFT_OUT.values())
Rule = dict[str, Any]


def levels() -> list[list[Rule]]:
    """Return the rules that alerts need, so that each level needs only those before it."""
    alerts = [each["alert"] for each in EVERY_RULE if "alert" in each]
    wanted = {each for each in read_for(*alerts) if not LEFT_OUT.search(each)}
    left = {name_of(each): each for each in EVERY_RULE if name_of(each) in wanted}
    needs = {name: _needs(each, set(left)) - {name} for name, each in left.items()}
    found = []
    while left:
        level = [each for name, each in left.items() if not needs[name] & left.keys()]
        assert level, f"these need one another: {sorted(left)}"
        found.append(level)
        for each in level:
            del left[name_of(each)]
    return found


def _needs(rule: Rule, names: set[str]) -> set[str]:
    return names & set(re.findall(r"[\w:]+", rule["expr"]))


def is_slow(rule: Rule) -> bool:
    """Tell whether a rule is one of, or rests on, those of long windows."""
    slow = {
        each["record"] for group in GROUPS if "slow" in group["name"] for each in group["rules"]
    }
    return name_of(rule) in slow or bool(_needs(rule, slow))


class Past:
    """A directory of blocks, and a Prometheus that is started on it when it is asked."""

    def __init__(self, directory: Path, start: int, end: int) -> None:
        self.data = directory / "data"
        self._directory, self._start, self._end = directory, start, end
        self.firing: list[Firing] = []

    def add(self, file: Path) -> None:
        """Make blocks of an OpenMetrics file."""
        _run(
            "promtool",
            "tsdb",
            "create-blocks-from",
            f"--max-block-duration={BLOCK}",
            "--quiet",
            "openmetrics",
            str(file),
            str(self.data),
        )

    def evaluate(self, level: Sequence[Rule]) -> None:
        """Evaluate rules that need nothing of one another."""
        records = [each for each in level if "record" in each]
        alerts = [each for each in level if "alert" in each]
        with self._prometheus() as url, ThreadPoolExecutor(2) as pool:
            jobs = [
                pool.submit(self._record, url, place, records[place::2])
                for place in range(2)
                if records[place::2]
            ]
            jobs += [pool.submit(self._alert, url, each) for each in alerts]
            found = [job.result() for job in jobs]
        fires = [each for some in found for each in some]
        self.firing += fires
        if fires:
            file = self._directory / "alerts.om"
            file.write_text("".join(_as_metrics(fires, self._end)) + "# EOF\n")
            self.add(file)

    @contextmanager
    def _prometheus(self) -> Iterator[str]:
        config = self._directory / "prometheus.yml"
        config.write_text("{}")
        command = [
            *("prometheus", f"--config.file={config}", f"--storage.tsdb.path={self.data}"),
            "--web.listen-address=127.0.0.1:0",
            "--storage.tsdb.retention.time=10y",
            # A series that is not there any more is not there: no block has a marker for it.
            f"--query.lookback-delta={STEP_SECONDS - 1}s",
            *("--query.max-samples=500000000", "--query.timeout=10m"),
        ]
        log = self._directory / "prometheus.log"
        with running_at_any_port(command, log, READY) as port:
            yield f"http://127.0.0.1:{port}"

    def _record(self, url: str, place: int, rules: Sequence[Rule]) -> list[Firing]:
        groups = [
            {
                "name": SLOW_GROUP if slow else FAST_GROUP,
                "interval": f"{SLOW_STEP_SECONDS if slow else STEP_SECONDS}s",
                "rules": [_at_this_pace(each) for each in rules if is_slow(each) == slow],
            }
            for slow in (False, True)
        ]
        directory = self._directory / f"place{place}"
        directory.mkdir(exist_ok=True)
        content = json.dumps({"groups": [each for each in groups if each["rules"]]})
        (directory / RULE_FILE).write_text(content)
        _run(
            "promtool",
            "tsdb",
            "create-blocks-from",
            f"--max-block-duration={BLOCK}",
            "rules",
            f"--start={self._start}",
            f"--end={self._end}",
            f"--url={url}",
            f"--output-dir={self.data}",
            RULE_FILE,
            directory=directory,
        )
        return []

    def _alert(self, url: str, rule: Rule) -> list[Firing]:
        step = SLOW_STEP_SECONDS if is_slow(rule) else STEP_SECONDS
        times: dict[frozenset[tuple[str, str]], list[int]] = defaultdict(list)
        expression = _at_this_pace(rule)["expr"]
        # Just after the records of long windows, which are seen for a minute only.
        first = self._start + (SLOW_OFFSET_SECONDS if is_slow(rule) else 0)
        for start in range(first, self._end, QUERY_SECONDS):
            end = min(start + QUERY_SECONDS, self._end) - step
            for labels, at in _query_range(url, expression, start, end, step):
                times[frozenset(_labels(rule, labels).items())] += at
        return [
            Firing(dict(labels), begins_at, ends_at)
            for labels, at in times.items()
            for begins_at, ends_at in _spans(at, step, rule)
        ]


def _at_this_pace(rule: Rule) -> dict[str, Any]:
    """Return a rule that sums one value a minute, where the shipped one sums two."""
    kept = {name: each for name, each in rule.items() if name in {"record", "labels"}}
    return {**kept, "expr": re.sub(r"\* 30 /", f"* {STEP_SECONDS} /", rule["expr"])}


def _labels(rule: Rule, labels: Mapping[str, str]) -> dict[str, str]:
    own = {name: value for name, value in labels.items() if name != "__name__"}
    return {**own, **rule.get("labels", {}), "alertname": rule["alert"]}


def is_not_evaluated(at: int) -> bool:
    """Return whether Prometheus itself is being restarted; it remembers since when alerts wait."""
    minute = (at - START) // 60
    return any(begins <= minute < begins + length for begins, length in LEFT_OUT_MINUTES)


def _spans(times: Sequence[int], step: int, rule: Rule) -> Iterator[tuple[int, int]]:
    """Yield when the alert begins and ends to fire, by the times at which its expression holds."""
    waits, keeps = (_seconds(rule.get(name, "0s")) for name in ("for", "keep_firing_for"))
    before: int | None = None
    fires_until: int | None = None
    begun = fires_since = fired_begun = 0
    for at in times:
        if is_not_evaluated(at):
            continue
        if before is None or not all(map(is_not_evaluated, range(before + step, at, step))):
            begun = at
        before = at
        if at - begun >= waits:
            if fires_until is None or (at > fires_until and begun != fired_begun):
                if fires_until is not None:
                    yield fires_since, fires_until
                fires_since = at
            fires_until, fired_begun = at + step + keeps, begun
    if fires_until is not None:
        yield fires_since, fires_until


def _seconds(text: str) -> int:
    return sum(int(n) * SECONDS[unit] for n, unit in re.findall(r"(\d+)([smh])", text))


def _as_metrics(fires: Sequence[Firing], end: int) -> Iterator[str]:
    for each in fires:
        labels = ",".join(f'{name}="{value}"' for name, value in sorted(each.labels.items()))
        first = int(each.starts_at) // STEP_SECONDS * STEP_SECONDS
        for at in range(first, min(int(each.ends_at or end), end), STEP_SECONDS):
            yield f'ALERTS{{{labels},alertstate="firing"}} 1 {at}\n'


def _query_range(
    url: str, expression: str, start: int, end: int, step: int
) -> Iterator[tuple[dict[str, str], list[int]]]:
    asked = {"query": expression, "start": start, "end": end, "step": step}
    data = urllib.parse.urlencode(asked).encode()
    with urllib.request.urlopen(f"{url}/api/v1/query_range", data, timeout=900) as answer:
        content = json.load(answer)
    for each in content["data"]["result"]:
        yield each["metric"], [int(at) for at, _ in each["values"]]


def _run(*command: str, directory: Path | None = None) -> None:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
