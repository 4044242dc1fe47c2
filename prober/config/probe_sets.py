"""Probe sets: lists of probes by name, that tenants use instead of single probes. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from prober.config.builtin_probes import CATALOGUE, PARAMETERS
from prober.config.schema import ProbeRef
from prober.config.strict_model import MAX_SLUG_CHARACTERS, as_slug
from prober.config.yaml import KeyPath, Note

_PARAMETERS = frozenset({*PARAMETERS, "json_body"})


@dataclass(frozen=True, slots=True)
class LocatedProbe:
    """A probe of a tenant, and where it is written: the key path of its mapping."""

    at: KeyPath
    use: ProbeRef


def expand(
    written: Sequence[ProbeRef], at: KeyPath, sets: Mapping[str, Sequence[ProbeRef]]
) -> list[LocatedProbe]:
    """Return the probes of a list, with those of a set instead of its name.

    `at` is the key path of the list. What the use of a set says (an interval, a project, a consent)
    applies to those of its probes that do not say it themselves. A parameter applies to those that
    take it. Problems of a probe in a set are reported where the set is used.
    """
    found: list[LocatedProbe] = []
    for number, use in enumerate(written):
        here = (*at, number)
        if use.use not in sets:
            found.append(LocatedProbe(here, use))
            continue
        found += [LocatedProbe(here, _with_defaults(probe, use)) for probe in sets[use.use]]
    return found


def set_problems(
    name: str, probes: Sequence[ProbeRef], sets: Collection[str], custom: Collection[str]
) -> list[Note]:
    """Return what is wrong with a set itself, even if no tenant uses it."""
    at: KeyPath = ("probe_sets", name)
    if name in CATALOGUE or name in custom:
        return [(at, f"'{name}' is also the name of a probe: rename the set")]
    if not probes:
        return [(at, "is empty: name a probe, or remove the set")]
    return [
        ((*at, number), f"'{probe.use}' is a set: a set lists probes, and no sets")
        for number, probe in enumerate(probes)
        if probe.use in sets
    ]


def _with_defaults(probe: ProbeRef, use: ProbeRef) -> ProbeRef:
    """Return a probe of a set, with what the use of the set says and the probe does not."""
    builtin = CATALOGUE.get(probe.use)
    takes = set() if builtin is None else {_field(name) for name in builtin.parameters}
    said = {
        name: getattr(use, name)
        for name in use.model_fields_set - probe.model_fields_set - {"use", "name"}
        if name not in _PARAMETERS or name in takes
    }
    prefix = use.name or (None if use.project is None else as_slug(use.project) or "project")
    if prefix is not None:
        said["name"] = f"{prefix}-{probe.name or probe.use}"[:MAX_SLUG_CHARACTERS]
    if not said:
        return probe
    # Not model_copy: an option that the set's use gives must count as set, see OptionLayers.
    values = {name: getattr(probe, name) for name in ProbeRef.model_fields} | said
    return ProbeRef.model_construct(probe.model_fields_set | said.keys(), **values)


def _field(parameter: str) -> str:
    return "json_body" if parameter == "json" else parameter
