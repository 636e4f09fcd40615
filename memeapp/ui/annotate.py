"""The Annotate page: a shell that its script fills through the routes of `label_routes`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from memeapp.judging import NUDITY, SkipReason
from memeapp.ui.components import fragment

if TYPE_CHECKING:
    from memeapp.wiring import App

REASONS = (
    (SkipReason.RATHER_NOT, "I would rather not"),
    (SkipReason.UNREADABLE, "Cannot be read"),
    (SkipReason.NOT_A_MEME, "Is no meme"),
    (SkipReason.LANGUAGE, "Not my language"),
)


def build(app: App, demo: gr.Blocks) -> None:
    """Lay the page out inside the tab that is open."""
    gr.HTML(
        fragment(
            "label",
            labels=app.schema.labels,
            names=app.schema.names,
            nudity=NUDITY,
            reasons=[(reason.value, words) for reason, words in REASONS],
        ),
        js_on_load="window.memeapp.label(element.querySelector('.labelling'));",
        apply_default_css=False,
        elem_id="annotate",
    )
