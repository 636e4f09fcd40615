"""Guidelines that an admin wrote in Markdown, as HTML that is safe to show."""

from __future__ import annotations

from markdown_it import MarkdownIt

# No HTML of the writer's, no pictures from elsewhere; markdown-it refuses javascript: links itself.
_MARKDOWN = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable("table")
_MARKDOWN.disable("image")


def to_html(markdown: str) -> str:
    """Markdown as HTML: text is escaped, links open no script."""
    html: str = _MARKDOWN.render(markdown)
    return html
