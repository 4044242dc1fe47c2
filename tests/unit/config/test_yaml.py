from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.config.yaml import (
    MAX_DEPTH,
    MAX_NODES,
    KeyPath,
    YamlDocument,
    format_key_path,
    read_yaml,
)
from prober.errors import ConfigProblem

NESTED = """\
web:
  listen: here
tenants:
  - name: acme
    token:
      file: acme.token
  - name: beta
    probes: [datasets,
             {use: source}]
"""
UNCLOSED = (
    "f.yaml:3: not YAML: while scanning a quoted scalar, found unexpected end of stream; "
    "it starts on line 2"
)


def document_of(text: str) -> YamlDocument:
    document, problems = read_yaml(text, "f.yaml")
    assert problems == ()
    return document


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("web",), 1),
        (("web", "listen"), 2),
        (("tenants",), 3),
        (("tenants", 0), 4),
        (("tenants", 0, "token"), 5),
        (("tenants", 0, "token", "file"), 6),
        (("tenants", 1, "name"), 7),
        (("tenants", 1, "probes", 0), 8),
        (("tenants", 1, "probes", 1, "use"), 9),
    ],
)
def test_every_key_has_its_line(path: KeyPath, line: int) -> None:
    assert document_of(NESTED).line_of(path) == line


@pytest.mark.parametrize(
    ("path", "line"),
    [(("tenants", 0, "token", "env"), 5), (("tenants", 7), 3), (("log", "level"), 1)],
)
def test_a_key_that_is_not_there_has_the_line_of_what_it_belongs_to(
    path: KeyPath, line: int
) -> None:
    assert document_of(NESTED).line_of(path) == line


def test_an_empty_file_says_nothing_and_has_no_lines() -> None:
    document = document_of("# only a comment\n")
    assert document.content == {}
    assert document.line_of(("web",)) is None


def test_values_are_read_as_yaml_means_them() -> None:
    text = "{a: 1, b: 1.5, c: true, d: null, e: 2027-03-01, f: '1', g: [x], 7: y}"
    assert document_of(text).content == {
        "a": 1,
        "b": 1.5,
        "c": True,
        "d": None,
        "e": date(2027, 3, 1),
        "f": "1",
        "g": ["x"],
        "7": "y",
    }


def test_an_alias_is_its_anchors_value_and_keeps_its_own_place() -> None:
    document = document_of("a: &shared\n  x: 1\nb: *shared\n")
    assert document.content == {"a": {"x": 1}, "b": {"x": 1}}
    assert document.line_of(("b",)) == 3


def test_values_read_before_are_not_kept() -> None:
    assert document_of("a: one").content != document_of("a: two").content


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [" + "x," * 100 + "]\nb: &b [" + "*a," * 100 + "]\nc: [" + "*b," * 100 + "]\n",
        "a: &a [*a]\n",
        "a: &a {a: *a}\n",
        "a: " + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
        "[" * 20_000,
    ],
    ids=["bomb", "list-in-itself", "mapping-in-itself", "deep", "deeper-than-the-stack"],
)
def test_what_would_grow_without_bound_is_refused(text: str) -> None:
    message = f"too large: more than {MAX_NODES} values, or nested deeper than {MAX_DEPTH}"
    assert read_yaml(text, "f.yaml") == (
        YamlDocument({}, {}),
        (ConfigProblem("f.yaml", None, "", message),),
    )


def test_as_deep_as_allowed_is_read() -> None:
    depth = MAX_DEPTH - 1
    assert document_of("a: " + "[" * depth + "]" * depth).content["a"]


@pytest.mark.parametrize("text", ["a: !!python/name:os.system", "a: !mine 5", "a: 2027-02-30"])
def test_a_value_that_cannot_be_read_is_named_and_nothing_is_made_of_it(text: str) -> None:
    document, problems = read_yaml(text, "f.yaml")
    assert document.content == {"a": None}
    assert [str(each) for each in problems] == [
        "f.yaml:1: a: cannot be read as a value: put it in quotes"
    ]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('a: "ca\\0.pem"', "a"),
        ('a: ["\\uD800"]', "a[0]"),
        ('a: {b: "x\\0"}', "a.b"),
        ('a: {"b\\0": x}', "a"),
    ],
)
def test_text_that_no_file_and_no_library_takes_is_told_by_its_key(text: str, key: str) -> None:
    message = "contains a NUL or an unpaired surrogate, which no path or header may contain"
    assert [str(each) for each in read_yaml(text, "f.yaml")[1]] == [f"f.yaml:1: {key}: {message}"]


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("a: *nowhere", "f.yaml:1: not YAML: found undefined alias 'nowhere'"),
        ("a: b: c", "f.yaml:1: not YAML: mapping values are not allowed here"),
        ("a:\n  - 'b\n", UNCLOSED),
        ("a: 1\nb: \x07", "f.yaml:2: not YAML: contains a control character"),
    ],
)
def test_what_is_not_yaml_is_reported_with_its_line(text: str, reported: str) -> None:
    assert [str(each) for each in read_yaml(text, "f.yaml")[1]] == [reported]


@given(st.text("ab:-[]{}&*!'\"#|>\n\t \x07é", max_size=40))
def test_no_text_makes_the_reader_raise(text: str) -> None:
    document, problems = read_yaml(text, "f.yaml")
    assert isinstance(document.content, dict)
    assert all(each.file == "f.yaml" for each in problems)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("web",), "web"),
        (("tenants", 0, "token", "file"), "tenants[0].token.file"),
        (("a", 0, 1, "b"), "a[0][1].b"),
    ],
)
def test_a_key_path_is_written_as_people_write_it(path: KeyPath, text: str) -> None:
    assert format_key_path(path) == text


@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 50_000, "{a: " * 20_000])
def test_text_that_is_nested_without_end_is_refused(text: str) -> None:
    _, problems = read_yaml(text, "prober.yaml")
    assert "too large" in problems[0].message or "not YAML" in problems[0].message


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}", {"x": 1, "y": 3}),
        ("a: &a {x: 1}\nb: {y: 2, <<: *a}", {"x": 1, "y": 2}),
        ("a: &a {x: 1}\nb: {<<: [*a, {x: 2, z: 3}]}", {"x": 1, "z": 3}),
        ("a: &a {x: 1}\nc: &c {<<: *a, y: 2}\nb: {<<: *c}", {"x": 1, "y": 2}),
        ("a: &a {x: 1}\nc: &c {<<: *a, x: 2}\nb: {<<: *c}", {"x": 2}),
        ("b: {'<<': {x: 1}}", {"<<": {"x": 1}}),
    ],
)
def test_merge_keys_add_what_is_not_written(text: str, content: object) -> None:
    document, problems = read_yaml(text, "f.yaml")
    assert problems == ()
    assert document.content["b"] == content


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("b: {<<: 3}", "f.yaml:1: b.<<: takes a mapping or a list of them"),
        ("a: &a [1]\nb: {<<: [*a]}", "f.yaml:2: b.<<: takes a mapping or a list of them"),
        ("b:\n  <<: {x: 1}\n  <<: {y: 1}", "f.yaml:3: b.<<: is written twice"),
        ("b: &b {x: 1, <<: *b}", "f.yaml: too large"),
        ("b: &b {x: 1, <<: [*b, *b]}", "f.yaml: too large"),
    ],
)
def test_a_wrong_merge_key_is_a_problem(text: str, problem: str) -> None:
    _, problems = read_yaml(text, "f.yaml")
    assert [str(each)[: len(problem)] for each in problems] == [problem]


def test_merge_keys_cannot_exhaust_memory() -> None:
    levels = ["a0: &a0 {k: 1}"]
    for n in range(1, 9):
        aliases = ", ".join([f"*a{n - 1}"] * 9)
        levels.append(f"a{n}: &a{n} {{<<: [{aliases}], k{n}: 1}}")
    _, problems = read_yaml("\n".join(levels), "f.yaml")
    assert "too large" in str(problems[0])
