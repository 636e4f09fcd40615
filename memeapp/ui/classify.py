"""The Classify page: a picture and its text go in, the model's answer comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import gradio as gr

from memeapp.errors import BadPicture
from memeapp.images import Picture
from memeapp.types import Prediction, TextSource
from memeapp.ui import uploads
from memeapp.ui.components import ASSETS, AT_ONCE, explain, fragment, identity_of, region
from memeapp.ui.safe_image import SafeImage

if TYPE_CHECKING:
    from memeapp.wiring import App

# What was read or typed belongs to the picture whose result is shown; a text typed before any
# result belongs to the picture that comes. Consent is given for one picture.
CLEAR_STALE = "(text, result) => [result ? '' : text, '', '', false]"

Upload = Picture | BadPicture | None


def build(
    app: App, demo: gr.Blocks, classified: Callable[[Prediction], object] = lambda _: None
) -> None:
    """Lay the page out inside the tab that is open; `classified` is told of every answer."""
    schema = app.schema

    def problem(message: str) -> str:
        return fragment("problem", message=message)

    def status() -> str:
        try:
            return fragment(
                "status",
                status=app.classifier.status(),
                schema=schema,
                minutes=uploads.LONGEST_MINUTES,
            )
        except Exception as error:
            return problem(explain(error))

    def check(upload: Upload) -> Any:
        """Says at once when a picture cannot be used; leaves the rest of the page alone."""
        return problem(str(upload)) if isinstance(upload, BadPicture) else gr.skip()

    def classify(
        upload: Upload, text: str | None, read: str, keep: bool, request: gr.Request
    ) -> Iterator[Any]:
        """Yields the result's fragment, the text box and what OCR had read."""
        if not isinstance(upload, Picture):
            yield problem(str(upload or "Choose a picture first.")), gr.skip(), gr.skip()
            return
        reading = None
        text = text or ""
        if text == read:
            text = ""
        try:
            if not text.strip():
                yield fragment("working", stage="Reading the text in the picture"), "", ""
                reading = app.classifier.read_text(upload)
                read = reading.text
            yield fragment("working", stage="Asking the model"), text or read, read
            answer = app.classifier.classify(upload, text, reading=reading, keep=keep)
            classified(answer)
        except Exception as error:
            yield problem(explain(error)), gr.skip(), gr.skip()
            return
        read = answer.text if answer.text_source is TextSource.OCR else ""
        identity = identity_of(request)
        shown = fragment(
            "result",
            answer=answer,
            schema=schema,
            kept=keep,
            pictures=identity.admin or identity.annotator_id is not None,
        )
        yield shown, answer.text, read

    with gr.Row(elem_id="classify-page"):
        with gr.Column(min_width=300, elem_id="classify-in"):
            picture = SafeImage(
                max_bytes=app.settings.max_upload_mb * 2**20,
                label="Picture",
                show_label=False,  # the label lies on top of the caption
                sources=["upload", "clipboard"],
                buttons=[],
                height=320,
                placeholder="Drop a meme here\nor click to choose: PNG, JPEG, WebP, GIF",
                elem_id="classify-picture",
            )
            text = gr.Textbox(
                label="Text in the picture",
                placeholder="Leave empty: OCR reads it",
                lines=2,
                max_lines=6,
                elem_id="classify-text",
            )
            keep = gr.Checkbox(
                label="Picture and text may be kept, unlabelled, to learn from",
                elem_id="classify-keep",
            )
            button = gr.Button("Classify", variant="primary", elem_id="classify-button")
            if examples := sorted((ASSETS / "examples").glob("*.jpg")):
                gr.Examples(
                    [[str(file)] for file in examples],
                    [picture],
                    label="Examples",
                    cache_examples=False,
                    api_name="classify_example",
                    elem_id="classify-examples",
                )
        with gr.Column(min_width=300, elem_id="classify-out"):
            result = region("classify-result")
            spoken = region("classify-status")
    read = gr.Textbox(visible=False, elem_id="classify-read")

    started = button.click(
        classify,
        [picture, text, read, keep],
        [result, text, read],
        show_progress="hidden",
        concurrency_limit=2,
        api_name="classify",
    )
    picture.change(
        None, [text, result], [text, read, result, keep], js=CLEAR_STALE, cancels=[started]
    )
    picture.change(check, picture, result, api_name="classify_check", **AT_ONCE)
    demo.load(status, None, spoken, api_name="classify_status", **AT_ONCE)
