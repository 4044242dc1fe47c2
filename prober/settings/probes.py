"""From one use of a probe to the `Probe` that is run. Pure."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Self, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlencode

from pydantic import SecretStr

from prober.model import ConnectionPolicy, Expectations, Probe
from prober.settings.catalogue import CATALOGUE, NEEDS_NOTHING, BuiltIn, path_segment
from prober.settings.probe_schema import (
    LatencyObjectives,
    OwnProbe,
    ProbeUse,
    Tuning,
    is_name_of_secret,
)
from prober.settings.schema import Defaults, TenantEntry
from prober.settings.yaml_file import Note

Problems = list[Note]
_T = TypeVar("_T")

_CONSENT = "add 'i_accept_costs: true' if you mean it"
_BILLED = re.compile(
    r"/(predict|predict-raw-emails|predict-extractions|sync|sync-raw-emails|sync-csv)$"
)
_NEVER = re.compile(r"/(advance|reset|exceptions)$")
_PARAMETERS = (
    "project", "dataset", "source", "stream", "comment", "uid", "bucket", "model_version",
)  # fmt: skip
_MIN_INTERVAL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Origins:
    """Where a use finds its probe: one's own, else the catalogue; `broken` ones are known."""

    own: Mapping[str, OwnProbe]
    broken: frozenset[str]
    defaults: Defaults


@dataclass(frozen=True, slots=True)
class Layers:
    """Who may say how a probe is run: the first that says something counts."""

    tuning: tuple[Tuning, ...]
    objectives: tuple[LatencyObjectives, ...]

    @classmethod
    def of(cls, entry: TenantEntry, defaults: Defaults, *said: Tuning) -> Self:
        """Stack what a probe's use and its definition say over the tenant and the defaults."""
        return cls(
            (*said, defaults),
            (*(each.objectives for each in said), entry.objectives, defaults.objectives),
        )


def uses(entry: TenantEntry) -> Sequence[ProbeUse]:
    """Return what a tenant runs."""
    if entry.probes is not None:
        return entry.probes
    return tuple(ProbeUse(use=name) for name in NEEDS_NOTHING)


def probe_of(use: ProbeUse, entry: TenantEntry, origins: Origins) -> tuple[Probe | None, Problems]:
    """Return the probe that `use` stands for in a tenant, or None with the problems."""
    own = origins.own.get(use.use)
    if own is not None:
        problems = _foreign_parameters(use, ()) + _own_needs_consent(use, own)
        return _tuned(
            _own_request(own), use, Layers.of(entry, origins.defaults, use, own), problems
        )
    built_in = CATALOGUE.get(use.use)
    if built_in is None:
        if use.use in origins.broken:
            return None, []
        return None, [(("use",), _unknown(use.use, {*CATALOGUE, *origins.own}))]
    path, problems = _filled(built_in, use)
    if built_in.costs and not use.i_accept_costs:
        problems.append(((), f"'{use.use}' is billed or writes: {_CONSENT}"))
    request = Probe(
        name=use.use,
        path=path,
        method=built_in.method,
        body=_body(built_in, use),
        expectations=built_in.expectations,
    )
    return _tuned(request, use, Layers.of(entry, origins.defaults, use), problems)


def check_own(probe: OwnProbe) -> Problems:
    """Return what is wrong with a probe of one's own, used or not."""
    never = "moves or deletes data: prober never does that"
    if probe.method == "DELETE":
        return [(("method",), never)]
    return [(("path",), never)] if _NEVER.search(_route(probe)) else []


def check_defaults(defaults: Defaults) -> Problems:
    """Return what is wrong with the defaults by themselves, so that it is told once."""
    return _timing(Layers((defaults,), ()))[1]


def _route(own: OwnProbe) -> str:
    return unquote(own.path.partition("?")[0]).rstrip("/")


def _own_needs_consent(use: ProbeUse, own: OwnProbe) -> Problems:
    writes = own.method in {"PUT", "PATCH"} or _BILLED.search(_route(own))
    if writes and not (own.i_accept_costs or use.i_accept_costs):
        return [((), f"'{use.use}' calls a route that is billed or writes: {_CONSENT}")]
    return []


def _own_request(own: OwnProbe) -> Probe:
    """Return the request of an own probe, whose texts have been read: see `texts`."""
    query = urlencode({name: text.value or "" for name, text in own.query.items()}, quote_via=quote)
    separator = "&" if "?" in own.path else "?"
    return Probe(
        name="",
        path=f"{own.path}{separator}{query}" if query else own.path,
        secrets=tuple(map(SecretStr, _secrets(own))),
        method=own.method,
        body=None if own.json_body is None else _json(own.json_body),
        headers=tuple((name, text.value or "") for name, text in own.headers.items()),
        expectations=Expectations(own.expect.status, own.expect.jmespath, own.expect.max_server),
    )


def _secrets(own: OwnProbe) -> list[str]:
    texts = [*own.headers.items(), *own.query.items()]
    found = [text.value or "" for name, text in texts if text.is_secret(name)]
    written = parse_qsl(own.path.partition("?")[2])
    found += [value for name, value in written if is_name_of_secret(name)]
    return [each for each in dict.fromkeys(found) if each]


def _filled(built_in: BuiltIn, use: ProbeUse) -> tuple[str, Problems]:
    problems = _foreign_parameters(use, built_in.parameters)
    path = built_in.path
    for parameter in built_in.parameters:
        value = use.json_body if parameter == "json" else getattr(use, parameter)
        if value is None:
            problems.append(((parameter,), f"is missing: '{use.use}' needs it"))
            continue
        if parameter == "json":
            continue
        try:
            segment = path_segment(parameter, str(value), use.project)
        except ValueError as error:
            problems.append(((parameter,), str(error)))
            continue
        path = path.replace(f"{{{parameter}}}", segment)
    return path, problems


def _foreign_parameters(use: ProbeUse, wanted: Sequence[str]) -> Problems:
    allowed = {*wanted, *(["project"] if {"dataset", "source"} & set(wanted) else [])}
    given = [name for name in _PARAMETERS if getattr(use, name) is not None]
    if use.json_body is not None:
        given.append("json")
    takes = f"takes {', '.join(sorted(allowed))}" if allowed else "takes no parameter"
    return [
        ((name,), f"is no parameter of '{use.use}', which {takes}")
        for name in given
        if name not in allowed
    ]


def _body(built_in: BuiltIn, use: ProbeUse) -> bytes | None:
    if built_in.body is None:
        return None
    if built_in.body == "{json}":
        return _json(use.json_body)
    if built_in.body == "{uid}":
        return _json({"uids": [use.uid]})
    return _json(built_in.body)


def _tuned(
    request: Probe, use: ProbeUse, layers: Layers, problems: Problems
) -> tuple[Probe | None, Problems]:
    """Apply intervals, time-outs and objectives."""
    (interval, timeout, connect_timeout), wrong = _timing(layers)
    problems = problems + wrong
    if problems:
        return None, problems
    probe = replace(
        request,
        name=use.name or use.use,
        interval_seconds=interval,
        timeout_seconds=timeout,
        connect_timeout_seconds=connect_timeout,
        connection=_first(ConnectionPolicy.FRESH, [layer.connection for layer in layers.tuning]),
        body_limit_bytes=_first(1024 * 1024, [layer.body_limit for layer in layers.tuning]),
        server_objective_seconds=_first(2.5, [each.server for each in layers.objectives]),
        network_objective_seconds=_first(0.5, [each.network for each in layers.objectives]),
    )
    return probe, []


def _first(default: _T, said: Iterable[_T | None]) -> _T:
    return next((value for value in said if value is not None), default)


def _timing(layers: Layers) -> tuple[tuple[float, float, float], Problems]:
    """Return interval, timeout and connect_timeout, and what is wrong with them together."""
    interval = _first(60.0, [layer.interval for layer in layers.tuning])
    timeout = _first(min(10.0, interval), [layer.timeout for layer in layers.tuning])
    connect_timeout = _first(min(5.0, timeout), [layer.connect_timeout for layer in layers.tuning])
    wrong: list[tuple[str, float, str]] = []
    if interval < _MIN_INTERVAL_SECONDS:
        wrong.append(("interval", interval, "write at least 1s"))
    if not 0 < timeout <= interval:
        remedy = f"write more than 0 and at most the interval, {interval:g}s"
        wrong.append(("timeout", timeout, remedy))
    if not 0 < connect_timeout <= timeout:
        remedy = f"write more than 0 and at most the timeout, {timeout:g}s"
        wrong.append(("connect_timeout", connect_timeout, remedy))
    return (interval, timeout, connect_timeout), [
        ((key,), f"is {value:g}s{_told_by(layers, key)}: {remedy}") for key, value, remedy in wrong
    ]


def _told_by(layers: Layers, key: str) -> str:
    """Return whose word counts for `key`, where that is not the place the problem is told at."""
    here, *above = layers.tuning
    layer = next((each for each in (here, *above) if getattr(each, key) is not None), here)
    if layer is here:
        return ""
    return " (from 'defaults')" if isinstance(layer, Defaults) else " (from 'probes')"


def _unknown(name: str, known: set[str]) -> str:
    close = get_close_matches(name, known, n=1)
    if close:
        return f"there is no probe '{name}'; did you mean '{close[0]}'?"
    return f"there is no probe '{name}'; there are {', '.join(sorted(known))}"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
