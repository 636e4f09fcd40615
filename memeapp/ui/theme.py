"""One calm theme, light and dark, from fonts the machine has; the style sheet and page script."""

from __future__ import annotations

import gradio as gr

from memeapp.ui.components import ASSETS


def theme() -> gr.themes.Base:
    """Slate and teal. Text reaches a contrast of 4.5:1 on every ground."""
    return gr.themes.Base(
        primary_hue="teal",
        secondary_hue="teal",
        neutral_hue="slate",
        radius_size="lg",
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "Consolas", "monospace"],
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_800",
        body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_label_text_color="*neutral_700",
        block_title_text_color="*neutral_700",
        border_color_primary="*neutral_200",
        border_color_primary_dark="*neutral_700",
        input_background_fill="white",
        input_background_fill_dark="*neutral_950",
        input_border_color="*neutral_400",
        input_border_color_dark="*neutral_500",
        input_border_color_focus="*primary_600",
        input_border_color_focus_dark="*primary_400",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
        button_primary_text_color="white",
        button_primary_border_color="*primary_700",
        button_primary_border_color_dark="*primary_700",
        button_secondary_background_fill="white",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_border_color="*neutral_400",
        button_secondary_border_color_dark="*neutral_500",
        button_border_width="1px",
        checkbox_background_color_selected="*primary_700",
        checkbox_border_color="*neutral_500",
        checkbox_border_color_selected="*primary_700",
    )


def head() -> str:
    """Our style sheet and script, as they are: gradio's own `css` rewrites selectors."""
    style = (ASSETS / "style.css").read_text(encoding="utf-8")
    script = "\n".join(
        (ASSETS / name).read_text(encoding="utf-8")
        for name in (
            "page.js",
            "label_server.js",
            "label_card.js",
            "label_hands.js",
            "label_sitting.js",
            "label_around.js",
            "label_back.js",
            "label.js",
            "session_parts.js",
            "sessions.js",
            "transfer.js",
            "drift.js",
            "versions.js",
            "audit.js",
            "retraining.js",
        )
    )
    return f"<style>\n{style}</style>\n<script>\n{script}</script>"
