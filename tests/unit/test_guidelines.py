import pytest
from hypothesis import given
from hypothesis import strategies as st

from memeapp.ui.guidelines import to_html


def test_markdown_becomes_headings_lists_tables_and_links():
    html = to_html("# Read first\n\n- **text**\n- [more](https://example.org)\n\n|a|\n|-|\n|b|")
    for part in ("<h1>Read first</h1>", "<strong>text</strong>", "<table>"):
        assert part in html
    assert '<a href="https://example.org">more</a>' in html


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[press](javascript:alert(1))",
        "[press](data:text/html;base64,PHNjcmlwdD4=)",
        "![picture](https://example.org/spy.png)",
        '[x](https://example.org "a\\" onmouseover=alert(1) b")',
    ],
)
def test_nothing_that_runs_or_is_fetched_gets_through(hostile):
    html = to_html(hostile)
    for bad in ("<script", "<img", 'href="javascript', 'href="data', '" onmouseover'):
        assert bad not in html


@given(st.text(max_size=300))
def test_no_tag_of_the_writers_own_survives(text):
    html = to_html(f"before <b onclick=x>{text}</b> after")
    assert "<b " not in html
    assert "<b>" not in html
