"""Metrics that are pushed into a real Prometheus 3, beside a scrape of the same prober.

`make e2e-newest` runs it: Debian's Prometheus has no OTLP receiver.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from tests.programs import call, free_port, get, seconds_until, started
from tests.prometheus import READY, prometheus, running

pytestmark = pytest.mark.prometheus

NO_ALERTMANAGER = 9
LISTENING = r'"listening": "http://([^"]+)"'
SCRAPED = '{job="prober", instance=~"127.0.0.1:.*"}'
PUSHED = '{job="prober", instance!~"127.0.0.1:.*"}'
OF_THE_TARGET = ("__name__", "instance", "job", "location")
CHANGING = ("prober_probe_runs_total", "prober_probe_server_seconds_bucket")
CONSTANT = ("prober_build_info", "prober_probe_interval_seconds")


class Receiver:
    """A Prometheus that scrapes the prober and receives what it pushes."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, **parameters: object) -> Any:  # noqa: ANN401
        answer = json.loads(get(f"{self.url}/api/v1/{path}?{urlencode(parameters)}"))
        assert answer["status"] == "success", answer
        return answer["data"]

    def names(self, selector: str) -> set[str]:
        """Return the names of all metrics that are the prober's own."""
        values: list[str] = self.ask("label/__name__/values", **{"match[]": selector})
        return {each for each in values if each.startswith("prober_")}

    def values(self, selector: str, name: str) -> dict[frozenset[tuple[str, str]], float]:
        """Return the value of each series of a metric now, by its own labels."""
        found = self.ask("query", query=f"{name}{selector}")["result"]
        return {own_labels(each["metric"]): float(each["value"][1]) for each in found}

    def agrees(self, name: str) -> bool:
        """Return whether a metric has been scraped and pushed with the same values."""
        scraped = self.values(SCRAPED, name)
        return bool(scraped) and scraped == self.values(PUSHED, name)


def own_labels(metric: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """Return the labels of a series but for its name and its target.

    A scraped bucket has `le="1.0"` where a pushed one has `le="1"`, which is the same to queries.
    """
    kept = {name: value for name, value in metric.items() if name not in OF_THE_TARGET}
    if "le" in kept:
        kept["le"] = str(float(kept["le"]))
    return frozenset(kept.items())


def settings(directory: Path, control: str, prometheus_port: int) -> Path:
    endpoint = f"http://127.0.0.1:{prometheus_port}/api/v1/otlp/v1/metrics"
    tenants = [
        {
            "name": name,
            "base_url": tenant["base_url"],
            "token": {"file": f"{name}.token"},
            "probes": ["datasets", "current-user"],
        }
        for name, tenant in call("GET", f"{control}/tenants").items()
    ]
    written = {
        "web": {"listen": "127.0.0.1:0"},
        "state": {"directory": "state"},
        "metrics": {"otlp": {"endpoint": endpoint, "interval": "1s"}},
        "defaults": {"interval": "2s", "timeout": "900ms"},
        "tenants": tenants,
    }
    file = directory / "prober.yaml"
    file.write_text(yaml.safe_dump(written))
    return file


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    directory = tmp_path_factory.mktemp("otlp")
    port = free_port()
    with ExitStack() as resources:
        simulate = ("simulate", "--port", "0", "--control-port", "0", "--server-ms", "5")
        more, log = ("--token-directory", str(directory)), directory / "simulator.log"
        simulator = started(*simulate, *more, until=r"control: (\S+)", log=log)
        _, control = resources.enter_context(simulator)
        run = ("run", "--config", str(settings(directory, control, port)))
        log = directory / "prober.log"
        _, target = resources.enter_context(started(*run, until=LISTENING, log=log))
        command = prometheus(directory, [target], port, NO_ALERTMANAGER)
        command.append("--web.enable-otlp-receiver")
        resources.enter_context(running(command, directory / "prometheus.log", READY))
        yield Receiver(f"http://127.0.0.1:{port}")


def test_the_names_that_arrive_are_those_of_a_scrape(receiver: Receiver) -> None:
    def both() -> bool:
        scraped = receiver.names(SCRAPED)
        return bool(scraped) and scraped == receiver.names(PUSHED)

    waited_for(both, lambda: receiver.names(SCRAPED) ^ receiver.names(PUSHED))


@pytest.mark.parametrize("name", CONSTANT + CHANGING)
def test_labels_and_values_are_those_of_a_scrape(receiver: Receiver, name: str) -> None:
    waited_for(
        lambda: receiver.agrees(name),
        lambda: receiver.values(SCRAPED, name).items() ^ receiver.values(PUSHED, name).items(),
    )


def test_the_job_is_that_of_the_rules_and_the_instance_is_told(receiver: Receiver) -> None:
    seconds_until(lambda: bool(receiver.values(PUSHED, "prober_build_info")))
    (series,) = receiver.ask("query", query=f"prober_build_info{PUSHED}")["result"]
    assert series["metric"]["job"] == "prober"
    assert series["metric"]["instance"]


def waited_for(condition: Callable[[], bool], seen: Callable[[], object]) -> None:
    try:
        seconds_until(condition)
    except AssertionError:
        pytest.fail(f"it did not come true: {seen()}")
