"""What the operator reads where pydantic found something wrong: what would be right. Pure."""

from collections.abc import Iterable
from difflib import get_close_matches

from pydantic import BaseModel

from prober.config import schema
from prober.config.schema import (
    CustomProbe,
    Expectation,
    LatencyObjectives,
    MaintenanceEntry,
    OAuth,
    Objectives,
    ProbeRef,
    Secret,
    Token,
)
from prober.config.web_schema import Headers, HttpServerConfig, RateLimitConfig, TlsServerConfig
from prober.config.yaml import KeyPath

_SLUG = "write lower-case letters, digits, '-' and '_' (at most 63)"
_ADDRESS_PART = "write letters, digits, '.', '-' and '_' (at most 128)"
_PATTERNS = {
    "organisation": _ADDRESS_PART,
    "tenant": _ADDRESS_PART,
    "domain": "write what stands before '.reinfer.io' alone: lower-case letters, digits and '-'",
    "env": "write the variable's name: letters, digits and '_', without '$'",
    "[key]": "a label's name has letters, digits and '_' (at most 63), and no digit first",
}
_KINDS = {
    "missing": "is missing",
    "string_type": "must be text: put it in quotes",
    "string_too_short": "is empty",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list: '[...]', or lines that begin with '- '",
    "dict_type": "must be a mapping: '{key: value}'",
    "model_type": "must be a mapping: '{key: value}'",
}
_PARTS: dict[str | int, type[BaseModel]] = {
    "web": schema.Web,
    "defaults": schema.Defaults,
    "schedule": schema.Schedule,
    "measurement": schema.Measurement,
    "tokens": schema.Tokens,
    "state": schema.State,
    "history": schema.History,
    "log": schema.Log,
    "token": Token,
    "oauth": OAuth,
    "client_secret": Secret,
    "client_certificate": schema.ClientCertificate,
    "expect": Expectation,
    "tls_server_config": TlsServerConfig,
    "http_server_config": HttpServerConfig,
    "headers": Headers,
    "rate_limit": RateLimitConfig,
}


def format_validation_error(kind: str, message: str, path: KeyPath) -> str:
    """Return the sentence for pydantic's error of this `kind` at `path`."""
    if kind == "extra_forbidden":
        return unknown_key(str(path[-1]), _keys_at(path[:-1]))
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(path[-1], _SLUG) if isinstance(path[-1], str) else _SLUG
    if kind in _KINDS:
        return _KINDS[kind]
    text = message.removeprefix("Value error, ")
    for ours, theirs in (("write ", "Input should be '"), ("must be ", "Input should be ")):
        if text.startswith(theirs):
            return ours + text[len("Input should be ") :]
    return text


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Return the sentence for a key that is none of `known`."""
    keys = sorted(known)
    close = get_close_matches(key, keys, n=1)
    if close:
        return f"is no known key; did you mean '{close[0]}'?"
    return f"is no known key; there are {', '.join(keys)}"


def _keys_at(path: KeyPath) -> Iterable[str]:
    fields = _mapping_at(path).model_fields
    return [field.alias or name for name, field in fields.items()]


def _mapping_at(path: KeyPath) -> type[BaseModel]:
    match path:
        case ("tenants", _):
            return schema.TenantEntry
        case (*_, "maintenance", int()):
            return MaintenanceEntry
        case ("tenants", _, "probes", _):
            return ProbeRef
        case ("probes", _):
            return CustomProbe
        case ("tenants", _, "objectives") | ("defaults", "objectives"):
            return Objectives
        case (*_, "objectives"):
            return LatencyObjectives
        case _:
            return _PARTS[path[-1]]
