import pytest

from prober.config.builtin_probes import CATALOGUE
from prober.permissions import NEEDS, Access, access, missing, missing_message, parse_grants

LABELS = NEEDS["datasets"][0].permission
AUDIT = NEEDS["audit-events"][0].permission
CONSUME = NEEDS["stream-fetch"][0].permission


def user(**keys: object) -> dict[str, object]:
    return {"user": {"organisation_permissions": {}, **keys}}


def test_every_built_in_probe_has_its_permissions() -> None:
    assert NEEDS.keys() == CATALOGUE.keys() - {"ixp-consumability"}  # not known


@pytest.mark.parametrize(
    ("keys", "project", "expected"),
    [
        ({"organisation_permissions": {"ops": ["voc-readonly"]}}, "ops", Access.GRANTED),
        ({"organisation_permissions": {"ops": ["voc-readonly"]}}, None, Access.GRANTED),
        ({"organisation_permissions": {"ops": ["voc-readonly"]}}, "other", Access.MISSING),
        ({"organisation_permissions": {"ops": ["sources-read"]}}, "ops", Access.MISSING),
        ({"organisation_permissions": {"ops": ["role-cm-viewer"]}}, "ops", Access.UNKNOWN),
        ({"organisation_permissions": {"ops": ["role-cm-viewer"]}}, "other", Access.MISSING),
        ({"derived_organisation_permissions": {"ops": ["voc-readonly"]}}, "ops", Access.GRANTED),
        ({"global_permissions": ["tenant-admin"]}, "ops", Access.GRANTED),
        ({"sso_global_permissions": ["root"]}, None, Access.GRANTED),
        ({}, None, Access.MISSING),
    ],
)
def test_a_permission_is_granted_by_its_name_in_its_project(
    keys: dict[str, object], project: str | None, expected: Access
) -> None:
    grants = parse_grants(user(**keys))
    assert grants is not None
    assert access(grants, LABELS, project) is expected


def test_a_permission_of_the_tenant_is_granted_globally() -> None:
    grants = parse_grants(user(organisation_permissions={"ops": ["audit-read"]}))
    assert grants is not None
    assert access(grants, AUDIT, "ops") is Access.MISSING
    grants = parse_grants(user(global_permissions=["audit-read"]))
    assert grants is not None
    assert access(grants, AUDIT, "ops") is Access.GRANTED


def test_streams_and_triggers_are_the_same() -> None:
    grants = parse_grants(user(organisation_permissions={"ops": ["streams-consume"]}))
    assert grants is not None
    assert access(grants, CONSUME, "ops") is Access.GRANTED


@pytest.mark.parametrize(
    "document",
    [None, [], {}, {"user": []}, {"user": {}}, {"user": {"organisation_permissions": []}}],
)
def test_a_document_without_permissions_is_not_known(document: object) -> None:
    assert parse_grants(document) is None


def test_odd_values_are_left_out() -> None:
    odd = user(
        organisation_permissions={"ops": ["voc-readonly", 3, None], "x": "voc", "y": None},
        global_permissions={"a": 1},
        derived_organisation_permissions="?",
    )
    grants = parse_grants(odd)
    assert grants is not None
    assert dict(grants.by_project) == {
        "ops": frozenset({"voc-readonly"}),
        "x": frozenset(),
        "y": frozenset(),
    }
    assert grants.everywhere == frozenset()


def test_what_is_missing_is_named_with_its_project() -> None:
    grants = parse_grants(user(organisation_permissions={"ops": ["sources-read"]}))
    assert grants is not None
    lacking = missing(grants, NEEDS["stream-fetch"], "ops")
    assert [each.name for each in lacking] == ["triggers-consume", "voc-readonly"]
    assert missing_message(lacking, "ops") == (
        "the token's user lacks the permissions 'Consume streams' (triggers-consume) and"
        " 'View labels' (voc-readonly) in the project 'ops'"
    )
    assert missing_message([LABELS], None) == (
        "the token's user lacks the permission 'View labels' (voc-readonly) in any project"
    )
    assert missing_message([AUDIT], None).endswith("'Read audit logs' (audit-read) in the tenant")
    assert missing(grants, None, "ops") == ()
