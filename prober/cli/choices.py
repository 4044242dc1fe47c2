"""Tenant and probe by name, a shard by number; what is not there is answered with what is."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

import click

from prober.model import Probe, Shard, Tenant

_LISTED = 10
_SHARD = re.compile(r"([0-9]{1,4})/([0-9]{1,4})", re.ASCII)


class _ShardType(click.ParamType[Shard]):
    """INDEX/COUNT, from 0."""

    name = "INDEX/COUNT"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Shard:
        """Return the shard, or say what would be one."""
        found = _SHARD.fullmatch(str(value))
        if found is None:
            self.fail(
                f"'{value}': write INDEX/COUNT, such as 0/3 for the first of three; without an"
                " index, a pod has no label apps.kubernetes.io/pod-index (Kubernetes before 1.28)",
                param,
                ctx,
            )
        try:
            return Shard(int(found[1]), int(found[2]))
        except ValueError as error:
            self.fail(f"'{value}': {error}", param, ctx)


SHARD = _ShardType()

config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    required=True,
    help="The YAML file that says what to watch; see config/prober.yaml.",
)

web_config_option = click.option(
    "--web-config-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="TLS and users of the web server, as Prometheus has them; in place of web.config_file.",
)


def choose_tenant(tenants: Iterable[Tenant], name: str) -> Tenant:
    """Return the tenant of that name; raises click.BadParameter with suggestions."""
    by_name = {tenant.name: tenant for tenant in tenants}
    if name not in by_name:
        raise click.BadParameter(_unknown("tenant", name, list(by_name)), param_hint="TENANT")
    return by_name[name]


def choose_probes(tenant: Tenant, name: str | None) -> Sequence[Probe]:
    """Return the probe of that name, or all for None; raises click.BadParameter likewise."""
    if name is None:
        return tenant.probes
    by_name = {probe.name: probe for probe in tenant.probes}
    if name not in by_name:
        message = _unknown(f"probe of '{tenant.name}'", name, list(by_name))
        raise click.BadParameter(message, param_hint="PROBE")
    return [by_name[name]]


def _unknown(what: str, name: str, known: list[str]) -> str:
    near = get_close_matches(name, known)
    if near:
        return f"there is no {what} named '{name}'; did you mean {_listed(near)}?"
    if not known:
        return f"there is no {what} named '{name}'; there is none at all"
    return f"there is no {what} named '{name}'; there are {_listed(known)}"


def _listed(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_LISTED])
    return shown if len(names) <= _LISTED else f"{shown} and {len(names) - _LISTED} more"
