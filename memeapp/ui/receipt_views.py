"""What the pages of a receipt and of a comparison show: words and numbers for their fragments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from memeapp.labels import LabelSchema
from memeapp.service.flips import Flip, Flips
from memeapp.service.receipt import OfLabel, Receipt
from memeapp.service.receipt_words import (
    Raw,
    advice,
    estimate,
    figure,
    headline,
    hungriest,
    next_labels,
    number,
    part,
    title_of,
)
from memeapp.service.versus import Side, Versus
from memeapp.types import Meme, ModelVersion
from memeapp.ui.components import ASSETS, fragment, losses_svg, reliability_svg
from memeapp.ui.receipt_charts import draw_curves, lean

FACTS = (
    ("labelled", "Labelled memes learned from"),
    ("unlabelled", "Unlabelled memes learned from"),
    ("held_out_labelled", "Labelled memes held out"),
    ("vote_count", "Votes learned from"),
    ("effective_labels", "Worth of the votes, as single judgements"),
    ("votes", "Votes that count"),
    ("aggregation", "Votes become labels by"),
    ("seed", "Seed"),
    ("seconds", "Seconds it took"),
    ("peak_memory_mb", "Most memory, MB"),
    ("snapshot", "Snapshot of what it learned from"),
    ("last_vote", "Number of the last vote"),
    ("uploaded_as", "Uploaded as"),
)
"""Keys of a version's `data` and what they are called; others keep their names."""


def receipt_page(
    version: ModelVersion,
    schema: LabelSchema,
    receipt: Receipt | None,
    why: str,
    memes: Mapping[str, Meme],
) -> str:
    """The whole page.

    Args:
        why: why there is no receipt; empty where there is one.
        memes: those of the flips that are here.
    """
    gate = part(version.metrics, "gate")
    helps = receipt.curve.helps if receipt else ()
    needy = {one.label for one in hungriest(helps)}
    ordered = sorted(helps, key=lambda one: one.label not in needy)
    return _page(
        "receipt",
        "../../",
        title=f"Receipt of {version.name}",
        version=version,
        created=moment(version.created_at),
        why=why,
        headline=headline(gate, version.parent),
        gate=gate,
        next=next_labels(receipt.curve, schema) if receipt else "",
        scores=_scores(version.metrics, gate, version.labels, schema),
        helps=[
            (title_of(schema, one.label), one, advice(one), one.label in needy) for one in ordered
        ],
        curve=receipt.curve if receipt else None,
        curves=_titled(draw_curves(receipt.curve), schema) if receipt else [],
        plots=_plots([one.out_of_fold for one in receipt.labels], receipt.labels, schema)
        if receipt
        else [],
        held_out_plots=_plots([one.on_held_out for one in receipt.labels], receipt.labels, schema)
        if receipt
        else [],
        labels=[_label(one, schema) for one in receipt.labels] if receipt else [],
        flips=flips_view(receipt.flips, memes, schema) if receipt and receipt.flips else None,
        before=version.parent,
        after=version.name,
        losses=losses_svg([one for one in receipt.losses if one.points]) if receipt else "",
        facts=facts_of(version),
        warnings=receipt.warnings if receipt else (),
    )


def compare_page(found: Versus, schema: LabelSchema, memes: Mapping[str, Meme]) -> str:
    """Two versions beside each other."""
    gate = found.decision.to_dict() if found.decision else {}
    sides = [found.side_a, found.side_b]
    metrics = [side.metrics.to_dict() if side else {} for side in sides]
    return _page(
        "receipt_compare",
        "../",
        title=f"{found.a.name} and {found.b.name}",
        a=found.a,
        b=found.b,
        same=found.a.name == found.b.name,
        labelled=found.labelled,
        missing=found.missing,
        headline=headline(gate, found.a.name) if not found.missing else "They cannot be measured",
        gate=gate,
        scores=_scores(metrics[1], gate, schema.names, schema, metrics[0]),
        plots=[_side_plots(side, schema) for side in sides],
        flips=flips_view(found.flips, memes, schema) if found.flips else None,
        before=found.a.name,
        after=found.b.name,
        facts=_beside(found.a, found.b),
    )


def note_page(title: str, message: str, root: str) -> str:
    """A sentence and the way back."""
    return _page("receipt_note", root, title=title, message=message)


def moment(created_at: str) -> str:
    return f"{created_at[:16].replace('T', ' ')} UTC"


def facts_of(version: ModelVersion) -> list[tuple[str, str]]:
    """What it was made of: a name and a value each."""
    known = dict(FACTS)
    told = [
        ("Created", moment(version.created_at)),
        ("Trained after", version.parent or "–"),
        ("Encoder", version.encoder),
        ("Recipe", version.recipe),
    ]
    there = [key for key, _ in FACTS if key in version.data]
    there += [key for key in version.data if key not in known]
    return told + [(known.get(key, key), _value(version.data[key])) for key in there]


def _beside(a: ModelVersion, b: ModelVersion) -> list[tuple[str, str, str]]:
    left, right = dict(facts_of(a)), dict(facts_of(b))
    return [(name, left.get(name, "–"), right.get(name, "–")) for name in left | right]


def _value(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,.1f}".removesuffix(".0")


def _scores(
    metrics: Raw,
    gate: Raw,
    labels: Sequence[str],
    schema: LabelSchema,
    before: Raw | None = None,
) -> list[dict[str, Any]]:
    """A row for each task and label: its figures, and the change on a common scale."""
    other = part(metrics, "parent") if before is None else before
    rows = [
        ("Task A", ("task_a",), part(gate, "task_a")),
        ("Task B", ("task_b",), part(gate, "task_b")),
        *(
            (title_of(schema, name), ("labels", name, "f1"), part(gate, "f1", name))
            for name in labels
        ),
    ]
    leans = lean([change for _, _, change in rows])
    return [
        {
            "title": title,
            "task": path[0] != "labels",
            "now": figure(part(metrics, *path)),
            "before": figure(part(other, *path)),
            "change": figure(change, sign=True),
            "better": number(change, "better"),
            "lean": bar,
            "same": bar is not None and bar.width == 0 and number(change, "value") == 0,
            "auc": figure(part(metrics, *path[:-1], "auc")) if path[0] == "labels" else "",
            "ece": figure(part(metrics, *path[:-1], "calibration_error"))
            if path[0] == "labels"
            else "",
            "positives": number(part(metrics, *path[:-1]), "positives")
            if path[0] == "labels"
            else None,
        }
        for (title, path, change), bar in zip(rows, leans, strict=True)
    ]


def _titled(drawn: Mapping[str, Any], schema: LabelSchema) -> list[tuple[str, Any]]:
    tasks = {"task_a": "Task A", "task_b": "Task B"}
    return [(tasks.get(name) or title_of(schema, name), one) for name, one in drawn.items()]


def _plots(bins: Sequence[Any], labels: Sequence[OfLabel], schema: LabelSchema) -> list[Markup]:
    return [
        reliability_svg(points, title_of(schema, one.label))
        for points, one in zip(bins, labels, strict=True)
    ]


def _side_plots(side: Side | None, schema: LabelSchema) -> list[Markup]:
    if side is None:
        return []
    return [
        reliability_svg(points, label.title)
        for points, label in zip(side.bins, schema.labels, strict=True)
    ]


def _label(one: OfLabel, schema: LabelSchema) -> dict[str, Any]:
    return {
        "title": title_of(schema, one.label),
        "of": one,
        "votes": estimate(one.with_votes.observed),
        "votes_kappa": estimate(one.with_votes.kappa),
        "majority": estimate(one.with_majority.observed),
        "majority_kappa": estimate(one.with_majority.kappa),
        "people": estimate(one.among_people.observed),
        "alpha": estimate(one.among_people.alpha),
    }


def flips_view(flips: Flips, memes: Mapping[str, Meme], schema: LabelSchema) -> dict[str, Any]:
    """Counts, and a card for each meme that is named."""
    return {
        "of": flips,
        "labels": [(title_of(schema, one.label), one) for one in flips.labels],
        "cards": [_card(flip, memes.get(flip.meme), schema) for flip in flips.largest],
    }


def _card(flip: Flip, meme: Meme | None, schema: LabelSchema) -> dict[str, Any]:
    return {
        "meme": flip.meme,
        "here": meme is not None,
        "text": meme.text if meme else "",
        "held_out": flip.held_out,
        "changes": [(title_of(schema, one.label), one) for one in flip.labels if one.flipped],
    }


def _page(name: str, root: str, **values: Any) -> str:
    style, script = (
        Markup((ASSETS / file).read_text(encoding="utf-8"))
        for file in ("receipt.css", "receipt.js")
    )
    return fragment(name, root=root, style=style, script=script, **values)
