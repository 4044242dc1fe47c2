"""The edge: reads the file and the environment, and finds every problem at once."""

import hashlib
from collections.abc import Mapping
from os import environ
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from prober.config import schema
from prober.config.error_messages import format_validation_error, unknown_key
from prober.config.proxies import proxy_problems, proxy_warnings
from prober.config.resolve import (
    Config,
    HistoryOptions,
    LogOptions,
    MeasurementOptions,
    ReloadOptions,
    ScheduleOptions,
    TokenOptions,
    canonical_json,
    check_custom,
    check_defaults,
    exposure_warnings,
    resolve_tenants,
    state_directory,
    unauthenticated_write_errors,
    web_options,
)
from prober.config.schema import CustomProbe, MaintenanceEntry, NamedProbe, ProbeRef, Slug, Token
from prober.config.texts import with_texts
from prober.config.web_config import WebConfig, read_web_config
from prober.config.yaml import KeyPath, Note, YamlDocument, format_key_path, read_text, read_yaml
from prober.errors import ConfigProblem, SettingsError
from prober.maintenance import MaintenanceWindow
from prober.proxy_environment import proxy_environment
from prober.web.auth import AccessPolicy

_Part = TypeVar("_Part")


class _EnvOverlay(BaseSettings):
    """The file's content with environment variables over it, not yet checked."""

    model_config = SettingsConfigDict(
        env_prefix="PROBER_", env_nested_delimiter="__", extra="ignore"
    )
    web: dict[str, Any] | None = None
    defaults: dict[str, Any] | None = None
    schedule: dict[str, Any] | None = None
    measurement: dict[str, Any] | None = None
    tokens: dict[str, Any] | None = None
    state: dict[str, Any] | None = None
    history: dict[str, Any] | None = None
    reload: dict[str, Any] | None = None
    log: dict[str, Any] | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 -- the library's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings


def load(path: Path, web_config_file: Path | None = None) -> Config:
    """Return the configuration in `path` with PROBER_* variables over it.

    `web_config_file` takes the place of `web.config_file`. Raises SettingsError with every problem
    found.
    """
    document, syntax = read_yaml(read_text(path), str(path))
    if syntax:
        raise SettingsError(syntax)
    checker = _Validator(document, str(path))
    return checker.configuration(path, web_config_file)


class _Validator:
    """Validates part by part, so that one bad part hides no other's problems."""

    def __init__(self, document: YamlDocument, file: str) -> None:
        self._document = document
        self._file = file
        self._notes: list[Note] = []
        self._of_web_file: tuple[ConfigProblem, ...] = ()
        self._of_environment: tuple[ConfigProblem, ...] = ()

    def configuration(self, path: Path, web_config_file: Path | None) -> Config:
        content = self._layered()
        web = self._part(schema.Web, content, "web")
        defaults = self._defaults(content)
        schedule = self._part(schema.Schedule, content, "schedule")
        measurement = self._part(schema.Measurement, content, "measurement")
        tokens = self._part(schema.Tokens, content, "tokens")
        state = self._part(schema.State, content, "state")
        history = self._part(schema.History, content, "history")
        reload = self._part(schema.Reload, content, "reload")
        log = self._part(schema.Log, content, "log")
        windows = self._maintenance(content.get("maintenance"))
        own, broken = self._own_probes(content.get("probes"), path.absolute().parent)
        entries = self._entries(content.get("tenants"))
        self._unknown_keys(content)
        tenants, problems, warnings = resolve_tenants(
            entries, own, broken, defaults, path.absolute().parent, windows
        )
        self._notes += problems
        proxies, bad_variables = proxy_environment(environ)
        self._of_environment = proxy_problems(tenants, bad_variables)
        warnings += proxy_warnings(entries, tenants, proxies)
        if web_config_file is None and web.config_file is not None:
            web_config_file = path.absolute().parent / web.config_file
        web_file = self._web_file(web_config_file)
        if web_file is not None:
            self._notes += unauthenticated_write_errors(web, web_file.access)
            warnings += exposure_warnings(web, web_file.access)
        if self._notes or self._of_environment or web_file is None:
            told = self._raise_problems(self._notes)
            raise SettingsError((*self._of_environment, *told, *self._of_web_file))
        return Config(
            tenants=tenants,
            web=web_options(web, web_config_file),
            access=web_file.access,
            schedule=ScheduleOptions(schedule.concurrency, schedule.grace, schedule.misfire_grace),
            measurement=MeasurementOptions(measurement.max_loop_lag),
            tokens=TokenOptions(tokens.canary_first, tokens.canary_limit),
            log=LogOptions(log.level, log.format),
            history=HistoryOptions(history.enabled, history.retention, history.max_size),
            reload=ReloadOptions(reload.on_change),
            state_directory=state_directory(state.directory, path.absolute(), environ),
            hash=hashlib.sha256(canonical_json(content)).hexdigest()[:16],
            source=path,
            warnings=(*self._raise_problems(warnings), *web_file.warnings),
        )

    def _layered(self) -> Mapping[str, Any]:
        """Return the file's content with the environment's over it, part by part."""
        content = self._document.content
        parts: dict[str, Any] = {
            name: content[name] for name in _EnvOverlay.model_fields if name in content
        }
        others = {name: value for name, value in content.items() if name not in parts}
        try:
            return {**others, **_EnvOverlay(**parts).model_dump(exclude_none=True)}
        except ValidationError as error:
            self._add_problem(error, ())
            wrong = {each["loc"][0] for each in error.errors()}
            good = {name: value for name, value in parts.items() if name not in wrong}
            return {**others, **good}

    def _part(self, model: type[_Part], content: Mapping[str, Any], key: str) -> _Part:
        """Return one part, or its defaults when it is wrong: that is noted, and nothing starts."""
        given = content.get(key, {})
        return self._valid(model, given, (key,)) or model()

    def _web_file(self, path: Path | None) -> WebConfig | None:
        """Return what web.yml says, None when it is wrong: that is noted."""
        if path is None:
            return WebConfig(AccessPolicy(), ())
        try:
            return read_web_config(path)
        except SettingsError as error:
            self._of_web_file = error.problems
            return None

    def _defaults(self, content: Mapping[str, Any]) -> schema.Defaults:
        """Return the defaults, without what is wrong with them by themselves."""
        defaults = self._part(schema.Defaults, content, "defaults")
        problems = check_defaults(defaults)
        self._notes += [(("defaults", *path), message) for path, message in problems]
        return defaults.model_copy(update={str(path[0]): None for path, _ in problems})

    def _own_probes(
        self, given: object, directory: Path
    ) -> tuple[dict[str, CustomProbe], frozenset[str]]:
        if given is None:
            return {}, frozenset()
        if not isinstance(given, dict):
            self._notes.append((("probes",), "must be a mapping from names to probes"))
            return {}, frozenset()
        own: dict[str, CustomProbe] = {}
        for name, entry in given.items():
            at = ("probes", name)
            self._valid(Slug, name, at)
            probe = self._valid(CustomProbe, entry, at)
            if probe is not None:
                own[name], problems = with_texts(probe, directory, environ)
                problems += check_custom(probe)
                self._notes += [((*at, *path), message) for path, message in problems]
        return own, frozenset(given) - own.keys()

    def _maintenance(self, given: object) -> list[MaintenanceWindow]:
        if given is None:
            return []
        entries = self._valid(list[MaintenanceEntry], given, ("maintenance",))
        return [entry.window() for entry in entries or ()]

    def _entries(self, given: object) -> dict[int, schema.TenantEntry]:
        if not isinstance(given, list) or not given:
            message = (
                "name at least one: '- {name: ..., organisation: ..., tenant: ..., token: ...}'"
            )
            self._notes.append((("tenants",), message))
            return {}
        entries: dict[int, schema.TenantEntry] = {}
        for number, entry in enumerate(given):
            valid = self._valid(schema.TenantEntry, entry, ("tenants", number))
            entries[number] = valid or _placeholder_tenant(number, entry)
        return entries

    def _unknown_keys(self, content: Mapping[str, Any]) -> None:
        known = schema.ConfigFile.model_fields.keys()
        self._notes += [((key,), unknown_key(key, known)) for key in content if key not in known]

    def _valid(self, model: Any, given: object, at: KeyPath) -> Any:  # noqa: ANN401 -- any model
        try:
            return TypeAdapter(model).validate_python(given)
        except ValidationError as error:
            self._add_problem(error, at)
            return None

    def _add_problem(self, error: ValidationError, at: KeyPath) -> None:
        for each in error.errors(include_url=False, include_input=False):
            path = (*at, *each["loc"])
            message = format_validation_error(each["type"], each["msg"], path)
            self._notes.append((tuple(part for part in path if part != "[key]"), message))

    def _raise_problems(self, notes: list[Note]) -> tuple[ConfigProblem, ...]:
        problems = (
            ConfigProblem(variable, None, format_key_path(path), message)
            if (variable := _environment_variable(path))
            else ConfigProblem(
                self._file, self._document.line_of(path), format_key_path(path), message
            )
            for path, message in notes
        )
        return tuple(sorted(set(problems), key=_place_and_text))


def _place_and_text(problem: ConfigProblem) -> tuple[int, str, str]:
    return problem.line or 0, problem.key, problem.message


def _environment_variable(path: KeyPath) -> str | None:
    """Return the environment variable that has the word on `path` in place of the file, if any."""
    if path[0] not in _EnvOverlay.model_fields:
        return None
    spelled = {name.upper(): name for name in environ}
    whole = "PROBER_" + "__".join(map(str, path)).upper()
    parts_of_it = [name for key, name in spelled.items() if key.startswith(f"{whole}__")]
    above = [whole.rsplit("__", cut)[0] for cut in range(len(path))]
    return next((spelled[name] for name in above if name in spelled), next(iter(parts_of_it), None))


def _placeholder_tenant(number: int, entry: object) -> schema.TenantEntry:
    """Return a tenant in place of a wrong one, so that its probes are checked all the same."""
    given = entry.get("probes") if isinstance(entry, dict) else None
    uses: list[ProbeRef] = []
    for position, each in enumerate(given if isinstance(given, list) else []):
        try:
            uses.append(TypeAdapter(NamedProbe).validate_python(each))
        except ValidationError:
            uses.append(ProbeRef(use="datasets", name=f"wrong-{position}"))
    return schema.TenantEntry(
        name=f"wrong-{number}",
        domain="wrong",
        token=Token(env="WRONG"),
        probes=uses or None,
    )
