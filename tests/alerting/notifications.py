"""What Alertmanager sends for alerts that fire and end: a small model of it.

It knows routes, grouping, waits and inhibition, as config/alertmanager/alertmanager.yml has them;
repeats and mute times are left out. The real Alertmanager is asked in tests/e2e.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parents[2] / "config" / "alertmanager" / "alertmanager.yml"
MATCHER = re.compile(r'^(\w+)(=~|!~|!=|=)"(.*)"$')
SECONDS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class Firing:
    """One alert; times are in seconds, `ends_at` None while it goes on."""

    labels: Mapping[str, str]
    starts_at: float
    ends_at: float | None = None

    def is_active(self, at: float) -> bool:
        return self.starts_at <= at and (self.ends_at is None or at < self.ends_at)


@dataclass(frozen=True)
class Notification:
    """What one receiver gets at one time: the alerts that fire in that group."""

    at: float
    receiver: str
    alerts: tuple[Mapping[str, str], ...]


def matches(labels: Mapping[str, str], matchers: Iterable[str]) -> bool:
    return all(_matches(labels, matcher) for matcher in matchers)


def _matches(labels: Mapping[str, str], matcher: str) -> bool:
    found = MATCHER.match(matcher)
    assert found is not None, matcher
    name, operator, wanted = found.groups()
    value = labels.get(name, "")
    if operator in {"=", "!="}:
        return (value == wanted) == (operator == "=")
    return bool(re.fullmatch(wanted, value)) == (operator == "=~")


class Model:
    """Alertmanager by its configuration."""

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        self._config = config or yaml.safe_load(FILE.read_text())

    def route(self, labels: Mapping[str, str]) -> tuple[int, Mapping[str, Any]]:
        """Return the place and the settings of the first route that matches."""
        root = self._config["route"]
        for place, each in enumerate(root["routes"]):
            if matches(labels, each["matchers"]):
                return place, {**root, **each}
        return -1, root

    def is_inhibited(self, labels: Mapping[str, str], active: Iterable[Mapping[str, str]]) -> bool:
        sources = list(active)
        return any(
            matches(labels, rule["target_matchers"])
            and any(
                source != labels
                and matches(source, rule["source_matchers"])
                and not (
                    matches(source, rule["target_matchers"])
                    and matches(labels, rule["source_matchers"])
                )
                and all(source.get(name, "") == labels.get(name, "") for name in rule["equal"])
                for source in sources
            )
            for rule in self._config["inhibit_rules"]
        )

    def notifications(self, alerts: Iterable[Firing], until: float) -> list[Notification]:
        """Return what is sent while alerts fire, in order; that they are over is left out."""
        every = list(alerts)
        groups = defaultdict(list)
        for alert in every:
            place, route = self.route(alert.labels)
            key = tuple(alert.labels.get(name, "") for name in route["group_by"])
            groups[place, key].append(alert)
        sent = [
            notification
            for (_, _), members in groups.items()
            for notification in self._of_group(members, every, until)
        ]
        return sorted(sent, key=lambda each: each.at)

    def _of_group(
        self, members: list[Firing], every: list[Firing], until: float
    ) -> Iterable[Notification]:
        _, route = self.route(members[0].labels)
        known: set[frozenset[tuple[str, str]]] = set()
        at = min(each.starts_at for each in members) + _seconds(route["group_wait"])
        while at <= until:
            active = [each.labels for each in every if each.is_active(at)]
            firing = [
                each.labels
                for each in members
                if each.is_active(at) and not self.is_inhibited(each.labels, active)
            ]
            names = {frozenset(each.items()) for each in firing}
            if names - known:
                yield Notification(at, route["receiver"], tuple(firing))
            known = names
            at += _seconds(route["group_interval"])


def _seconds(text: str) -> int:
    return sum(int(n) * SECONDS[unit] for n, unit in re.findall(r"(\d+)([smh])", text))
