import pytest

from prober.config import discovery
from prober.config.builtin_probes import CATALOGUE, DEFAULT_PROBES
from prober.config.discovery import Bucket, Dataset, Integration, Inventory, Source
from prober.config.strict_model import MAX_SLUG_CHARACTERS

ID = "0123456789abcdef"


def test_names_are_read_from_the_platforms_lists() -> None:
    owned = {"owner": "ops", "name": "mail", "id": ID}
    assert discovery.projects_in({"projects": [{"name": "ops"}, {}]}) == ("ops",)
    assert discovery.datasets_in({"datasets": [owned]}) == (Dataset("ops", "mail"),)
    assert discovery.sources_in({"sources": [owned]}) == (Source("ops", "mail"),)
    assert discovery.buckets_in({"buckets": [owned]}) == (Bucket("ops", "mail", ID),)
    assert discovery.streams_in({"streams": [{"name": "triage"}]}) == ("triage",)
    assert discovery.models_in({"labellers": [{"version": 5}, {"version": 7}]}) == (7, 5)
    with_mailboxes = {**owned, "configuration": {"mailboxes": ["a@b.example", "\x1b[31m"]}}
    assert discovery.integrations_in({"integrations": [with_mailboxes, owned]}) == (
        Integration("ops", "mail", ("a@b.example", "?")),
        Integration("ops", "mail", ()),
    )
    by_address = {**owned, "configuration": {"mailboxes": {"a@b.example": {}}}}
    as_objects = {**owned, "configuration": {"mailboxes": [{"email": "a@b.example"}, 3]}}
    assert [
        each.text for each in discovery.integrations_in({"integrations": [by_address, as_objects]})
    ] == ["ops/mail (mailboxes: a@b.example)", "ops/mail (mailboxes: a@b.example, ?)"]


@pytest.mark.parametrize("name", ["../x", "a/b", "a b", "\x1b[31m", "", 3, None, {}, "x" * 2000])
def test_names_of_another_form_are_left_out(name: object) -> None:
    for key, read in (
        ("datasets", discovery.datasets_in),
        ("sources", discovery.sources_in),
        ("integrations", discovery.integrations_in),
    ):
        items = [{"owner": "ops", "name": name}, {"owner": name, "name": "mail"}]
        assert read({key: items}) == ()
    assert discovery.streams_in({"streams": [{"name": name}]}) == ()
    assert discovery.buckets_in({"buckets": [{"owner": "o", "name": "n", "id": name}]}) == ()
    assert discovery.models_in({"labellers": [{"version": name}, {"version": True}]}) in {(), (3,)}


@pytest.mark.parametrize("document", [None, [], {}, {"datasets": {}}, {"datasets": [3, None]}])
def test_a_document_of_another_form_is_an_empty_list(document: object) -> None:
    assert discovery.datasets_in(document) == ()


INVENTORY = Inventory(
    projects=("ops",),
    datasets=(
        Dataset("ops", "mail", ("triage", "Urgent"), (7,)),
        Dataset("ops", "chat", (), ()),
    ),
    sources=(Source("ops", "mailbox"),),
    buckets=(Bucket("ops", "inbox", ID),),
    integrations=(Integration("ops", "exchange", ("a@b.example",)),),
)


def test_candidates_have_names_of_their_own_and_need_no_consent() -> None:
    found = discovery.candidates(INVENTORY)
    names = [each.name for each in found]
    assert len(set(names)) == len(names)
    assert names[:5] == list(DEFAULT_PROBES)
    assert {"source", "dataset-mail", "dataset-chat", "stream-fetch-urgent", "mailbox-sync"} <= (
        set(names)
    )
    for each in found:
        assert not CATALOGUE[each.use].is_billable
        assert not CATALOGUE[each.use].is_write
    assert {each.project for each in found if each.use.startswith("model")} == {"ops"}
    assert not [name for name in names if name.startswith("model") and "chat" in name]


def test_nothing_is_possible_with_what_cannot_be_listed() -> None:
    found = discovery.candidates(Inventory())
    assert [each.use for each in found] == [*DEFAULT_PROBES, "quotas", "audit-events"]


def test_equal_names_get_numbers() -> None:
    twins = Inventory(sources=(Source("a", "mail"), Source("b", "mail")))
    names = [each.name for each in discovery.candidates(twins) if each.use == "source"]
    assert names == ["source-mail", "source-mail-2"]


def test_one_project_is_a_part() -> None:
    both = Inventory(sources=(Source("a", "x"), Source("b", "y")), datasets=None)
    assert both.in_project("b") == Inventory(sources=(Source("b", "y"),))


def test_names_are_taken_once_and_numbered_from_two() -> None:
    names = discovery.UniqueNames({"a", "a-3"})
    assert [names.add("a") for _ in range(3)] == ["a-2", "a-4", "a-5"]
    assert [names.add("b"), names.add("b")] == ["b", "b-2"]
    long = "x" * MAX_SLUG_CHARACTERS
    assert [names.add(long), names.add(long)] == [long, f"{'x' * (MAX_SLUG_CHARACTERS - 6)}-2"]
    assert [names.add(f"{long[:-1]}y"), names.add(long)][1].endswith("-3")


def test_ten_thousand_items_of_one_name_take_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each name is looked up a few times, not once for each of those before it."""
    looked_up = 0

    class CountedSet(set[str]):
        def __contains__(self, name: object) -> bool:
            nonlocal looked_up
            looked_up += 1
            return super().__contains__(name)

    names = discovery.UniqueNames()
    monkeypatch.setattr(names, "_taken", CountedSet())
    found = {names.add("source-mail") for _ in range(discovery.MAX_NAMES)}
    assert len(found) == discovery.MAX_NAMES
    assert looked_up < 3 * discovery.MAX_NAMES
