"""What the admin is told of a session, as JSON: the picture, quality, exposure, disputed memes."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from memeapp.crowd.intervals import Estimate, Share
from memeapp.judging import Annotator, Plan

if TYPE_CHECKING:
    from memeapp.wiring import App


def plan_view(plan: Plan) -> dict[str, Any]:
    """As the form shows it; the queues' shares in percent."""
    shares = {queue: round(100 * share, 2) for queue, share in plan.policy.items()}
    return {
        **{name: getattr(plan, name) for name in plan.__slots__},
        "policy": shares,
        "suggestions": plan.suggestions.value,
    }


def picture_view(app: App, session_id: int) -> dict[str, Any]:
    """Raises: NotFound."""
    found = app.picture.of(session_id)
    pace = found.pace
    return {
        "memes": found.counts.memes,
        "done": found.counts.done,
        "votes": found.counts.votes,
        "wanted": found.counts.wanted,
        "pace": {name: getattr(pace, name) for name in pace.__slots__},
        "unseen": figure(found.unseen),
        "labels": [
            {
                "name": label.title,
                "share": figure(found.shares[label.name]),
                "line": [
                    {"until": until, **figured(share)}
                    for until, share in found.over_time[label.name]
                ],
                "observed": figure(found.agreement[label.name].observed),
                "ac1": figure(found.agreement[label.name].ac1),
            }
            for label in app.schema.labels
        ],
        "mix": [
            {"queue": one.queue, "declared": one.declared, "given": figure(one.given)}
            for one in found.mix
        ],
    }


def exposure_view(app: App, session_id: int, midnight: datetime | None) -> list[dict[str, Any]]:
    return [
        {
            "name": one.annotator.name,
            "today": one.today,
            "week": one.week,
            "all": one.all,
            "revealed_seconds": one.revealed_seconds,
            "unseen": figure(one.unseen),
            "longest_minutes": one.longest_minutes,
            "avoids": one.avoids,
            "passed_on": one.passed_on,
        }
        for one in app.picture.exposure(session_id, midnight)
    ]


def quality_view(app: App, session_id: int) -> dict[str, Any]:
    """How far people agree, how each judges, and how the model's answer pulls."""
    pull = app.quality.pull(session_id)
    figures = app.quality.figures(session_id)
    return {
        "labels": [
            {
                "name": label.title,
                "memes": (found := figures.agreement[label.name]).memes,
                "observed": figure(found.observed),
                "alpha": figure(found.alpha),
                "ac1": figure(found.ac1),
                "effective": figures.effective.get(label.name),
                "switched": figure(pull.switched[label.name]),
                "shift": figure(pull.shift[label.name]),
            }
            for label in app.schema.labels
        ],
        "people": [
            {
                "name": one.name,
                "memes": found.memes if found else 0,
                "agreement": figure(found.agreement if found else None),
                "gold": figure(found.gold if found else None),
                "seconds": found.median_seconds if found else None,
            }
            for one, found in figures.people
        ],
    }


def disputed_view(app: App, session_id: int) -> list[dict[str, Any]]:
    """Votes and notes side by side; nobody is named."""
    return [
        {
            "meme": one.meme.id,
            "text": one.meme.text,
            "width": one.meme.width,
            "height": one.meme.height,
            "disagreement": one.disagreement,
            "votes": [
                {"labels": dict(vote.labels), "note": vote.judgement.note} for vote in one.votes
            ],
            "decision": dict(one.decision.labels) if one.decision else None,
        }
        for one in app.quality.disputed(session_id)
    ]


def person_view(one: Annotator, judged: int) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "judged": judged,
        "admitted": one.revoked_at is None,
        "counted": one.excluded_at is None,
        "warning": one.warning,
    }


def figured(found: Estimate | Share) -> dict[str, float | None]:
    return {"value": found.value, "low": found.low, "high": found.high}


def figure(found: Estimate | Share | None) -> dict[str, float | None] | None:
    return figured(found) if found else None
