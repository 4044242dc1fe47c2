"""`prober discover`: lists what a token can see, and adds the probes that are possible."""

import asyncio
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from prober.cli.configuration_file import CONFIG_FILES
from prober.cli.options import (
    choose_tenant,
    config_option,
    console,
    print_json,
    unknown,
)
from prober.cli.session import Session, builtin_probe, document_of, session
from prober.config import discovery
from prober.config.discovery import Candidate, Dataset, Inventory
from prober.config.editor import EditError, replace_file, with_probes
from prober.config.includes import read_config, real_path
from prober.config.loader import load
from prober.config.resolve import Config, ProbeCatalog, resolve_probe
from prober.config.schema import Defaults, ProbeRef, TenantEntry, Token
from prober.config.yaml import read_text
from prober.errors import ProberError, SettingsError
from prober.file_signature import file_signature
from prober.models import Probe, ProbeResult, Tenant
from prober.permissions import Access, Grants, Need, access, parse_grants

MAX_DATASETS = 20
_LABELLERS = "/api/_private/datasets/{}/labellers"


class DiscoveryError(ProberError):
    """A tenant does not respond in a way that allows to discover it; the text says how."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A candidate, and the result of its first run; None if it was not run."""

    candidate: Candidate
    result: ProbeResult | None = None

    @property
    def succeeded(self) -> bool:
        """Whether it was run, and succeeded."""
        return self.result is not None and self.result.verdict.succeeded


@click.command()
@click.argument("tenant")
@config_option
@click.option("--project", help="Look at this project only.")
@click.option(
    "--max-datasets",
    type=click.IntRange(0, 1000),
    default=MAX_DATASETS,
    show_default=True,
    help="Look for streams and models of at most this many datasets: two requests each.",
)
@click.option(
    "--write",
    is_flag=True,
    help="Run each possible probe once, and add those that succeed to the configuration.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def discover(
    *,
    tenant: str,
    config_file: Path,
    project: str | None,
    max_datasets: int,
    write: bool,
    as_json: bool,
) -> None:
    """List what the token of TENANT can see, and which probes are possible with it.

    Reads the lists of projects, datasets with their streams and models, sources, buckets and
    integrations, one request a second. Nothing is changed there, and no message is read.

    With --write every possible probe is run once; those that succeed are added to the tenant in the
    configuration; its comments and order stay. No probe that is billed or writes is added.

    \b
    Examples:
      prober discover acme-prod
      prober discover acme-prod --project ops --write

    Exit status: 0; 1 if the tenant cannot be reached, or nothing can be written; 2 for an invalid
    command line or configuration.
    """
    configuration = load(config_file)
    chosen = choose_tenant(configuration.tenants, tenant)
    inventory, tried = asyncio.run(
        _discover(chosen, configuration.state_directory, project, max_datasets, run=write)
    )
    if as_json:
        print_json(_document(chosen, inventory, tried))
    else:
        _print(chosen, inventory, tried)
        if not write:
            path = shlex.quote(str(config_file))
            named = "" if config_file in CONFIG_FILES else f" --config {path}"
            click.echo(f"\nNext: prober discover {tenant}{named} --write adds those that succeed")
    if write:
        _write(configuration, chosen, tried)


async def _discover(
    tenant: Tenant, state_directory: Path, project: str | None, max_datasets: int, *, run: bool
) -> tuple[Inventory, list[Tried]]:
    async with session(tenant, os.environ, state_directory) as opened:
        inventory = await take_inventory(opened, max_datasets, project)
        found = discovery.candidates(inventory)
        if not run:
            return inventory, [Tried(each) for each in found]
        return inventory, await try_all(opened, found)


async def take_inventory(
    opened: Session, max_datasets: int = MAX_DATASETS, project: str | None = None
) -> Inventory:
    """Return what a token can see; raises DiscoveryError if it cannot even read its own user.

    A list that cannot be read is None.
    """
    _progress("user")
    result = await opened.send(builtin_probe("current-user"))
    user = document_of(result)
    if not result.verdict.succeeded:
        verdict = result.verdict
        raise DiscoveryError(f"{result.tenant}: {verdict.outcome}: {verdict.evidence}")
    lists: dict[str, Any] = {}
    for name, path, parse in (
        ("projects", "/api/v1/projects", discovery.projects_in),
        ("datasets", "/api/v1/datasets", discovery.datasets_in),
        ("sources", "/api/v1/sources", discovery.sources_in),
        ("buckets", "/api/_private/buckets", discovery.buckets_in),
        ("integrations", "/api/_private/integrations", discovery.integrations_in),
    ):
        _progress(name)
        document, _ = await opened.read(path)
        lists[name] = None if document is None else parse(document)
    inventory = Inventory(**lists, grants=parse_grants(user))
    if project is not None:
        if inventory.projects is not None and project not in inventory.projects:
            message = unknown("project", project, list(inventory.projects))
            raise click.BadParameter(message, param_hint="--project")
        inventory = inventory.in_project(project)
    datasets = inventory.datasets or ()
    seen = [await _look_into(opened, each) for each in datasets[:max_datasets]]
    if len(datasets) > max_datasets:
        note = f"only {max_datasets} of {len(datasets)} datasets are looked into: --max-datasets"
        console(stderr=True).print(note)
    known = inventory.datasets and (*seen, *datasets[max_datasets:])
    return replace(inventory, datasets=known)


async def _look_into(opened: Session, dataset: Dataset) -> Dataset:
    _progress(f"dataset {dataset.path}")
    streams, _ = await opened.read(f"/api/v1/datasets/{dataset.path}/streams")
    models, _ = await opened.read(_LABELLERS.format(dataset.path), {})
    return replace(
        dataset,
        streams=None if streams is None else discovery.streams_in(streams),
        models=None if models is None else discovery.models_in(models),
    )


async def try_all(opened: Session, candidates: Iterable[Candidate]) -> list[Tried]:
    """Run each candidate once, and return the results."""
    tried = []
    for candidate in candidates:
        _progress(f"probe {candidate.name}")
        probe = probe_of(candidate)
        tried.append(Tried(candidate, None if probe is None else await opened.send(probe)))
    return tried


def probe_of(candidate: Candidate) -> Probe | None:
    """Return the probe that a candidate would be with the built-in defaults."""
    entry = TenantEntry(name="any", domain="any", token=Token(env="ANY"))
    use = ProbeRef.model_validate(dict(candidate.keys))
    probe, _ = resolve_probe(use, entry, ProbeCatalog({}, frozenset(), Defaults()))
    return probe


def _write(configuration: Config, tenant: Tenant, tried: Sequence[Tried]) -> None:
    """Add the probes that succeeded to the file in which the tenant is written."""
    source = configuration.source
    document = read_config(source)
    written = document.content["tenants"]
    number = next(n for n, each in enumerate(written) if each["name"] == tenant.name)
    file, _, at = document.position(("tenants", number))
    signature, text = file_signature(file), read_text(file)
    inherited = _inherited(written[number], document.content, tried)
    new = _new_probes(tenant, tried, {str(each) for each in inherited})
    if not new:
        click.echo(f"{file}: nothing to add, {tenant.name} has all probes that succeed")
        return
    edited = with_probes(text, int(at[1]), new, inherited)
    try:
        load(source, texts={real_path(file): edited})
    except SettingsError as error:
        raise EditError(f"{file}: nothing was written, the result is invalid: {error}") from error
    replace_file(file, edited, signature)
    click.echo(f"{file}: added {len(new)} probes to {tenant.name}")


def _inherited(
    entry: Mapping[str, Any], content: Mapping[str, Any], tried: Sequence[Tried]
) -> list[object]:
    """Return what a tenant without probes of its own runs, as it would be written."""
    if entry.get("probes") is not None:
        return []
    defaults = (content.get("defaults") or {}).get("probes")
    if defaults is not None:
        return list(defaults)
    return [
        each.candidate.use for each in tried if each.succeeded and len(each.candidate.keys) == 1
    ]


def _new_probes(
    tenant: Tenant, tried: Sequence[Tried], inherited: set[str]
) -> list[dict[str, str]]:
    """Return the successful candidates that send a request that no probe of the tenant sends."""
    present = {(probe.method, probe.sent_path, probe.body) for probe in tenant.probes}
    names = discovery.UniqueNames({probe.name for probe in tenant.probes} | inherited)
    new = []
    for each in tried:
        probe = probe_of(each.candidate)
        if probe is None or not each.succeeded or each.candidate.name in inherited:
            continue
        if (probe.method, probe.sent_path, probe.body) in present:
            continue
        new.append(discovery.named(each.candidate, names.add(each.candidate.name)))
    return new


def _progress(what: str) -> None:
    err = console(stderr=True)
    if err.is_terminal:
        err.print(f"requesting: {what}", style="dim")


def _print(tenant: Tenant, inventory: Inventory, tried: Sequence[Tried]) -> None:
    out = console()
    out.print(f"{tenant.name} {tenant.base_url}", style="bold")
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name, shown in _inventory_rows(inventory):
        table.add_row(f"  {name}", shown)
    out.print(table)
    out.print()
    out.print("Probes without consent:", style="bold")
    probes = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("  probe", "of", "needs", "result" if _was_run(tried) else "expected"):
        probes.add_column(heading, overflow="fold")
    for each in tried:
        candidate = each.candidate
        subject = ", ".join(
            value for key, value in candidate.keys if key not in {"use", "name", "project"}
        )
        needs = needs_text(candidate.needs, inventory.grants, candidate.project)
        probes.add_row(f"  {candidate.name}", subject, needs, _expected(each, inventory.grants))
    out.print(probes)


def _inventory_rows(inventory: Inventory) -> list[tuple[str, str]]:
    unreadable = "(the token may not list them)"
    rows: list[tuple[str, str]] = []
    for name, items in (
        ("projects", inventory.projects),
        ("datasets", _texts(inventory.datasets)),
        ("sources", _texts(inventory.sources)),
        ("buckets", _texts(inventory.buckets)),
        ("integrations", _texts(inventory.integrations)),
    ):
        shown = unreadable if items is None else "\n".join(items) or "none"
        rows.append((name, shown))
    return rows


def _texts(items: Sequence[discovery.Item] | None) -> list[str] | None:
    return None if items is None else [each.text for each in items]


def needs_text(needs: Sequence[Need] | None, grants: Grants | None, project: str | None) -> str:
    """Return the permissions that a probe needs, with a note on those that are not granted."""
    if needs is None:
        return "not known"
    if not needs:
        return "any valid token"
    parts = []
    for need in needs:
        has = Access.UNKNOWN if grants is None else access(grants, need.permission, project)
        note = "" if has is Access.GRANTED else f" ({has})"
        parts.append(f"{need.permission.title}{note}")
    return ", ".join(parts)


def _expected(tried: Tried, grants: Grants | None) -> str:
    """Return the outcome of a probe's run, or what to expect of it."""
    if tried.result is not None:
        verdict = tried.result.verdict
        return "success" if verdict.succeeded else f"{verdict.outcome}: {verdict.reason}"
    needs, project = tried.candidate.needs, tried.candidate.project
    if needs is None or grants is None:
        return "try it"
    found = {access(grants, each.permission, project) for each in needs}
    if Access.MISSING in found:
        return "refused, probably"
    return "try it" if Access.UNKNOWN in found else "possible"


def _was_run(tried: Sequence[Tried]) -> bool:
    return any(each.result is not None for each in tried)


def _document(tenant: Tenant, inventory: Inventory, tried: Sequence[Tried]) -> dict[str, object]:
    return {
        "tenant": tenant.name,
        "base_url": tenant.base_url,
        **discovery.inventory_document(inventory),
        "probes": [
            {
                **dict(each.candidate.keys),
                "needs": needs_document(
                    each.candidate.needs, inventory.grants, each.candidate.project
                ),
                "outcome": None if each.result is None else each.result.verdict.outcome.value,
                "evidence": None if each.result is None else each.result.verdict.evidence,
            }
            for each in tried
        ],
    }


def needs_document(
    needs: Sequence[Need] | None, grants: Grants | None, project: str | None
) -> list[dict[str, object]] | None:
    """Return what a probe needs as a JSON value, None if it is not known."""
    if needs is None:
        return None
    return [
        {
            "permission": need.permission.name,
            "title": need.permission.title,
            "assumed": need.is_assumed,
            "access": None if grants is None else access(grants, need.permission, project).value,
        }
        for need in needs
    ]
