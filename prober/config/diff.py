"""What a reload changes: two configurations compared, as data. Pure."""

from dataclasses import dataclass, fields, replace

from prober.config.resolve import Config, WebOptions


@dataclass(frozen=True, slots=True)
class ConfigDiff:
    """Tenants by name, as they came, went, changed or stayed.

    `needs_restart` names the keys of the file that a reload cannot change: they stay as they were.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: int
    needs_restart: tuple[str, ...]


def config_diff(before: Config, after: Config) -> ConfigDiff:
    """Return what is different."""
    old = {tenant.name: tenant for tenant in before.tenants}
    new = {tenant.name: tenant for tenant in after.tenants}
    both = [name for name in new if name in old]
    changed = tuple(name for name in both if new[name] != old[name])
    return ConfigDiff(
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        changed=changed,
        unchanged=len(both) - len(changed),
        needs_restart=_fixed_keys(before, after),
    )


def with_restart_only_settings(before: Config, after: Config) -> Config:
    """Return what is in force after a reload: the new, but for what needs a restart."""
    return replace(
        after,
        web=replace(before.web, max_series=after.web.max_series),
        log=before.log,
        history=replace(after.history, enabled=before.history.enabled),
        state_directory=before.state_directory,
    )


def _fixed_keys(before: Config, after: Config) -> tuple[str, ...]:
    web = [
        f"web.{_WEB_KEYS.get(each.name, each.name)}"
        for each in fields(WebOptions)
        if each.name != "max_series"
        and getattr(before.web, each.name) != getattr(after.web, each.name)
    ]
    others = {
        "log": before.log != after.log,
        "history.enabled": before.history.enabled != after.history.enabled,
        "state.directory": before.state_directory != after.state_directory,
    }
    return tuple(sorted({*web, *(key for key, differs in others.items() if differs)}))


_WEB_KEYS = {"host": "listen", "port": "listen"}
