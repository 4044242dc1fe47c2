"""Reads the configuration files and PROBER_* variables, and reports all problems at once."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from os import environ
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from prober.config.config_checks import exposure_warnings, unauthenticated_write_errors
from prober.config.environment import unknown_variables, variable_path, with_variables
from prober.config.error_messages import format_validation_error, unknown_key
from prober.config.includes import ConfigDocument, empty_document, read_config
from prober.config.probe_sets import set_problems
from prober.config.proxies import proxy_problems, proxy_warnings
from prober.config.renamed_keys import renamed_section
from prober.config.resolve import (
    Config,
    EntryOrigin,
    ProbeCatalog,
    WebConfig,
    canonical_json,
    check_custom,
    check_defaults,
    outside_transport,
    resolve_tenants,
)
from prober.config.schema import (
    ConfigFile,
    CustomProbe,
    Defaults,
    MaintenanceEntry,
    NamedProbe,
    ProbeRef,
    TenantEntry,
    Token,
)
from prober.config.sections import (
    HistorySettings,
    LogSettings,
    MeasurementSettings,
    MetricsSettings,
    References,
    ReloadSettings,
    SchedulerSettings,
    StateSettings,
    StatusPage,
    TokenSettings,
    WebSettings,
)
from prober.config.state_path import state_directory
from prober.config.strict_model import EXTENSION, Slug
from prober.config.texts import with_texts
from prober.config.yaml import KeyPath, Note, format_key_path
from prober.errors import ConfigProblem, SettingsError
from prober.formatting import Duration
from prober.maintenance import MaintenanceWindow
from prober.models import Tenant
from prober.proxy_environment import proxy_environment
from prober.web.auth import AccessPolicy

_Section = TypeVar("_Section", bound=BaseModel)


def load(
    path: Path,
    web_config_file: Path | None = None,
    texts: Mapping[Path, str] = MappingProxyType({}),
) -> Config:
    """Return the configuration in `path` with PROBER_* variables over it.

    `web_config_file` replaces `web.config_file`. `texts` are used instead of the content of files,
    by their resolved paths. Raises SettingsError with all problems.
    """
    return _Validator(read_config(path, texts), path).config(web_config_file)


def locate(path: Path, notes: Sequence[Note]) -> tuple[ConfigProblem, ...]:
    """Return notes with their files and lines; the configuration is read again for that."""
    if not notes:
        return ()
    try:
        document = read_config(path)
    except SettingsError:  # a file was removed meanwhile: without lines
        document = empty_document(path)
    return _Validator(document, path).located(notes)


class _Validator:
    """Validates section by section, so that one invalid section hides no other's problems."""

    def __init__(self, document: ConfigDocument, path: Path) -> None:
        self._document = document
        self._path = path
        self._directory = path.absolute().parent
        self._notes: list[Note] = []
        self._web_file_problems: tuple[ConfigProblem, ...] = ()
        self._environment_problems: tuple[ConfigProblem, ...] = ()

    def config(self, web_config_file: Path | None) -> Config:
        """Return the configuration; raises SettingsError."""
        content = self._content_with_variables()
        web = self._section(WebSettings, content, "web")
        metrics = self._section(MetricsSettings, content, "metrics")
        scheduler = self._section(SchedulerSettings, content, "scheduler")
        shutdown_timeout_seconds = self._shutdown_timeout(content)
        measurement = self._section(MeasurementSettings, content, "measurement")
        tokens = self._section(TokenSettings, content, "tokens")
        state = self._section(StateSettings, content, "state")
        history = self._section(HistorySettings, content, "history")
        reload = self._section(ReloadSettings, content, "reload")
        log = self._section(LogSettings, content, "log")
        outside = self._outside(content)
        self._check_keys(content)
        tenants, warnings = self._tenants(content)
        if web_config_file is None and web.config_file is not None:
            web_config_file = self._directory / web.config_file
        web_file = self._web_file(web_config_file)
        if web_file is not None:
            self._notes += unauthenticated_write_errors(web, web_file.access)
            warnings += exposure_warnings(web, web_file.access)
        in_files = self._document.problems
        if self._notes or self._environment_problems or web_file is None or in_files:
            problems = tuple(sorted((*self.located(self._notes), *in_files), key=self._sort_key))
            raise SettingsError((*self._environment_problems, *problems, *self._web_file_problems))
        return Config(
            tenants=tenants,
            web=web,
            web_config_file=web_config_file,
            access=web_file.access,
            metrics=metrics,
            scheduler=scheduler,
            shutdown_timeout_seconds=shutdown_timeout_seconds,
            measurement=measurement,
            tokens=tokens,
            log=log,
            history=history,
            reload=reload,
            state_directory=state_directory(state.directory, self._path.absolute(), environ),
            hash=hashlib.sha256(canonical_json(content)).hexdigest()[:16],
            source=self._path,
            sources=self._document.sources,
            **outside,
            warnings=(
                *unknown_variables(environ),
                *self.located(warnings),
                *web_file.warnings,
            ),
        )

    def _outside(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the configuration says of the world outside, as keys of Config."""
        references = self._valid(References, content.get("references") or (), ("references",))
        return {
            "references": references or (),
            "status_page": self._valid(StatusPage, content.get("status_page"), ("status_page",)),
            "outside_transport": outside_transport(
                self._section(Defaults, content, "defaults"), self._directory
            ),
        }

    def _content_with_variables(self) -> Mapping[str, Any]:
        """Return the file's content with the variables' values over it."""
        content, problems = with_variables(self._document.content, environ)
        self._notes += problems
        return content

    def _section(self, model: type[_Section], content: Mapping[str, Any], key: str) -> _Section:
        """Return a section, or its defaults if it is invalid: its problems prevent the start."""
        section: _Section | None = self._valid(model, content.get(key, {}), (key,))
        return section or model()

    def _shutdown_timeout(self, content: Mapping[str, Any]) -> float:
        default = ConfigFile.model_fields["shutdown_timeout"].default
        given = content.get("shutdown_timeout", default)
        seconds: float | None = self._valid(Duration, given, ("shutdown_timeout",))
        return seconds or 0.0

    def _tenants(self, content: Mapping[str, Any]) -> tuple[tuple[Tenant, ...], list[Note]]:
        """Return the tenants and warnings."""
        defaults = self._defaults(content)
        windows = self._maintenance(content.get("maintenance"))
        custom, broken = self._custom_probes(content.get("probes"))
        entries = self._entries(content.get("tenants"))
        catalog = ProbeCatalog(custom, broken, defaults, self._probe_sets(content, custom))
        origins = {
            number: EntryOrigin(self._document.directory(at), self._written_key(at))
            for number in entries
            for at in [("tenants", number)]
        }
        tenants, problems, warnings = resolve_tenants(
            entries, catalog, self._directory, windows, origins
        )
        self._notes += problems
        proxies, invalid_variables = proxy_environment(environ)
        self._environment_problems = proxy_problems(tenants, invalid_variables)
        return tenants, warnings + proxy_warnings(entries, tenants, proxies)

    def _web_file(self, path: Path | None) -> WebConfig | None:
        """Return the contents of web.yml, None if it is invalid."""
        if path is None:
            return WebConfig(AccessPolicy(), ())
        # Late, since TLS takes long to import, and many configurations have no web.yml.
        from prober.config.web_config import read_web_config  # noqa: PLC0415

        try:
            return read_web_config(path)
        except SettingsError as error:
            self._web_file_problems = error.problems
            return None

    def _defaults(self, content: Mapping[str, Any]) -> Defaults:
        """Return the defaults, without values that are invalid together."""
        defaults = self._section(Defaults, content, "defaults")
        problems = check_defaults(defaults)
        self._notes += [(("defaults", *path), message) for path, message in problems]
        invalid = {path[0] for path, _ in problems}
        # Not model_copy: an option that is unset again must count as unset, see OptionLayers.
        built_in = Defaults()
        values = {
            key: getattr(built_in if key in invalid else defaults, key)
            for key in Defaults.model_fields
        }
        kept = {key for key in defaults.model_fields_set if key not in invalid}
        return Defaults.model_construct(kept, **values)

    def _custom_probes(self, given: object) -> tuple[dict[str, CustomProbe], frozenset[str]]:
        """Return custom probes by name, and the names of those that are invalid."""
        if given is None:
            return {}, frozenset()
        if not isinstance(given, dict):
            self._notes.append((("probes",), "must be a mapping from names to probes"))
            return {}, frozenset()
        custom: dict[str, CustomProbe] = {}
        for name, entry in given.items():
            at = ("probes", name)
            self._valid(Slug, name, at)
            probe = self._valid(CustomProbe, entry, at)
            if probe is not None:
                directory = self._document.directory(at)
                custom[name], problems = with_texts(probe, directory, environ)
                problems += check_custom(probe)
                self._notes += [((*at, *path), message) for path, message in problems]
        return custom, frozenset(given) - custom.keys()

    def _probe_sets(
        self, content: Mapping[str, Any], custom: Mapping[str, CustomProbe]
    ) -> Mapping[str, Sequence[ProbeRef]]:
        """Return the probe sets by name; an invalid one is empty, so that its use is no problem."""
        given = content.get("probe_sets")
        if given is None:
            return {}
        if not isinstance(given, dict):
            self._notes.append((("probe_sets",), "must be a mapping from names to lists of probes"))
            return {}
        sets: dict[str, list[ProbeRef]] = {}
        for name, entry in given.items():
            at = ("probe_sets", name)
            self._valid(Slug, name, at)
            probes = self._valid(list[NamedProbe], entry, at)
            if probes is not None:
                self._notes += set_problems(name, probes, given.keys(), custom)
            sets[name] = probes or []
        return sets

    def _maintenance(self, given: object) -> list[MaintenanceWindow]:
        if given is None:
            return []
        entries = self._valid(list[MaintenanceEntry], given, ("maintenance",))
        return [entry.window() for entry in entries or ()]

    def _entries(self, given: object) -> dict[int, TenantEntry]:
        if not isinstance(given, list) or not given:
            message = (
                "name at least one: '- {name: ..., organisation: ..., tenant: ..., token: ...}'"
            )
            self._notes.append((("tenants",), message))
            return {}
        entries: dict[int, TenantEntry] = {}
        for number, entry in enumerate(given):
            valid = self._valid(TenantEntry, entry, ("tenants", number))
            entries[number] = valid or _placeholder_tenant(number, entry)
        return entries

    def _check_keys(self, content: Mapping[str, Any]) -> None:
        known = ConfigFile.model_fields.keys()
        for key in content:
            if key not in known and not key.startswith(EXTENSION):
                renamed = renamed_section(key, content[key])
                self._notes += renamed or [((key,), unknown_key(key, known))]

    def _valid(self, model: Any, given: object, at: KeyPath) -> Any:  # noqa: ANN401 -- any model
        """Return a valid value, None if it is invalid: its problems are added."""
        try:
            return TypeAdapter(model).validate_python(given)
        except ValidationError as error:
            self._add_problem(error, at)
            return None

    def _add_problem(self, error: ValidationError, at: KeyPath) -> None:
        for each in error.errors(include_url=False, include_input=False):
            path = (*at, *each["loc"])
            message = format_validation_error(each["type"], each["msg"], path, ConfigFile)
            # pydantic adds "[key]" to the path when a mapping's key itself is invalid
            self._notes.append((tuple(part for part in path if part != "[key]"), message))

    def located(self, notes: Iterable[Note]) -> tuple[ConfigProblem, ...]:
        """Return notes with the variable or the line that they are about, in the files' order."""
        problems = (
            ConfigProblem(variable, None, format_key_path(path), message)
            if (variable := _environment_variable(path))
            else self._in_file(path, message)
            for path, message in notes
        )
        return tuple(sorted(set(problems), key=self._sort_key))

    def _in_file(self, path: KeyPath, message: str) -> ConfigProblem:
        file, line, own_path = self._document.position(path)
        return ConfigProblem(str(file), line, format_key_path(own_path), message)

    def _written_key(self, path: KeyPath) -> str:
        """Return a key path for messages, with its file if that is not the main one."""
        file, _, own_path = self._document.position(path)
        key = format_key_path(own_path)
        return key if file == self._path else f"{key} in {file}"

    def _sort_key(self, problem: ConfigProblem) -> tuple[int, int, str, str]:
        order = self._document.order(problem.file)
        return order, problem.line or 0, problem.key, problem.message


def _environment_variable(path: KeyPath) -> str | None:
    """Return the name of the environment variable that sets `path`, None if the file does.

    The variable may set `path` itself, a mapping above it (as JSON), or a key below it.
    """
    written = tuple(map(str, path))
    for name in sorted(environ):
        by = variable_path(name)
        if by is not None and (written[: len(by)] == by or by[: len(written)] == written):
            return name
    return None


def _placeholder_tenant(number: int, entry: object) -> TenantEntry:
    """Return a valid tenant with the probes of an invalid one, so that these are checked too."""
    given = entry.get("probes") if isinstance(entry, dict) else None
    probes: list[ProbeRef] = []
    for position, each in enumerate(given if isinstance(given, list) else []):
        try:
            probes.append(TypeAdapter(NamedProbe).validate_python(each))
        except ValidationError:
            probes.append(ProbeRef(use="datasets", name=f"wrong-{position}"))
    return TenantEntry(
        name=f"wrong-{number}",
        domain="wrong",
        token=Token(env="WRONG"),
        probes=probes or None,
    )
