"""The Admin page and what stands on it. The server sends nothing of it to anybody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gradio as gr

from memeapp.errors import NotFound
from memeapp.service.bundle import MAX_BYTES
from memeapp.service.features import in_words
from memeapp.store.audit import ADMIN
from memeapp.types import Job
from memeapp.ui.api_routes import seconds_left
from memeapp.ui.audited import noted
from memeapp.ui.components import (
    AT_ONCE,
    NO_COOKIE,
    explain,
    fragment,
    identity_of,
    losses_svg,
    payload_of,
    region,
    reliability_svg,
    require_admin,
)

if TYPE_CHECKING:
    from memeapp.wiring import App

LOGIN = "async (password) => [await window.memeapp.post('auth/admin', {password})]"
SECONDS_BETWEEN_LOOKS = 2.0
QUEUES = (
    ("random", "Drawn by chance", 40),
    ("uncertain", "The model is unsure", 30),
    ("far", "Unlike everything labelled", 20),
    ("relabel", "Answers and model disagree", 10),
    ("gold", "With a known answer, to check people", 0),
)

FORMATS = (
    ("mami", "MAMI's layout, with the pictures"),
    ("csv", "CSV tables, safe in a spreadsheet"),
    ("jsonl", "JSON lines"),
    ("huggingface", "Hugging Face folder, with the pictures and a data card"),
)


def build(app: App, demo: gr.Blocks) -> None:
    """Lay the page out inside the tab that is open."""

    def current() -> str | None:
        try:
            return app.training.current().name
        except NotFound:
            return None

    def dashboard() -> str:
        reliability = app.training.reliability()
        job = app.jobs.latest()
        return fragment(
            "dashboard",
            counts=app.training.counts(),
            schema=app.schema,
            job=job,
            left=_left(job) if job else "",
            curves=losses_svg(job.losses) if job else "",
            current=current(),
            encoders=app.training.known_encoders(),
            plots=[
                reliability_svg(reliability[label.name], label.title)
                for label in app.schema.labels
                if label.name in reliability
            ],
        )

    def opened(request: gr.Request) -> tuple[Any, str, Any]:
        """The dashboard for an admin, the login form for everybody else."""
        admin = identity_of(request).admin
        return (
            gr.Column(visible=not admin),
            dashboard() if admin else "",
            gr.Timer(active=admin),
        )

    def logged_in(message: str, request: gr.Request) -> tuple[Any, str, Any, str, str]:
        """`message` is what the cookie route answered; empty when all went well."""
        form, shown, timer = opened(request)
        message = message or ("" if shown else NO_COOKIE)
        return form, shown, timer, fragment("problem", message=message) if message else "", ""

    def acted(
        request: gr.Request, what: str, about: str, act: Callable[[], str]
    ) -> tuple[Any, str, Any, str]:
        """Note what an admin asks for, and do it; `act` gives a sentence, or an empty one."""
        require_admin(request)
        try:
            message = noted(app.store, ADMIN, what, about, act)
            told = fragment("note", message=message) if message else ""
        except Exception as error:
            told = fragment("problem", message=explain(error))
        return *opened(request), told

    def retrain(event: gr.EventData, request: gr.Request) -> tuple[Any, str, Any, str]:
        said = payload_of(event)
        encoder, aggregation, votes = (
            str(said.get(name) or usual)
            for name, usual in (("encoder", ""), ("aggregation", "majority"), ("votes", "blind"))
        )

        def act() -> str:
            app.jobs.start(encoder, aggregation=aggregation, votes=votes)
            return ""  # The dashboard shows the job.

        return acted(request, "train.start", encoder, act)

    def again(request: gr.Request) -> tuple[Any, str, Any, str]:
        job = app.jobs.latest()

        def act() -> str:
            if job is None:
                raise NotFound("No training has run yet; there is nothing to start again.")
            app.jobs.again(job.id)
            return ""

        return acted(request, "train.start", job.encoder if job else "", act)

    def cancel(request: gr.Request) -> tuple[Any, str, Any, str]:
        job = app.jobs.latest()

        def act() -> str:
            if job is None:
                raise NotFound("There is no training job to cancel.")
            app.jobs.cancel(job.id)
            return "The job stops at its next step."

        return acted(request, "train.cancel", f"job {job.id}" if job else "", act)

    with gr.Column(elem_id="admin-login", visible=False) as form:
        password = gr.Textbox(
            label="Admin password",
            type="password",
            max_length=1000,
            elem_id="admin-password",
        )
        button = gr.Button("Log in", variant="primary", elem_id="admin-button")
    message = region("admin-message")
    region("admin-drift-note")
    panel = gr.HTML(
        "",
        js_on_load=(
            "window.memeapp.dashboard(element, trigger);"
            "// 'opened', 'retrain', 'again', 'cancel': gradio looks for the names of events here"
        ),
        apply_default_css=False,
        elem_id="admin-dashboard",
    )
    gr.HTML(
        fragment("retraining"),
        js_on_load="window.memeapp.retraining(element.querySelector('.retraining'));",
        apply_default_css=False,
        elem_id="admin-retraining",
    )
    gr.HTML(
        fragment("versions", largest=MAX_BYTES // 2**20),
        js_on_load="window.memeapp.versions(element.querySelector('.of-versions'));",
        apply_default_css=False,
        elem_id="admin-versions",
    )
    gr.HTML(
        fragment(
            "sessions",
            queues=QUEUES,
            votes_per_meme=app.settings.votes_per_meme,
            labels=app.schema.labels,
        ),
        js_on_load="window.memeapp.sessions(element.querySelector('.sessions'));",
        apply_default_css=False,
        elem_id="admin-sessions",
    )
    gr.HTML(
        fragment("drift", days=app.settings.input_days),
        js_on_load="window.memeapp.drift(element.querySelector('.drift'));",
        apply_default_css=False,
        elem_id="admin-drift",
    )
    gr.HTML(
        fragment("transfer", formats=FORMATS, largest=app.settings.max_import_mb),
        js_on_load="window.memeapp.transfer(element.querySelector('.transfer'));",
        apply_default_css=False,
        elem_id="admin-transfer",
    )
    gr.HTML(
        fragment("audit"),
        js_on_load="window.memeapp.audit(element.querySelector('.audit'));",
        apply_default_css=False,
        elem_id="admin-audit",
    )
    timer = gr.Timer(SECONDS_BETWEEN_LOOKS, active=False)

    view = [form, panel, timer]
    for event, api_name in ((button.click, "admin_login"), (password.submit, "admin_enter")):
        event(
            logged_in, password, [*view, message, password], js=LOGIN, api_name=api_name, **AT_ONCE
        )
    for handler in (retrain, again, cancel):
        listen = getattr(panel, handler.__name__)
        listen(handler, None, [*view, message], api_name=f"admin_{handler.__name__}", **AT_ONCE)
    panel.opened(opened, None, view, api_name="admin_open", **AT_ONCE)
    timer.tick(opened, None, view, api_name="admin_look", **AT_ONCE)
    demo.load(opened, None, view, api_name="admin_load", **AT_ONCE)


def _left(job: Job) -> str:
    """When a training will have ended, in words; empty where nothing is known of it."""
    seconds = seconds_left(job)
    if seconds is None:
        return ""
    return f"About {in_words(seconds)} to the end." if seconds >= 1 else "It ends any moment."
