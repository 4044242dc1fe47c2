import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.classifier.expectations import check_expression
from prober.config.builtin_probes import CATALOGUE, DEFAULT_PROBES, BuiltinProbe, path_segment

DATASET = ("dataset",)
VERSION = ("dataset", "model_version")
PARAMETERS = {
    "current-user": (),
    "datasets": (),
    "sources": (),
    "projects": (),
    "not-found": (),
    "dataset": DATASET,
    "source": ("source",),
    "dataset-statistics": DATASET,
    "general-fields": DATASET,
    "labels": DATASET,
    "models": DATASET,
    "model-tags": DATASET,
    "model-version": VERSION,
    "streams": DATASET,
    "stream": ("dataset", "stream"),
    "stream-results": ("dataset", "stream"),
    "stream-fetch": ("dataset", "stream"),
    "messages": ("source", "comment"),
    "attachment": ("attachment",),
    "source-statistics": ("source",),
    "model-status": DATASET,
    "model-validation": DATASET,
    "mailbox-sync": ("bucket",),
    "integrations": (),
    "integration-errors": ("integration",),
    "bucket": ("bucket",),
    "buckets": (),
    "ixp-consumability": (),
    "quotas": (),
    "audit-events": (),
    "predict-comments": (*VERSION, "uid"),
    "predict": (*VERSION, "json"),
    "predict-raw-emails": (*VERSION, "json"),
    "sync": ("source",),
    "canary": ("source", *VERSION),
    "sync-raw-emails": ("source", "json"),
}
WRITING = {"sync", "canary", "sync-raw-emails"}
BILLABLE = {"predict", "predict-raw-emails", *WRITING}
UNOFFICIAL = {
    "bucket", "buckets", "current-user", "dataset-statistics", "integration-errors", "integrations",
    "ixp-consumability", "labels", "mailbox-sync", "model-status", "model-validation",
    "models", "quotas",
}  # fmt: skip
TEXTS = st.text() | st.text("./%0a", max_size=3)
built_ins = pytest.mark.parametrize("built_in", CATALOGUE.values(), ids=lambda each: each.name)


def test_the_catalogue_asks_for_these_parameters_and_no_others() -> None:
    assert {name: each.parameters for name, each in CATALOGUE.items()} == PARAMETERS


def test_consent_is_asked_for_exactly_what_is_billed_or_writes() -> None:
    assert {name for name, each in CATALOGUE.items() if each.is_billable} == BILLABLE
    assert {name for name, each in CATALOGUE.items() if each.is_write} == WRITING


def test_private_routes_are_marked() -> None:
    marked = {name for name, each in CATALOGUE.items() if not each.is_official}
    assert marked == UNOFFICIAL
    assert {each.name for each in CATALOGUE.values() if "/_private/" in each.path} <= marked


def test_what_runs_by_default_needs_no_parameter_and_no_consent() -> None:
    chosen = [CATALOGUE[name] for name in DEFAULT_PROBES]
    assert [(each.parameters, each.is_billable, each.is_write, each.method) for each in chosen] == [
        ((), False, False, "GET")
    ] * len(DEFAULT_PROBES)


@built_ins
def test_a_built_in_reads_or_asks(built_in: BuiltinProbe) -> None:
    assert built_in.method in {"GET", "HEAD", "POST"}
    # A canary's body is new in every run.
    has_body = built_in.body is not None or built_in.canary is not None
    assert has_body == (built_in.method == "POST")


@built_ins
def test_nothing_moves_or_deletes(built_in: BuiltinProbe) -> None:
    assert not re.search(r"advance|reset|exceptions|delete", built_in.path)


@built_ins
def test_a_path_follows_the_base_url(built_in: BuiltinProbe) -> None:
    assert re.fullmatch(r"/(api/v1|api/_private|auth)/[a-zA-Z0-9_{}:?=/-]+", built_in.path)
    assert "//" not in built_in.path


@built_ins
def test_every_expectation_is_an_expression_that_can_be_used(built_in: BuiltinProbe) -> None:
    expression = built_in.expectations.jmespath
    assert expression is None or check_expression(expression) is None


@pytest.mark.parametrize(
    ("parameter", "value", "project", "segment"),
    [
        ("dataset", "mail", "ops", "ops/mail"),
        ("dataset", "ops/mail", None, "ops/mail"),
        ("dataset", "ops/mail", "other", "ops/mail"),
        ("source", "id:0123456789abcdef", None, "id:0123456789abcdef"),
        ("source", "mail", "uk.ops-1", "uk.ops-1/mail"),
        ("stream", "triage_1-a", None, "triage_1-a"),
        ("comment", "<a.b+c@example.com>", None, "%3Ca.b%2Bc%40example.com%3E"),
        ("comment", "größe", None, "gr%C3%B6%C3%9Fe"),
        ("uid", "0123456789abcdef.a:b", None, "0123456789abcdef.a%3Ab"),
        ("bucket", "0123456789abcdef", None, "0123456789abcdef"),
        ("model_version", "7", None, "7"),
    ],
)
def test_a_parameter_stands_encoded_in_the_path(
    parameter: str, value: str, project: str | None, segment: str
) -> None:
    assert path_segment(parameter, value, project) == segment


@pytest.mark.parametrize("parameter", ["dataset", "source"])
@pytest.mark.parametrize(
    "value",
    [
        "../mail", "./mail", "ops/..", "ops/.", "ops/", "ops/a/b", "ops//mail", "ops/%6d",
        "ops%2fmail", "ops/a b", "ops/mail?x", "ops/mail#x", "id:0123", "id:0123456789ABCDEF",
        "mail", "ops/mail\n", "ops/größe", "",
    ],
)  # fmt: skip
def test_no_name_leads_elsewhere(parameter: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"must be a name|needs its 'project'"):
        path_segment(parameter, value, None)


@pytest.mark.parametrize("project", ["..", ".", "a/b", "a%2fb", "a b"])
def test_no_project_leads_elsewhere(project: str) -> None:
    with pytest.raises(ValueError, match="'project' must be a name"):
        path_segment("dataset", "mail", project)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("stream", "a/b"),
        ("stream", ".."),
        ("stream", "a%2fb"),
        ("stream", ""),
        ("comment", "a/b"),
        ("comment", "a b"),
        ("comment", ""),
        ("comment", "."),
        ("comment", ".."),
        ("uid", "0123.a"),
        ("uid", "0123456789abcdef.a/b"),
        ("uid", "0123456789abcdef"),
        ("bucket", "id:0123456789abcdef"),
        ("bucket", "0123456789ABCDEF"),
        ("model_version", "latest"),
        ("model_version", "-1"),
        ("model_version", "1.5"),
        ("model_version", "٣"),
    ],
)
def test_a_parameter_of_the_wrong_form_is_told_the_right_one(parameter: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"'{parameter}' must be a"):
        path_segment(parameter, value, None)


@given(st.sampled_from(["stream", "comment", "uid", "bucket", "model_version"]), TEXTS)
def test_one_parameter_is_one_segment(parameter: str, value: str) -> None:
    try:
        segment = path_segment(parameter, value, None)
    except ValueError:
        return
    assert re.fullmatch(r"[A-Za-z0-9_.~%-]+", segment)
    assert segment not in {".", ".."}
