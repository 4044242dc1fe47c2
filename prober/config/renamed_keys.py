"""Keys of settings files that were renamed: an old key gets an error with the new name. Pure."""

from collections.abc import Mapping
from types import MappingProxyType

from pydantic import BaseModel

from prober.config.schema import (
    Consents,
    Expectation,
    LatencyObjectives,
    MaintenanceEntry,
    ProbeOptions,
)
from prober.config.sections import TokenSettings, WebSettings
from prober.config.yaml import Note

_CONSENTS = (
    "'allow_billable: true' for a request that is billed, 'allow_writes: true' for one that writes"
    " data"
)

RENAMED_KEYS: Mapping[type[BaseModel], Mapping[str, str]] = MappingProxyType(
    {
        WebSettings: {
            "ad_hoc_runs": "'web.enable_run_now'",
            "hosts": "'web.allowed_hosts'",
            "reload": "'web.enable_reload'",
            "max_series": "'metrics.max_series'",
            "histograms": "'metrics.histograms'",
        },
        TokenSettings: {
            "canary_first": "'tokens.retry_initial'",
            "canary_limit": "'tokens.retry_max'",
        },
        ProbeOptions: {"body_limit": "'max_response_size'"},
        LatencyObjectives: {"server": "'server_latency'", "network": "'network_latency'"},
        Expectation: {"max_server": "'max_server_time'"},
        MaintenanceEntry: {"from": "'start'", "first": "'start'", "every": "'repeat_every'"},
        Consents: {"i_accept_costs": _CONSENTS},
    }
)
"""Old keys of each mapping, and what to write instead. Subclasses have the same old keys."""

RENAMED_SECTIONS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "schedule": {
            "concurrency": "'scheduler.max_concurrent'",
            "misfire_grace": "'scheduler.max_start_delay'",
            "grace": "'shutdown_timeout', outside of any section",
        }
    }
)
"""Sections that no longer exist, with their keys."""


def renamed_key(model: type[BaseModel], key: str) -> str | None:
    """Return the message for an old key of a mapping, None if it is not one."""
    new = next((keys[key] for each in model.__mro__ if key in (keys := _keys(each))), None)
    return None if new is None else _message(new)


def renamed_section(section: str, content: object) -> list[Note]:
    """Return a problem for each key of an old section, or one for the section; [] if it is new."""
    if section not in RENAMED_SECTIONS:
        return []
    new_names = RENAMED_SECTIONS[section]
    problems: list[Note] = [
        ((section, key), _message(new_names[key]))
        for key in (content if isinstance(content, dict) else ())
        if key in new_names
    ]
    return problems or [((section,), _message(", ".join(new_names.values())))]


def _keys(model: type) -> Mapping[str, str]:
    return RENAMED_KEYS.get(model, {})


def _message(new: str) -> str:
    return f"was renamed: write {new}"
