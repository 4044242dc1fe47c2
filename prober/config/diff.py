"""What a reload changes: two configurations compared. Pure."""

from dataclasses import dataclass, replace

from prober.config.resolve import Config
from prober.config.sections import WebSettings


@dataclass(frozen=True, slots=True)
class ConfigDiff:
    """The names of tenants that were added, removed or changed.

    `needs_restart` are the changed keys that a reload does not apply.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: int
    needs_restart: tuple[str, ...]


def config_diff(before: Config, after: Config) -> ConfigDiff:
    """Return the difference; the order of tenants does not matter."""
    old = {tenant.name: tenant for tenant in before.tenants}
    new = {tenant.name: tenant for tenant in after.tenants}
    both = [name for name in new if name in old]
    changed = tuple(name for name in both if new[name] != old[name])
    return ConfigDiff(
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        changed=changed,
        unchanged=len(both) - len(changed),
        needs_restart=_changed_restart_only_keys(before, after),
    )


def with_restart_only_settings(before: Config, after: Config) -> Config:
    """Return `after` with the values of `before` for all keys that only a restart applies."""
    return replace(
        after,
        web=before.web,
        web_config_file=before.web_config_file,
        metrics=after.metrics.model_copy(
            update={"histograms": before.metrics.histograms, "otlp": before.metrics.otlp}
        ),
        log=before.log,
        history=after.history.model_copy(update={"enabled": before.history.enabled}),
        state_directory=before.state_directory,
    )


def _changed_restart_only_keys(before: Config, after: Config) -> tuple[str, ...]:
    changed = {
        f"web.{key}": getattr(before.web, key) != getattr(after.web, key)
        for key in WebSettings.model_fields
    } | {
        # The resolved path, as the command line may set it instead of the file.
        "web.config_file": before.web_config_file != after.web_config_file,
        "metrics.otlp": before.metrics.otlp != after.metrics.otlp,
        "metrics.histograms": before.metrics.histograms != after.metrics.histograms,
        "log": before.log != after.log,
        "history.enabled": before.history.enabled != after.history.enabled,
        "state.directory": before.state_directory != after.state_directory,
    }
    return tuple(sorted(key for key, is_changed in changed.items() if is_changed))
