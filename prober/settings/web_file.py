"""The edge: reads web.yml, and finds every problem at once, those of its certificates included."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from prober.access.rules import Access, RateLimit, TlsOptions
from prober.access.tls import ServerTlsError, can_set_curve, server_context
from prober.errors import Problem, SettingsError
from prober.settings.resolve import Configuration
from prober.settings.text_file import read_text
from prober.settings.web_file_schema import (
    Hash,
    Headers,
    HttpServerConfig,
    RateLimitConfig,
    TlsServerConfig,
)
from prober.settings.web_file_tls import SECTION, tls_options
from prober.settings.wording import unknown_key, worded
from prober.settings.yaml_file import KeyPath, Note, dotted, read_yaml

_SECTIONS: Mapping[str, Any] = {
    SECTION: TlsServerConfig,
    "http_server_config": HttpServerConfig,
    "rate_limit": RateLimitConfig,
    "basic_auth_users": dict[str, Hash],
}


@dataclass(frozen=True, slots=True)
class WebFile:
    """What web.yml says, and what is to be said of it."""

    access: Access
    warnings: tuple[Problem, ...]


def read_web_file(path: Path) -> WebFile:
    """Return what `path` says; raises SettingsError with every problem found."""
    document, syntax = read_yaml(read_text(path), str(path), example="basic_auth_users: ...")
    if syntax:
        raise SettingsError(syntax)
    notes: list[Note] = [
        ((key,), unknown_key(key, _SECTIONS)) for key in document.content if key not in _SECTIONS
    ]
    parts = {name: _part(name, document.content.get(name), notes) for name in _SECTIONS}
    tls, problems, warnings = tls_options(parts[SECTION], path.absolute().parent)
    notes += problems
    http = parts["http_server_config"]
    if http.http2:
        message = "HTTP/2 is not spoken: clients are offered HTTP/1.1 alone, which all know"
        warnings.append((("http_server_config", "http2"), message))
    notes += _tls_problems(tls)
    if tls is not None and tls.curve is not None and not can_set_curve(tls.curve):
        message = "cannot be set by this Python: OpenSSL's own order holds, X25519 first"
        warnings.append(((SECTION, "curve_preferences"), message))

    def told(all_: list[Note]) -> tuple[Problem, ...]:
        return tuple(
            Problem(str(path), document.line_of(at), dotted(at), message) for at, message in all_
        )

    if notes:
        raise SettingsError(tuple(sorted(told(notes), key=lambda each: (each.line or 0, each.key))))
    limit = parts["rate_limit"]
    access = Access(
        tls,
        {name.encode(): hashed.encode() for name, hashed in parts["basic_auth_users"].items()},
        _headers(http.headers),
        RateLimit(limit.interval, limit.burst) if limit.interval else None,
        (path, *_files(tls)),
    )
    return WebFile(access, told(warnings))


def reread_access(configuration: Configuration) -> Callable[[], Access] | None:
    """Return what reads web.yml anew (raising SettingsError), None where there is none."""
    path = configuration.web.config_file
    return None if path is None else lambda: read_web_file(path).access


def _part(name: str, given: object, notes: list[Note]) -> Any:  # noqa: ANN401 -- any section
    adapter = TypeAdapter(_SECTIONS[name])
    try:
        return adapter.validate_python({} if given is None else given)
    except ValidationError as error:
        for each in error.errors(include_url=False, include_input=False):
            at: KeyPath = (name, *each["loc"])
            notes.append((at, worded(each["type"], each["msg"], at)))
        return adapter.validate_python({})


def _tls_problems(tls: TlsOptions | None) -> list[Note]:
    if tls is None:
        return []
    try:
        server_context(tls)
    except ServerTlsError as error:
        return [((SECTION, error.key), str(error))]
    return []


def _files(tls: TlsOptions | None) -> list[Path]:
    pems = () if tls is None else (tls.certificate, tls.private_key, tls.client_ca)
    return [pem.file for pem in pems if pem is not None and pem.file is not None]


def _headers(written: Headers) -> dict[str, str]:
    return written.model_dump(by_alias=True, exclude_unset=True, exclude_none=True)
