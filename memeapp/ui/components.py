"""What the pages share: escaped fragments, error sentences, and who asks."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from memeapp.auth import Identity
from memeapp.errors import MemeAppError
from memeapp.types import LossCurve

ASSETS = Path(__file__).parent / "assets"

NO_COOKIE = (
    "The browser did not keep the cookie that says who you are; allow cookies for this site "
    "(over HTTPS, where the app asks for that)."
)

log = logging.getLogger(__name__)

# For every handler that answers at once. In the queue, two events within some 50 ms of each other
# can share a stream that closes with the first of them, and the page never sees the second answer.
AT_ONCE: Mapping[str, Any] = {
    "queue": False,
    "show_progress": "hidden",
    "api_visibility": "undocumented",
}

_fragments = Environment(
    loader=FileSystemLoader(ASSETS / "fragments"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def fragment(name: str, **values: Any) -> str:
    """Render `assets/fragments/<name>.html`; every value is escaped.

    The result goes into `gr.HTML` as its value. Never put text into an `html_template` with
    `{{value}}`: the browser evaluates that template as JavaScript after filling it in.
    """
    return _fragments.get_template(f"{name}.html").render(**values)


def region(elem_id: str, *, role: str = "status") -> gr.HTML:
    """An empty place for a fragment; screen readers announce what appears in it."""
    return gr.HTML(
        "",
        html_template=f'<div role="{role}" aria-live="polite">${{value}}</div>',
        js_on_load=None,
        apply_default_css=False,
        elem_id=elem_id,
    )


def reliability_svg(points: Sequence[tuple[float, float, int]], label: str) -> Markup:
    """A reliability plot of one label: what the model predicted against what people said.

    Args:
        points: (mean probability, share of yes, memes) a bin, as `Checkpoint.reliability` has them
            for a label; the plot says so where there are none.
        label: its title.

    Returns:
        A `<figure>`, safe to put into a fragment as it is.
    """
    memes = sum(count for _, _, count in points)
    gap = sum(abs(said - seen) * count for said, seen, count in points) / max(memes, 1)
    return Markup(fragment("reliability", points=points, label=label, memes=memes, gap=gap))


def losses_svg(curves: Sequence[LossCurve]) -> Markup:
    """A plot for each stage of a training, safe to put into a fragment as it is; empty without."""
    return Markup(fragment("losses", curves=curves))


def explain(error: Exception) -> str:
    """A sentence for the page. What was not raised on purpose goes to the log, not to the page."""
    if isinstance(error, MemeAppError):
        return str(error)
    log.error("A page handler failed", exc_info=error)
    return "Something went wrong on the server; nothing was changed. Its log says what it was."


def identity_of(request: gr.Request | None) -> Identity:
    """Who asks, as the server found out from the signed cookies of this very request."""
    return Identity.parse(request.username if request else None)


def require_admin(request: gr.Request | None) -> None:
    """Raises: gr.Error unless an admin asks."""
    if not identity_of(request).admin:
        raise gr.Error("Log in as admin first.", title="Not allowed", print_exception=False)


def payload_of(event: gr.EventData) -> dict[str, Any]:
    """What the browser sent along with an event: untrusted, perhaps nothing."""
    data = getattr(event, "_data", None)
    return data if isinstance(data, dict) else {}
