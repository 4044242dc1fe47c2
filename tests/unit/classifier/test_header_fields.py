import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.classifier.server_timing import requests_bearer, split_outside_quotes


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        pytest.param("", [""], id="empty"),
        pytest.param("a, b", ["a", " b"], id="two"),
        pytest.param(",a,", ["", "a", ""], id="at-the-ends"),
        pytest.param('a;d="x, \\"y, z", b', ['a;d="x, \\"y, z"', " b"], id="quoted"),
        pytest.param('a="x, b', ['a="x, b'], id="unclosed-quote-runs-to-the-end"),
        pytest.param('a="x, b\\', ['a="x, b\\'], id="ends-in-an-escape"),
    ],
)
def test_a_comma_in_quotes_separates_nothing(text: str, parts: list[str]) -> None:
    assert split_outside_quotes(text, ",") == parts


@given(st.text(alphabet='ab ,;="\\'), st.sampled_from(",;"))
def test_splitting_loses_nothing(text: str, delimiter: str) -> None:
    assert delimiter.join(split_outside_quotes(text, delimiter)) == text


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        pytest.param(["Bearer"], True, id="bare"),
        pytest.param(['bEARER realm="x"'], True, id="any-case"),
        pytest.param(["Bearer abc=="], True, id="token68"),
        pytest.param(['Basic realm="x", Bearer error="y"'], True, id="second-challenge"),
        pytest.param(["Basic realm=x", "Bearer "], True, id="second-header"),
        pytest.param([], False, id="no-header"),
        pytest.param(['Basic realm="a, Bearer b"'], False, id="inside-a-quoted-string"),
        pytest.param(["Digest bearer=1, bearer = 2"], False, id="a-parameter-of-that-name"),
        pytest.param(["BearerX realm=y"], False, id="a-longer-scheme"),
        pytest.param(["Basic Bearer"], False, id="not-in-the-scheme's-place"),
    ],
)
def test_a_bearer_challenge_is_a_scheme_not_a_word(values: list[str], *, asked: bool) -> None:
    assert requests_bearer(values) is asked


@given(st.lists(st.text()))
def test_no_challenge_raises(values: list[str]) -> None:
    assert requests_bearer(values) in {True, False}
