import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.formatting import one_line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("404 Not Found", "404 Not Found", id="plain"),
        pytest.param("  a\r\n\tb\u2028c\x00d\x1b[31m ", "a b c d [31m", id="control-characters"),
        pytest.param("a\u202eb\u200bc\ud800d", "a b c d", id="format-characters-and-surrogates"),
        pytest.param("grüße 日本", "grüße 日本", id="other-scripts"),
        pytest.param("x" * 21, "x" * 17 + "...", id="too-long"),
        pytest.param("x" * 20, "x" * 20, id="just-fits"),
        pytest.param("a" + " " * 100 + "b", "a...", id="cut-where-it-was-not-looked-at"),
        pytest.param("", "", id="empty"),
    ],
)
def test_foreign_text_becomes_one_printable_line(text: str, line: str) -> None:
    assert one_line(text, 20) == line


@given(st.text(alphabet=st.characters(codec=None)), st.integers(4, 50))
def test_a_line_is_bounded_printable_and_encodable(text: str, limit: int) -> None:
    line = one_line(text, limit)

    assert len(line) <= limit
    assert line.isprintable()
    assert line.encode() is not None
