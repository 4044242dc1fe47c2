"""Three shards at each of two locations: six real daemons, one platform, the real Prometheus.

All durations of the shipped rules are divided by 60, as in `test_alerting`; a probe runs each
second. Tests of the cluster follow one another: each leaves it calm, the last ones take it apart.
"""

import json
import re
import signal
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Container, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlencode

import pytest
import yaml
from click.testing import CliRunner

from prober.cli.main import main
from tests.programs import (
    END_LIMIT_SECONDS,
    call,
    end,
    free_port,
    get,
    launched,
    seconds_until,
    started,
    wait_for_line,
)
from tests.prometheus import CONFIG, OVERLOAD, READY, running, scaled

pytestmark = pytest.mark.prometheus

ROOT = Path(__file__).parents[2]
PLACES = ("frankfurt", "dublin")
SHARDS = 3
TENANTS = (
    *("acme-prod", "acme-dev", "acme-test", "globex-prod", "globex-dev", "initech"),
    *("umbrella", "hooli-prod", "hooli-dev", "stark", "wayne", "legacy"),
)
TWIN = "acme-twin"  # takes the same token from the same place as acme-prod
PROBES = {"datasets": "/api/v1/datasets", "current-user": "/auth/user"}
RUN = re.compile(r"^prober_probe_runs_total\{(.*)\} (\S+)$", re.MULTILINE)
RESPONDED = {"success"}  # a run that timed out on a busy machine may have sent nothing
NEWS = f'severity=~"page|ticket",alertname!~"{"|".join(OVERLOAD)}"'
"""What somebody is notified of, but for a machine that is too busy for the test."""


Launched: TypeAlias = tuple[str, int, subprocess.Popen[bytes], Path]


@dataclass(frozen=True)
class Shard:
    """A daemon that runs."""

    place: str
    index: int
    process: subprocess.Popen[bytes]
    url: str

    @property
    def metrics(self) -> str:
        return get(f"{self.url}/metrics")

    @property
    def tenants(self) -> set[str]:
        return set(
            re.findall(r'^prober_tenant_info\{.*tenant="([^"]+)"', self.metrics, re.MULTILINE)
        )

    def runs(self, outcomes: Container[str] | None = None) -> Counter[tuple[str, str]]:
        """Runs so far with one of `outcomes`, by default all of them, by tenant and probe."""
        counted: Counter[tuple[str, str]] = Counter()
        for labels, value in RUN.findall(self.metrics):
            named = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            if outcomes is None or named["outcome"] in outcomes:
                counted[named["tenant"], named["probe"]] += int(float(value))
        return counted


class Cluster:
    """What runs, and what Prometheus knows."""

    def __init__(self, directory: Path, control: str, resources: ExitStack) -> None:
        self.directory, self.control = directory, control
        self.file = directory / "prober.yaml"
        self.shards: list[Shard] = []
        self.prometheus = f"127.0.0.1:{free_port()}"
        self._resources = resources

    def start(self, place: str, count: int, *indices: int) -> list[Launched]:
        """Launch shards of a location; `join` waits for them."""
        begun = []
        for index in indices:
            name = f"{place}-{index}-of-{count}"
            log = self.directory / f"{name}.log"
            command = ("run", "--config", str(self.file), "--shard", f"{index}/{count}")
            process = launched(*command, log=log, STATE_DIRECTORY=str(self.directory / name))
            self._resources.callback(end, process)
            begun.append((place, index, process, log))
        return begun

    def join(self, begun: list[Launched]) -> None:
        for place, index, process, log in begun:
            url = wait_for_line(process, log, r'"listening": "([^"]+)".*daemon.started')
            self.shards.append(Shard(place, index, process, url))

    def at(self, place: str) -> list[Shard]:
        return [shard for shard in self.shards if shard.place == place]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        parameters = urlencode({"query": expression})
        answer = json.loads(get(f"http://{self.prometheus}/api/v1/query?{parameters}"))
        found = answer["data"]["result"]
        return [(each["metric"], float(each["value"][1])) for each in found]

    def fired_since(self, moment: float) -> set[tuple[str, ...]]:
        """Return the alerts that somebody would have been notified of, with what they are about."""
        window = f"{max(1, round(time.time() - moment))}s"
        reported = f'count_over_time(ALERTS{{alertstate="firing",{NEWS}}}[{window}])'
        names = ("alertname", "location", "shard", "tenant")
        return {tuple(labels.get(name, "") for name in names) for labels, _ in self.query(reported)}

    def calm(self) -> None:
        seconds_until(lambda: not self.query(f"ALERTS{{{NEWS}}}"))

    def asked(self) -> list[dict[str, Any]]:
        requests: list[dict[str, Any]] = call("GET", f"{self.control}/requests")["requests"]
        return requests


def settings(control: str) -> str:
    tenants = call("GET", f"{control}/tenants")
    entries = [
        {
            "name": name,
            "base_url": tenants[source]["base_url"],
            "token": {"file": f"{source}.token"},
            "probes": list(PROBES) if name in {"acme-prod", TWIN} else ["datasets"],
        }
        for name, source in [*((name, name) for name in TENANTS), (TWIN, "acme-prod")]
    ]
    written = {
        "web": {"listen": "127.0.0.1:0"},
        "metrics": {"histograms": "off"},
        "history": {"enabled": False},
        "shutdown_timeout": "2s",
        "defaults": {"interval": "1s", "timeout": "900ms", "connect_timeout": "800ms"},
        "tenants": entries,
    }
    return yaml.safe_dump(written)


def prometheus(cluster: Cluster) -> list[str]:
    """The shipped rules, and a scrape of every shard that says where it stands."""
    directory = cluster.directory
    (directory / "rules").mkdir()
    for path in (CONFIG / "prometheus" / "rules").iterdir():
        (directory / "rules" / path.name).write_text(scaled(path.read_text()))
    content = {
        "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"},
        "rule_files": ["rules/*.yml"],
        "scrape_configs": [
            {
                "job_name": "prober",
                "static_configs": [
                    {
                        "targets": [each.url.removeprefix("http://") for each in cluster.at(place)],
                        "labels": {"location": place},
                    }
                    for place in PLACES
                ],
            }
        ],
    }
    file = directory / "prometheus.yml"
    file.write_text(yaml.safe_dump(content))
    return [
        "prometheus",
        f"--config.file={file}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
        f"--web.listen-address={cluster.prometheus}",
    ]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("cluster")
    with ExitStack() as resources:
        tenants = [part for name in TENANTS for part in ("--tenant", f"{name}=org/{name}")]
        simulate = ("simulate", "--port", "0", "--control-port", "0", "--server-ms", "2")
        more = (*tenants, "--token-directory", str(directory))
        log = directory / "simulator.log"
        simulator = started(*simulate, *more, until=r"control: (\S+)", log=log)
        _, control = resources.enter_context(simulator)
        cluster = Cluster(directory, control, resources)
        cluster.file.write_text(settings(control))
        begun = [each for place in PLACES for each in cluster.start(place, SHARDS, *range(SHARDS))]
        cluster.join(begun)
        command = prometheus(cluster)
        resources.enter_context(running(command, directory / "prometheus.log", READY))
        yield cluster


def test_a_shard_without_tenants_is_idle_and_well_until_there_are_some(tmp_path: Path) -> None:
    def written(*names: str) -> str:
        rest = "base_url: 'http://127.0.0.1:1', probes: [datasets], token: "
        entries = "".join(f"  - {{name: {name}, {rest}{{file: {name}}}}}\n" for name in names)
        return f"web: {{listen: '127.0.0.1:0'}}\ntenants:\n{entries}"

    file, log = tmp_path / "prober.yaml", tmp_path / "log"
    file.write_text(written("acme-prod"))
    command = ("run", "--config", str(file), "--shard", "1/3")
    with started(*command, until=r'"listening": "([^"]+)".*daemon.started', log=log) as (it, url):
        assert get(f"{url}/-/healthy") == "healthy\n"
        assert get(f"{url}/-/ready") == "ready\n"
        text = get(f"{url}/metrics")
        assert 'prober_shard_active{shard="1"} 1.0\n' in text
        assert 'tenant="' not in text
        assert "No tenants are assigned to this shard" in get(f"{url}/")

        file.write_text(written("acme-prod", "acme-dev", "legacy"))
        it.send_signal(signal.SIGHUP)
        seconds_until(lambda: "config.reloaded" in log.read_text())
        assert Shard("here", 1, it, url).tenants == {"legacy"}
        assert end(it) == 0
    assert "none of the 1 belongs to shard 1/3: this prober is idle;" in log.read_text()


def test_the_documents_commands_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    pages = (
        ROOT / "docs" / "how-to" / name for name in ("shards-and-locations.md", "kubernetes.md")
    )
    text = "".join(page.read_text() for page in pages)
    commands = re.findall(r"^\.venv/bin/prober (\S+) (.*?)(?:\s+#.*)?$", text, re.MULTILINE)
    assert Counter(name for name, _ in commands) == {"validate": 2, "run": 3, "kubernetes": 1}
    for name, rest in commands:
        if name == "validate":
            done = CliRunner().invoke(main, [name, *rest.split()])
            assert (done.exit_code, done.output.count("  shard ")) == (0, 3), done.output
        elif name == "kubernetes":
            done = CliRunner().invoke(main, [name, *rest.partition(" >")[0].split()])
            count = done.output.count("\nkind: StatefulSet\n")
            assert (done.exit_code, count) == (0, 3), done.output
        else:  # it would call real tenants: here it shall fail at a configuration that is not there
            missing = rest.replace("config/prober.yaml", "none.yaml").split()
            done = CliRunner().invoke(main, [name, *missing])
            unread = "none.yaml: cannot be read: No such file or directory\n"
            assert (done.exit_code, done.output) == (2, unread)
    named = set(re.findall(r"(?<!>)config/[\w./-]*\w", text))
    named -= set(re.findall(r">(config/\S+)", text))  # what a command writes
    assert len(named) > 3
    assert all((ROOT / each).exists() for each in named)


def test_a_shard_that_cannot_be_starts_nothing() -> None:
    done = CliRunner().invoke(main, ["run", "--config", "none.yaml", "--shard", "3/3"])
    assert done.exit_code == 2
    assert "'3/3': of 3 shards the last is 2: they begin at 0" in done.output


def test_every_probe_runs_exactly_once_at_each_location(cluster: Cluster) -> None:
    probes = {(name, "datasets") for name in (*TENANTS, TWIN)}
    probes |= {(name, "current-user") for name in ("acme-prod", TWIN)}
    at_work = 'prober_probe_runs_total{outcome="success"} > 1'
    counted = f"count by (location, tenant, probe) ({at_work})"
    seconds_until(lambda: len(cluster.query(counted)) == len(PLACES) * len(probes))

    assert {times for _, times in cluster.query(counted)} == {1}
    every = "count by (location, tenant, probe) (prober_probe_interval_seconds)"
    assert {times for _, times in cluster.query(every)} == {1}

    before = [shard.runs(RESPONDED) for shard in cluster.shards]
    asked = Counter((each["tenant"], each["path"].rpartition("/")[2]) for each in cluster.asked())
    after = [shard.runs() for shard in cluster.shards]
    known_to = {place: set[tuple[str, str]]() for place in PLACES}
    for shard, runs in zip(cluster.shards, after, strict=True):
        assert not known_to[shard.place] & runs.keys()
        known_to[shard.place] |= runs.keys()
    assert known_to == dict.fromkeys(PLACES, probes)
    # What the platform was asked is what the shards have run, and nothing beside.
    least, most = (Counter[tuple[str, str]](), Counter[tuple[str, str]]())
    for total, each in ((least, before), (most, after)):
        for runs in each:
            for (tenant, probe), number in runs.items():
                name = "acme-prod" if tenant == TWIN else tenant
                total[name, PROBES[probe].rpartition("/")[2]] += number
    in_flight = 4
    assert all(least[key] <= asked[key] <= most[key] + in_flight for key in most)
    assert asked.keys() == most.keys()


def test_a_dead_token_has_one_owner_at_each_location_and_is_not_hammered(cluster: Cluster) -> None:
    owners = [shard for shard in cluster.shards if "acme-prod" in shard.tenants]
    assert [shard.place for shard in owners] == list(PLACES)
    assert all(TWIN in shard.tenants for shard in owners)

    dead = next(each for each in cluster.asked() if each["tenant"] == "acme-prod")
    call("POST", f"{cluster.control}/tenants/acme-prod/regenerate")
    held_back = 'sum(prober_probe_skipped_total{cause="token_rejected"})'
    two_owners, tenants, probes, seconds = 2, 2, 2, 3
    wanted = two_owners * tenants * probes * seconds
    seconds_until(lambda: any(value >= wanted for _, value in cluster.query(held_back)))

    refused = [
        each
        for each in cluster.asked()
        if each["status"] == 401 and each["token_fingerprint"] == dead["token_fingerprint"]
    ]
    # One response for each probe that was under way, and one for the check of another route by
    # each tenant; then no request for a minute.
    assert 2 <= len(refused) <= two_owners * tenants * (probes + 1)
    rejected = 'ALERTS{alertname="ProberTokenRejected",alertstate="firing"}'
    seconds_until(lambda: bool(cluster.query(rejected)))
    assert {name for name, *_ in cluster.fired_since(time.time() - 3)} == {"ProberTokenRejected"}

    call("POST", f"{cluster.control}/tenants/acme-prod/deliver")
    cluster.calm()


def test_silence_seen_from_both_locations_is_the_platforms_and_one_alert(cluster: Cluster) -> None:
    began = time.time()
    call("PUT", f"{cluster.control}/faults", {"fault": "hang"})
    seconds_until(lambda: bool(cluster.query('ALERTS{alertstate="firing",severity="page"}')))
    silent = "min(location_tenant:prober_platform_failures:consecutive_min)"
    seconds_until(lambda: cluster.query(silent)[0][1] >= 6)  # time for all others to fire

    assert cluster.fired_since(began) == {("ProberPlatformDown", "", "", "all")}
    call("DELETE", f"{cluster.control}/faults")
    cluster.calm()


def test_killing_a_shard_raises_the_shards_alert_and_no_other(cluster: Cluster) -> None:
    victim = next(shard for shard in cluster.at("frankfurt") if shard.index == 1)
    assert victim.tenants
    began = time.time()
    victim.process.send_signal(signal.SIGKILL)
    victim.process.wait()
    cluster.shards.remove(victim)
    seconds_until(lambda: bool(cluster.query('ALERTS{alertstate="firing",severity="page"}')))
    since_then = 'count_over_time(ALERTS{alertname="ProberShardMissing",alertstate="firing"}[30s])'
    evaluations = 8  # twice the `for` of ProberDown: what would follow has followed
    seconds_until(lambda: any(value >= evaluations for _, value in cluster.query(since_then)))

    assert cluster.fired_since(began) == {("ProberShardMissing", "frankfurt", "1", "all")}


def test_a_fourth_shard_takes_no_more_than_a_third_of_the_tenants(cluster: Cluster) -> None:
    before = {name: shard.index for shard in cluster.at("dublin") for name in shard.tenants}
    for shard in cluster.shards:
        shard.process.send_signal(signal.SIGTERM)
    for shard in cluster.shards:
        assert shard.process.wait(END_LIMIT_SECONDS) == 0
    cluster.shards.clear()

    cluster.join(cluster.start("dublin", SHARDS + 1, *range(SHARDS + 1)))

    holders = defaultdict(list)
    for shard in cluster.at("dublin"):
        for name in shard.tenants:
            holders[name].append(shard.index)
    assert {name: len(held) for name, held in holders.items()} == dict.fromkeys(before, 1)
    moved = {name: held[0] for name, held in holders.items() if held[0] != before[name]}
    assert set(moved.values()) == {SHARDS}
    assert len(moved) <= len(before) / 3
