"""The Annotate page: somebody names themselves and judges meme after meme."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr

from memeapp.errors import AlreadyVoted, BadVote, NotFound
from memeapp.types import Annotator
from memeapp.ui.components import (
    AT_ONCE,
    NO_COOKIE,
    explain,
    fragment,
    identity_of,
    payload_of,
    region,
    require_annotator,
)

if TYPE_CHECKING:
    from memeapp.wiring import App

JOIN = "async (name) => [await window.memeapp.post('auth/annotator', {name})]"
LONGEST_SECONDS = 24 * 3600.0


def build(app: App, demo: gr.Blocks) -> None:
    """Lay the page out inside the tab that is open."""
    labelling = app.labelling

    def annotator_of(request: gr.Request) -> Annotator | None:
        annotator_id = identity_of(request).annotator_id
        try:
            return labelling.annotator(annotator_id) if annotator_id else None
        except NotFound:
            return None

    def card(annotator: Annotator, message: str = "") -> str:
        """The next meme with a fresh vote key, or that nothing is left."""
        done, left = labelling.progress(annotator.id)
        return fragment(
            "card",
            meme=labelling.next_meme(annotator.id),
            annotator=annotator,
            labels=app.schema.labels,
            key=uuid.uuid4().hex,
            done=done,
            left=left,
            message=message,
        )

    def opened(request: gr.Request) -> tuple[Any, str]:
        annotator = annotator_of(request)
        return gr.Column(visible=annotator is None), card(annotator) if annotator else ""

    def joined(message: str, request: gr.Request) -> tuple[Any, str, str]:
        """`message` is what the cookie route answered; empty when all went well."""
        form, shown = opened(request)
        message = message or ("" if shown else NO_COOKIE)
        return form, shown, fragment("problem", message=message) if message else ""

    def vote(event: gr.EventData, request: gr.Request) -> tuple[Any, Any, str]:
        """Saves the judgement; only then does the next meme show."""
        annotator_id = require_annotator(request)
        sent = payload_of(event)
        try:
            annotator = labelling.annotator(annotator_id)
            labelling.vote(annotator_id, **_vote(sent, app.schema.names))
            return gr.skip(), card(annotator), ""
        except AlreadyVoted:
            note = "That meme had been judged already; here is the next one."
            return gr.skip(), card(annotator, note), ""
        except Exception as error:
            return gr.skip(), gr.skip(), fragment("problem", message=f"Not saved. {explain(error)}")

    with gr.Column(elem_id="annotate-join", visible=False) as form:
        gr.HTML(fragment("warning"), js_on_load=None, apply_default_css=False)
        name = gr.Textbox(
            label="Your name",
            placeholder="A first name or a nickname",
            max_length=40,
            elem_id="annotate-name",
        )
        start = gr.Button("Start", variant="primary", elem_id="annotate-start")
    problem = region("annotate-problem", role="alert")
    panel = gr.HTML(
        "",
        js_on_load="window.memeapp.card(element, trigger, watch); // 'submit', 'opened'",
        apply_default_css=False,
        elem_id="annotate-card",
    )

    outputs = [form, panel, problem]
    for event, api_name in ((start.click, "annotate_start"), (name.submit, "annotate_enter")):
        event(joined, name, outputs, js=JOIN, api_name=api_name, **AT_ONCE)
    panel.submit(vote, None, outputs, api_name="annotate_vote", **AT_ONCE)
    panel.opened(opened, None, [form, panel], api_name="annotate_open", **AT_ONCE)
    demo.load(opened, None, [form, panel], api_name="annotate_load", **AT_ONCE)


def _vote(sent: Mapping[str, Any], labels: tuple[str, ...]) -> dict[str, Any]:
    """The arguments of `Labelling.vote` from what a browser sent.

    Raises:
        BadVote: a part is missing or of the wrong kind.
    """
    meme_id, key, ticked = sent.get("meme"), sent.get("key"), sent.get("labels")
    if not (isinstance(meme_id, str) and isinstance(key, str) and isinstance(ticked, list)):
        raise BadVote("The vote is incomplete; reload the page and judge the meme again.")
    if not 16 <= len(key) <= 64:
        raise BadVote("The vote has no usable key; reload the page and judge the meme again.")
    judged = {label: label in ticked for label in labels}
    judged |= {str(label): True for label in ticked if label not in labels}
    seconds = sent.get("seconds")
    if not isinstance(seconds, int | float) or not math.isfinite(seconds):
        seconds = 0.0
    return {
        "meme_id": meme_id,
        "labels": judged,
        "key": key,
        "seconds": min(max(float(seconds), 0.0), LONGEST_SECONDS),
        "revealed": sent.get("revealed") is True,
    }
