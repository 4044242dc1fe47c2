"""What a token can see in a tenant, and which probes are possible there. Pure.

An `Inventory` is built from the bodies of a few GET requests. Names are all that is kept of them.
Names that do not have the form of the platform's names are left out: they would end up in paths.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

from prober.config.builtin_probes import DEFAULT_PROBES, check_project
from prober.config.strict_model import MAX_SLUG_CHARACTERS, as_slug
from prober.permissions import NEEDS, Grants, Need

_T = TypeVar("_T")
MAX_NAMES = 10_000
_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")
_ID = re.compile(r"[0-9a-f]{16}")
_SHOWN_MODELS = 5
_NUMBER_CHARACTERS = 6
_SHOWN_MAILBOXES = 20
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,255}")


@dataclass(frozen=True, slots=True)
class _InProject:
    project: str
    name: str

    @property
    def path(self) -> str:
        """`project/name`."""
        return f"{self.project}/{self.name}"


@dataclass(frozen=True, slots=True)
class Dataset(_InProject):
    """A dataset with the names of its streams and the versions of its models, newest first.

    Both are None if they are not known.
    """

    streams: tuple[str, ...] | None = None
    models: tuple[int, ...] | None = None

    @property
    def text(self) -> str:
        """The dataset in one line."""
        streams = "not listed" if self.streams is None else ", ".join(self.streams) or "none"
        models = "not listed" if self.models is None else _first_numbers(self.models)
        return f"{self.path} (streams: {streams}; models: {models})"


@dataclass(frozen=True, slots=True)
class Source(_InProject):
    """A source."""

    @property
    def text(self) -> str:
        """The source in one line."""
        return self.path


@dataclass(frozen=True, slots=True)
class Bucket(_InProject):
    """A bucket, to which mailboxes are synchronised."""

    id: str

    @property
    def text(self) -> str:
        """The bucket in one line."""
        return f"{self.path} (id {self.id})"


@dataclass(frozen=True, slots=True)
class Integration(_InProject):
    """An integration and the addresses of its mailboxes; `?` for one of an unknown form."""

    mailboxes: tuple[str, ...]

    @property
    def text(self) -> str:
        """The integration in one line."""
        shown = ", ".join(self.mailboxes[:_SHOWN_MAILBOXES]) or "none"
        more = len(self.mailboxes) - _SHOWN_MAILBOXES
        return f"{self.path} (mailboxes: {shown}{f', {more} more' if more > 0 else ''})"


Item = Dataset | Source | Bucket | Integration
"""What an inventory lists by project and name."""


def _first_numbers(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:_SHOWN_MODELS])) or "none"
    return shown if len(numbers) <= _SHOWN_MODELS else f"{shown}, ..."


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a token can see; None for a list that could not be read."""

    projects: tuple[str, ...] | None = None
    datasets: tuple[Dataset, ...] | None = None
    sources: tuple[Source, ...] | None = None
    buckets: tuple[Bucket, ...] | None = None
    integrations: tuple[Integration, ...] | None = None
    grants: Grants | None = None

    def in_project(self, project: str) -> "Inventory":
        """Return the part of one project."""
        return replace(
            self,
            projects=_those(self.projects, lambda each: each == project),
            datasets=_those(self.datasets, lambda each: each.project == project),
            sources=_those(self.sources, lambda each: each.project == project),
            buckets=_those(self.buckets, lambda each: each.project == project),
            integrations=_those(self.integrations, lambda each: each.project == project),
        )


def _those(items: tuple[_T, ...] | None, is_wanted: Callable[[_T], bool]) -> tuple[_T, ...] | None:
    return None if items is None else tuple(filter(is_wanted, items))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A probe that may be possible: its keys in the configuration, in order, and what it needs."""

    keys: tuple[tuple[str, str], ...]
    needs: tuple[Need, ...] | None

    @property
    def use(self) -> str:
        """The name of the built-in probe."""
        return self.keys[0][1]

    @property
    def name(self) -> str:
        """The name of the probe."""
        return dict(self.keys).get("name", self.use)

    @property
    def project(self) -> str | None:
        """The project of the dataset or source."""
        given = dict(self.keys)
        path = given.get("dataset") or given.get("source") or given.get("integration") or ""
        owner = path.rpartition("/")[0]
        return owner or given.get("project")


def projects_in(document: object) -> tuple[str, ...]:
    """Return the names of projects in the body of `/api/v1/projects`."""
    return tuple(
        name
        for each in _items(document, "projects")
        if (name := _project(each.get("name"))) is not None
    )


def datasets_in(document: object) -> tuple[Dataset, ...]:
    """Return the datasets in the body of `/api/v1/datasets`."""
    return tuple(Dataset(owner, name) for owner, name, _ in _owned(document, "datasets"))


def sources_in(document: object) -> tuple[Source, ...]:
    """Return the sources in the body of `/api/v1/sources`."""
    return tuple(Source(owner, name) for owner, name, _ in _owned(document, "sources"))


def buckets_in(document: object) -> tuple[Bucket, ...]:
    """Return the buckets in the body of `/api/_private/buckets`."""
    return tuple(
        Bucket(owner, name, str(each["id"]))
        for owner, name, each in _owned(document, "buckets")
        if _ID.fullmatch(str(each.get("id", "")))
    )


def integrations_in(document: object) -> tuple[Integration, ...]:
    """Return the integrations in the body of `/api/_private/integrations`."""
    return tuple(
        Integration(owner, name, _mailboxes(each.get("configuration")))
        for owner, name, each in _owned(document, "integrations")
    )


def _mailboxes(configuration: object) -> tuple[str, ...]:
    """Return the addresses of mailboxes; whether they are a list or a mapping is not documented."""
    given = configuration.get("mailboxes") if isinstance(configuration, Mapping) else None
    if isinstance(given, Mapping):
        addresses = list(given)
    elif isinstance(given, list):
        addresses = [each.get("email") if isinstance(each, Mapping) else each for each in given]
    else:
        return ()
    return tuple(
        each if isinstance(each, str) and _EMAIL.fullmatch(each) else "?"
        for each in addresses[:MAX_NAMES]
    )


def streams_in(document: object) -> tuple[str, ...]:
    """Return the names of streams in the body of `.../streams`."""
    names = (each.get("name") for each in _items(document, "streams"))
    return tuple(name for name in names if isinstance(name, str) and _NAME.fullmatch(name))


def models_in(document: object) -> tuple[int, ...]:
    """Return the versions of models in the body of `.../labellers`, newest first."""
    versions = (each.get("version") for each in _items(document, "labellers"))
    numbers = {each for each in versions if isinstance(each, int) and not isinstance(each, bool)}
    return tuple(sorted((each for each in numbers if 0 <= each < 10**9), reverse=True))


def candidates(inventory: Inventory) -> tuple[Candidate, ...]:
    """Return the probes that are possible without consent, each with a name of its own.

    None of them is billed or writes. Those without a parameter come first.
    """
    written = [*_without_parameters(inventory), *_with_parameters(inventory)]
    uses = Counter(keys["use"] for keys in written)
    taken = UniqueNames()
    found = []
    for keys in written:
        use = keys["use"]
        name = use if uses[use] == 1 else as_slug(f"{use}-{_subject(keys)}")
        name = taken.add(name)
        candidate = Candidate(tuple(keys.items()), NEEDS.get(use))
        found.append(replace(candidate, keys=tuple(named(candidate, name).items())))
    return tuple(found)


def named(candidate: Candidate, name: str) -> dict[str, str]:
    """Return the keys of a candidate with this name, in the order in which they are written."""
    keys = {key: value for key, value in candidate.keys if key not in {"use", "name"}}
    own = {} if name == candidate.use else {"name": name}
    return {"use": candidate.use, **own, **keys}


def _without_parameters(inventory: Inventory) -> Iterator[dict[str, str]]:
    for use in DEFAULT_PROBES:
        yield {"use": use}
    if inventory.integrations:
        yield {"use": "integrations"}
    if inventory.buckets:
        yield {"use": "buckets"}
    yield {"use": "quotas"}
    yield {"use": "audit-events"}


def _with_parameters(inventory: Inventory) -> Iterator[dict[str, str]]:
    for source in inventory.sources or ():
        yield {"use": "source", "source": source.path}
        yield {"use": "source-statistics", "source": source.path}
    for dataset in inventory.datasets or ():
        yield {"use": "dataset", "dataset": dataset.path}
        yield {"use": "streams", "dataset": dataset.path}
        if dataset.models:
            yield {"use": "model-status", "dataset": dataset.path}
            yield {"use": "model-validation", "dataset": dataset.path}
        for stream in dataset.streams or ():
            yield {"use": "stream", "dataset": dataset.path, "stream": stream}
            yield {"use": "stream-results", "dataset": dataset.path, "stream": stream}
            yield {"use": "stream-fetch", "dataset": dataset.path, "stream": stream}
    for integration in inventory.integrations or ():
        yield {"use": "integration-errors", "integration": integration.path}
    for bucket in inventory.buckets or ():
        keys = {"use": "mailbox-sync", "bucket": bucket.id}
        yield keys | ({"project": bucket.project} if bucket.project else {})


def _subject(keys: Mapping[str, str]) -> str:
    """Return what distinguishes a probe from others of the same kind."""
    for key in ("stream", "dataset", "source", "integration", "bucket"):
        if key in keys:
            return keys[key].rpartition("/")[2]
    return keys.get("project", "")


class UniqueNames:
    """Names of which each is taken once.

    A name that is taken gets a number. The last number of each beginning is kept: a hostile server
    may list ten thousand items of the same name.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._numbers: dict[str, int] = {}

    def add(self, name: str) -> str:
        """Take a name, with a number if need be, and return it."""
        begin = name[: MAX_SLUG_CHARACTERS - _NUMBER_CHARACTERS]
        number = self._numbers.get(begin, 1)
        while name in self._taken:
            number += 1
            name = f"{begin}-{number}"
        self._numbers[begin] = number
        self._taken.add(name)
        return name


def _owned(document: object, key: str) -> Iterator[tuple[str, str, Mapping[str, object]]]:
    """Yield project, name and content of each item that has both in the platform's form."""
    for each in _items(document, key):
        owner, name = _project(each.get("owner")), each.get("name")
        if owner is not None and isinstance(name, str) and _NAME.fullmatch(name):
            yield owner, name, each


def _project(name: object) -> str | None:
    try:
        check_project(str(name))
    except ValueError:
        return None
    return name if isinstance(name, str) else None


def _items(document: object, key: str) -> Sequence[Mapping[str, object]]:
    given = document.get(key) if isinstance(document, Mapping) else None
    if not isinstance(given, list):
        return ()
    return [each for each in given[:MAX_NAMES] if isinstance(each, Mapping)]


def inventory_document(inventory: Inventory) -> dict[str, object]:
    """Return an inventory as a JSON object, without permissions."""
    return {
        "projects": _as_list(inventory.projects),
        "datasets": _as_list(inventory.datasets, asdict),
        "sources": _as_list(inventory.sources, asdict),
        "buckets": _as_list(inventory.buckets, asdict),
        "integrations": _as_list(inventory.integrations, asdict),
    }


def _as_list(
    items: Sequence[object] | None, convert: Callable[[Any], object] = lambda item: item
) -> list[object] | None:
    return None if items is None else [convert(item) for item in items]
